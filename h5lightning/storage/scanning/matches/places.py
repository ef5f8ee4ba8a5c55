"""The groups of a file in which the ``*`` of a path matches names, and the names that it matches there."""

from __future__ import annotations

from h5py import h5f, h5g, h5l

from h5lightning.storage.hdf5.external import encoded, link_problem

__all__ = ["Place"]


class Place:
    """A group of an open file, and what a ``*`` matches there.

    Args:
        fid: the open file.
        file: where the file lies.
        path: path of the group.
        part: the part of the path that holds the ``*``.
        allow_external: the directory to which external links may lead; None to follow none.

    Attributes:
        group: the open group; None if there is none, or if links to it may not be followed.
        is_in_file: whether the group is reached by hard links alone.
        texts: what the ``*`` matches, each with whether the name is a hard link.
    """

    __slots__ = ("group", "is_in_file", "texts")

    def __init__(self, fid: h5f.FileID, file: str, path: str, part: str, allow_external: str | None) -> None:
        self.group: h5g.GroupID | None = None
        self.texts: dict[str, bool] = {}
        self.is_in_file = link_problem(fid, file, path, None) == ""
        if self.is_in_file or link_problem(fid, file, path, allow_external) == "":
            self.group = _opened_group(fid, path)
        if self.group is not None:
            start, stop = (side.encode("utf-8", "surrogateescape") for side in part.split("*", 1))
            self.texts = _matched(self.group, start, stop)


def _opened_group(fid: h5f.FileID, path: str) -> h5g.GroupID | None:
    try:
        return h5g.open(fid, encoded(path))
    except (KeyError, ValueError):
        return None  # a dataset


def _matched(group: h5g.GroupID, start: bytes, stop: bytes) -> dict[str, bool]:
    names: list[bytes] = []
    hard: list[bool] = []

    def visit(name: bytes, info: h5l.LinkInfo) -> None:
        # An exception in here would end as a SystemError of h5py.
        if len(name) >= len(start) + len(stop) and name.startswith(start) and name.endswith(stop):
            names.append(name)
            hard.append(info.type == h5l.TYPE_HARD)

    group.links.iterate(visit, info=True)
    last = -len(stop) or None
    texts = [name[len(start) : last].decode("utf-8", "surrogateescape") for name in names]
    return dict(zip(texts, hard, strict=True))
