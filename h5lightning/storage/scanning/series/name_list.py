"""List the names in a file, within bounds, and match the tables among them to datasets.

A file may hold a million names, so they are listed once.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache

from h5py import h5f, h5g

from h5lightning.storage.hdf5.external import encoded, object_at
from h5lightning.storage.scanning.series.name_roles import may_divide

__all__ = ["NameList", "NearbyTables"]

_MOST_LINKS = 2000
_HDF5_ERRORS = (RuntimeError, LookupError, OSError, ValueError, TypeError)
_DIGITS = re.compile(r"\d+")

# Groups with tables, in files of too many names to list all.
_SIDE_GROUPS = ("meta", "metadata", "index", "indexes", "INDEX", "__I3Index__", "episode_data_index", "next")


class NearbyTables:
    """The tables of a file, found by the path of a dataset.

    A table belongs to all datasets below its group, and to those beside that group (``meta/episode_ends`` to
    ``data/action``). But if several groups have the same table, each belongs only to datasets below a group of the same
    name: ``demo_0/dones`` to ``demo_0/actions``, ``INDEX/camera/first`` to ``INSTRUMENT/camera/image``.

    Args:
        tables: their paths.
    """

    def __init__(self, tables: Iterable[str]) -> None:
        parts_of = {table: table.split("/") for table in tables}
        counts = Counter(pattern for parts in parts_of.values() for pattern in _patterns(parts))
        self._shared: list[tuple[str, list[str]]] = []
        self._by_group: dict[str, list[tuple[str, list[str]]]] = {}
        for table, parts in parts_of.items():
            own = [
                part for part, pattern in zip(parts, _patterns(parts), strict=False) if counts[pattern] > 1
            ]
            if own:
                self._by_group.setdefault(own[-1], []).append((table, own))
            else:
                self._shared.append((table, parts))

    def near(self, path: str) -> list[str]:
        """The tables that may say something about a dataset.

        Example:
            >>> NearbyTables(["meta/ends", "demo_0/dones", "demo_1/dones"]).near("demo_1/actions")
            ['meta/ends', 'demo_1/dones']
        """
        groups = path.split("/")[:-1]
        tables = [table for table, parts in self._shared if not _is_of_sibling(parts, groups)]
        for group in dict.fromkeys(groups):
            tables += [table for table, own in self._by_group.get(group, ()) if set(own).issubset(groups)]
        return tables


def _patterns(parts: list[str]) -> Iterator[tuple[int, str]]:
    """For each group on the way to a table, its depth, and the path with ``*`` in its place."""
    for depth in range(len(parts) - 1):
        yield depth, "/".join((*parts[:depth], "*", *parts[depth + 1 :]))


def _is_of_sibling(parts: list[str], groups: list[str]) -> bool:
    """Whether a table lies in ``demo_0`` and the dataset in ``demo_1``: groups that differ only in their numbers."""
    for own, other in zip(parts[:-1], groups, strict=False):
        if own != other:
            return _DIGITS.sub("#", own) == _DIGITS.sub("#", other)
    return False


_NO_TABLES = NearbyTables(())


class NameList:
    """The paths of the links of a file, and of those that may be tables; damaged groups have none.

    Args:
        fid: the open file.
        most: stop after this many; then the names near each dataset are listed separately.
        likely_paths: paths of datasets; if the file holds nothing else, its names need not be listed.
    """

    def __init__(self, fid: h5f.FileID, most: int = _MOST_LINKS, likely_paths: Sequence[str] = ()) -> None:
        self._fid = fid
        self._likely_paths = likely_paths
        self._most = most
        self._listed: list[bytes] | None = None
        self._names: frozenset[str] | None = None
        self._tables: NearbyTables | None = None
        self._tables_near: dict[str, NearbyTables] = {}

    def may_hold(self, path: str) -> bool:
        """Whether a path may be in the file; False only if it is not."""
        self._list()
        return self._names is None or path in self._names

    def near(self, path: str) -> list[str]:
        """The tables that may say something about a dataset.

        In a file of too many names, only the first names and those beside and above the dataset are searched.
        """
        self._list()
        if self._tables is _NO_TABLES:
            return []
        tables = self._tables
        if tables is None:
            group = path.rpartition("/")[0]
            if group not in self._tables_near:
                nearby = (name for near in _groups_near(path) for name in self._names_in(near))
                self._tables_near[group] = _tables((*_decoded(self._listed or []), *nearby))
            tables = self._tables_near[group]
        return tables.near(path)

    def _list(self) -> None:
        if self._listed is None:
            self._listed = self._visited()
            if len(self._listed) < self._most:
                self._names, self._tables = _names_and_tables(b"\0".join(self._listed))

    def _visited(self) -> list[bytes]:
        names = [encoded(path) for path in self._likely_paths]
        return names if names and self._holds_only(names) else self._collected(self._fid.links.visit)

    def _holds_only(self, names: list[bytes]) -> bool:
        """Whether the file holds only these names, all of them in its root group."""
        try:
            links = self._fid.links
            return self._fid.get_num_objs() == len(names) and all(
                b"/" not in name and links.exists(name) for name in names
            )
        except _HDF5_ERRORS:
            return False

    def _names_in(self, path: str) -> list[str]:
        """Paths of the links of a group; none if there is no such group."""
        group = None
        with contextlib.suppress(*_HDF5_ERRORS):
            group = object_at(self._fid, path)
        names = _decoded(self._collected(group.links.iterate)) if isinstance(group, h5g.GroupID) else []
        return [f"{path}/{name}" for name in names] if path else names

    def _collected(self, visit: Callable[[Callable[[bytes], bool | None]], object]) -> list[bytes]:
        """The names that a method of HDF5 visits, up to the limit, and up to where the file is damaged."""
        names: list[bytes] = []

        def add(name: bytes) -> bool | None:
            # An exception in here would end as a SystemError of h5py.
            names.append(name)
            return True if len(names) >= self._most else None

        with contextlib.suppress(*_HDF5_ERRORS):
            visit(add)
        return names


@lru_cache(maxsize=64)
def _names_and_tables(joined: bytes) -> tuple[frozenset[str], NearbyTables]:
    """All names, and the tables among them; cached since the files of a data set hold the same names."""
    names = _decoded(joined.split(b"\0")) if joined else []
    return frozenset(names), _tables(names)


def _tables(names: Iterable[str]) -> NearbyTables:
    tables = dict.fromkeys(name for name in names if may_divide(name))
    return NearbyTables(tables) if tables else _NO_TABLES


def _groups_near(path: str) -> Iterator[str]:
    parts = path.split("/")[:-1]
    for depth in range(len(parts), -1, -1):
        group = "/".join(parts[:depth])
        yield group
        yield from (f"{group}/{side}" if group else side for side in _SIDE_GROUPS)


def _decoded(names: list[bytes]) -> list[str]:
    # In one call, since a call takes as long as a name. No name holds a zero byte.
    return b"\0".join(names).decode("utf-8", "surrogateescape").split("\0") if names else []
