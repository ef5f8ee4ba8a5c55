"""Find what the ``*`` in the paths of a request matches in a file."""

from __future__ import annotations

from collections.abc import Sequence

from h5py import h5f, h5g, h5o

from h5lightning.core.natural_order import natural_key
from h5lightning.storage.hdf5.external import encoded, link_problem

__all__ = ["concrete", "find_matches", "split_at_star"]


def split_at_star(path: str) -> tuple[str, str]:
    """The path of the group in which a ``*`` matches, and the part of the path that holds the ``*``.

    Example:
        >>> split_at_star("data/demo_*/obs"), split_at_star("traj_*")
        (('data', 'demo_*'), ('', 'traj_*'))
    """
    before, _, after = path.partition("*")
    group, _, start = before.rpartition("/")
    return group, f"{start}*{after.partition('/')[0]}"


def concrete(path: str, text: str) -> str:
    """The path with what its ``*`` matched."""
    return path.replace("*", text, 1)


def find_matches(fid: h5f.FileID, file: str, paths: Sequence[str], allow_external: str | None) -> list[str]:
    """The texts for which at least one of the paths leads to an object, in natural order of the names.

    An object behind a link counts, even if the link may not be followed. A ``*`` at the end of a path matches no
    groups.

    Args:
        fid: the open file.
        file: where the file lies.
        paths: paths with one ``*`` each.
        allow_external: the directory to which external links may lead; None to follow none.
    """
    part = split_at_star(paths[0])[1]
    texts: set[str] = set()
    for path in paths:
        for text in _candidates(fid, file, path, allow_external):
            if text not in texts and _exists(fid, file, path, text, allow_external):
                texts.add(text)
    return sorted(texts, key=lambda text: natural_key(concrete(part, text)))


def _candidates(fid: h5f.FileID, file: str, path: str, allow_external: str | None) -> list[str]:
    """What the ``*`` of a path matches among the names of its group."""
    place, part = split_at_star(path)
    if link_problem(fid, file, place, allow_external) != "":
        return []
    group = h5g.open(fid, encoded(place)) if place else fid
    start, stop = (encoded(side) if side else b"" for side in part.split("*", 1))
    names: list[bytes] = []
    group.links.iterate(names.append)
    return [
        name[len(start) : len(name) - len(stop)].decode("utf-8", "surrogateescape")
        for name in names
        if len(name) >= len(start) + len(stop) and name.startswith(start) and name.endswith(stop)
    ]


def _exists(fid: h5f.FileID, file: str, path: str, text: str, allow_external: str | None) -> bool:
    full = concrete(path, text)
    problem = link_problem(fid, file, full, allow_external)
    if problem is None:
        return False
    return bool(problem) or not path.endswith("*") or _is_dataset(fid, full)


def _is_dataset(fid: h5f.FileID, path: str) -> bool:
    return bool(h5o.get_info(fid, encoded(path)).type == h5o.TYPE_DATASET)
