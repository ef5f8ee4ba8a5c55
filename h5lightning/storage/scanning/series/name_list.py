"""Names in a file, listed once and within bounds: a file may hold a million."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache

from h5py import h5f, h5g, h5o

from h5lightning.storage.hdf5.external import encoded, link_problem
from h5lightning.storage.scanning.series.nearby_tables import Places

__all__ = ["NameList"]

_MOST_LINKS = 2000
_NOT_THERE = (RuntimeError, LookupError, OSError, ValueError, TypeError)

# Where tables lie in files of too many names to list all.
_SIDE_GROUPS = ("meta", "metadata", "index", "indexes", "INDEX", "__I3Index__", "episode_data_index", "next")

_NO_PLACES = Places(())


class NameList:
    """The paths of those links of a file that are wanted; damaged groups have none.

    Args:
        fid: the open file.
        is_wanted: by its path.
        most: stop after this many; then those near a dataset are listed for themselves.
        known: paths of datasets that may be all that the file holds, which is seen at once.
    """

    def __init__(
        self,
        fid: h5f.FileID,
        is_wanted: Callable[[str], bool],
        most: int = _MOST_LINKS,
        known: Sequence[str] = (),
    ) -> None:
        self._fid = fid
        self._known = known
        self._is_wanted = is_wanted
        self._most = most
        self._all: list[bytes] | None = None
        self._names: frozenset[str] | None = None
        self._places: Places | None = None
        self._places_of: dict[str, Places] = {}

    def holds(self, path: str) -> bool:
        """Whether a path may be in the file; False where it surely is not."""
        self._look()
        return self._names is None or path in self._names

    def _look(self) -> None:
        if self._all is None:
            self._all = self._visited()
            if len(self._all) < self._most:
                self._names, self._places = _found_in(b"\0".join(self._all), self._is_wanted)

    def near(self, path: str) -> list[str]:
        """Those that may say something of a dataset.

        In a file of too many names they are looked for among the first of them, and beside and above the dataset.

        Args:
            path: path of the dataset.
        """
        self._look()
        places = self._places
        if places is _NO_PLACES:
            return []
        if places is None:
            group = path.rpartition("/")[0]
            if group not in self._places_of:
                beside = (name for near in _groups_near(path) for name in self._listed(near))
                self._places_of[group] = _wanted((*_decoded(self._all or []), *beside), self._is_wanted)
            places = self._places_of[group]
        return places.near(path)

    def _visited(self) -> list[bytes]:
        names = [encoded(path) for path in self._known]
        if names and self._holds_only(names):
            return names
        names.clear()

        def visit(name: bytes) -> bool | None:
            # Nothing may fail in here: h5py would end in a SystemError.
            names.append(name)
            return True if len(names) >= self._most else None

        try:
            self._fid.links.visit(visit)
        except _NOT_THERE:
            return names  # of what is damaged, only what is asked for is an error
        return names

    def _holds_only(self, names: list[bytes]) -> bool:
        """Whether the file holds nothing but these, none of them in a group."""
        try:
            links = self._fid.links
            return self._fid.get_num_objs() == len(names) and all(
                b"/" not in name and links.exists(name) for name in names
            )
        except _NOT_THERE:
            return False

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


@lru_cache(maxsize=64)
def _found_in(joined: bytes, is_wanted: Callable[[str], bool]) -> tuple[frozenset[str], Places]:
    """All names, and those that are wanted; once for the files of a data set, which hold the same names."""
    names = _decoded(joined.split(b"\0")) if joined else []
    return frozenset(names), _wanted(names, is_wanted)


def _wanted(names: Iterable[str], is_wanted: Callable[[str], bool]) -> Places:
    found = [name for name in names if is_wanted(name)]
    return Places(dict.fromkeys(found)) if found else _NO_PLACES


def _groups_near(path: str) -> Iterator[str]:
    parts = path.split("/")[:-1]
    for depth in range(len(parts), -1, -1):
        group = "/".join(parts[:depth])
        yield group
        yield from (f"{group}/{side}" if group else side for side in _SIDE_GROUPS)


def _decoded(names: list[bytes]) -> list[str]:
    # At once, since each call takes as long as a name: no name holds a zero.
    return b"\0".join(names).decode("utf-8", "surrogateescape").split("\0") if names else []
