"""Names in a file, listed once and within bounds: a file may hold a million."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from h5py import h5f, h5g, h5o

from h5lightning.foreign import encoded, link_problem

__all__ = ["NameList"]

_MOST_LINKS = 2000
_NOT_THERE = (RuntimeError, LookupError, OSError, ValueError, TypeError)

# Where tables lie in files of too many names to list all.
_SIDE_GROUPS = ("meta", "metadata", "index", "indexes", "INDEX", "__I3Index__", "episode_data_index", "next")


class NameList:
    """The paths of those links of a file that are wanted; damaged groups have none.

    Args:
        fid: the open file.
        is_wanted: by its path.
        most: stop after this many; then those near a dataset are listed for themselves.
    """

    def __init__(self, fid: h5f.FileID, is_wanted: Callable[[str], bool], most: int = _MOST_LINKS) -> None:
        self._fid = fid
        self._is_wanted = is_wanted
        self._most = most
        self._found: list[str] | None = None
        self._is_complete = True
        self._children: dict[str, list[str]] = {}

    def near(self, path: str) -> list[str]:
        """Those of the whole file; where there are too many, of the first of them, and beside and above a dataset.

        Args:
            path: path of a dataset.
        """
        if self._found is None:
            names = self._visited()
            self._is_complete = len(names) < self._most
            self._found = [name for name in names if self._is_wanted(name)]
        if self._is_complete:
            return self._found
        beside = (name for group in _groups_near(path) for name in self._children_of(group))
        return list(dict.fromkeys((*self._found, *beside)))

    def _visited(self) -> list[str]:
        names: list[bytes] = []

        def visit(name: bytes) -> bool | None:
            # Nothing may fail in here: h5py would end in a SystemError.
            names.append(name)
            return True if len(names) >= self._most else None

        # Of what is damaged, only what is asked for is an error.
        with contextlib.suppress(*_NOT_THERE):
            self._fid.links.visit(visit)
        return _decoded(names)

    def _children_of(self, group: str) -> list[str]:
        if group not in self._children:
            self._children[group] = [name for name in self._listed(group) if self._is_wanted(name)]
        return self._children[group]

    def _listed(self, group: str) -> Iterator[str]:
        names: list[bytes] = []

        def visit(name: bytes) -> bool | None:
            names.append(name)
            return True if len(names) >= self._most else None

        with contextlib.suppress(*_NOT_THERE):
            if group and link_problem(self._fid, "", group, None) != "":
                return
            found = h5o.open(self._fid, encoded(group))
            if isinstance(found, h5g.GroupID):
                found.links.iterate(visit)
        yield from (f"{group}/{name}" if group else name for name in _decoded(names))


def _groups_near(path: str) -> Iterator[str]:
    parts = path.split("/")[:-1]
    for depth in range(len(parts), -1, -1):
        group = "/".join(parts[:depth])
        yield group
        yield from (f"{group}/{side}" if group else side for side in _SIDE_GROUPS)


def _decoded(names: list[bytes]) -> list[str]:
    # At once, since each call takes as long as a name: no name holds a zero.
    return b"\0".join(names).decode("utf-8", "surrogateescape").split("\0") if names else []
