"""Find what divides the rows of a dataset into series: tables and flags beside it, by their names and contents.

Most files have no table with such a name: then the only cost is a list of their names.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Sequence
from typing import TypeAlias

from h5py import h5f

from h5lightning.core.arrays import Int64Array
from h5lightning.planning.catalog.annotations import SeriesTable
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.scanning.scanned_dataset import dataset_at
from h5lightning.storage.scanning.series import tiling
from h5lightning.storage.scanning.series.candidates import SeriesCandidate, candidates_of
from h5lightning.storage.scanning.series.name_list import NameList
from h5lightning.storage.scanning.series.name_roles import is_index_of

__all__ = ["SeriesFinder"]

_LEAST_ROWS = 3  # fewer rows cannot be two series of which one has two rows
_HDF5_ERRORS = (OSError, RuntimeError, LookupError, ValueError, TypeError, MemoryError)
_OF_EACH_ROW = ("inverse flags", "first flags", "flags", "runs")
_ALONE: dict[str, tuple[str, Callable[[Int64Array, int], bool]]] = {
    "offsets": ("offsets", tiling.are_offsets),
    "ends": ("ends", tiling.are_ends),
    "index": ("ends", tiling.are_ends),
    "last ends": ("ends", lambda ends, rows: tiling.are_ends(ends + 1, rows)),
    "lengths": ("lengths", tiling.are_lengths),
    "starts": ("starts", tiling.are_starts),
}

_PLAIN = frozenset(["offsets", "ends", "index", "lengths", "count", "after", "flags", "runs"])

# Paths of candidates, their role and the number of rows → the kind of `SeriesTable`; empty if they are none.
_Kinds: TypeAlias = dict[tuple[tuple[str, ...], str, int], str]


class SeriesFinder:
    """Finds what divides the rows of the datasets of one file, given the names in it."""

    def __init__(self, fid: h5f.FileID, names: NameList) -> None:
        self._fid = fid
        self._names = names
        self._candidates: dict[str, list[SeriesCandidate]] = {}
        self._kinds: _Kinds = {}

    def find(self, info: DatasetInfo, path: str) -> tuple[tuple[SeriesTable, ...], tuple[str, ...]]:
        """What divides the rows of a dataset, and remarks about candidates that were not read."""
        rows = info.shape[0] if info.shape else 0
        if rows < _LEAST_ROWS:
            return (), ()
        near = self._names.near(path)
        if not near and not info.element.members:
            return (), ()
        nearby = (candidate for name in near if name != path for candidate in self._candidates_at(name))
        search = _Search(rows, path, self._kinds)
        search.check([*candidates_of(info, path), *nearby])
        return search.tables(), tuple(search.remarks)

    def _candidates_at(self, path: str) -> list[SeriesCandidate]:
        if path not in self._candidates:
            self._candidates[path] = []
            # A damaged candidate is no evidence. It is an error only if it is a field itself.
            with contextlib.suppress(*_HDF5_ERRORS):
                if (did := dataset_at(self._fid, path)) is not None:
                    self._candidates[path] = candidates_of(DatasetInfo.of(did), path)
        return self._candidates[path]


class _Search:
    """What divides the rows of a dataset, among candidates; ``kinds`` is shared by all datasets of the file."""

    def __init__(self, rows: int, path: str, kinds: _Kinds) -> None:
        self._rows = rows
        self._path = path
        self._kinds = kinds
        self._accepted: dict[tuple[str, ...], SeriesTable] = {}
        self.remarks: list[str] = []

    def check(self, candidates: Sequence[SeriesCandidate]) -> None:
        """Check each candidate alone, and those of one group together."""
        groups: dict[str, list[SeriesCandidate]] = {}
        for candidate in candidates:
            any(self._settles([candidate], role) for role in self._roles_alone(candidate))
            if candidate.is_integer and 2 <= candidate.length < self._rows:
                groups.setdefault(candidate.group, []).append(candidate)
        for group in groups.values():
            self._check_pairs(group)

    def tables(self) -> tuple[SeriesTable, ...]:
        """The candidates that divide the rows, those that `Series` can name first; flags of one kind are one table."""
        tables = [table for table in self._accepted.values() if table.kind != "flags"]
        for is_plain in (True, False):
            flags = [
                table
                for table in self._accepted.values()
                if (table.kind, table.is_plain) == ("flags", is_plain)
            ]
            if flags:
                tables.append(SeriesTable(tuple(table.paths[0] for table in flags), "flags", is_plain))
        return tuple(sorted(tables, key=lambda table: not table.is_plain))

    def _roles_alone(self, candidate: SeriesCandidate) -> list[str]:
        """What a candidate may be without others, by its name, type and length."""
        roles = candidate.roles
        if candidate.length == self._rows:
            return [role for role in _OF_EACH_ROW if role in roles][:1]
        if not candidate.is_integer:
            return []
        if 2 <= candidate.pairs < self._rows:
            return ["bounds"] if "bounds" in roles else []
        if not 2 <= candidate.length < self._rows:
            return []
        is_index = "index" in roles and is_index_of(candidate.name, self._path)
        return [role for role in _ALONE if role in roles and (role != "index" or is_index)]

    def _check_pairs(self, group: Sequence[SeriesCandidate]) -> None:
        """Check pairs: where each series begins, together with its length or its end."""
        firsts = [one for one in group if "first" in one.roles]
        status = [one for one in group if "status" in one.roles]
        for role in _STOPS:
            seconds = [one for one in group if role in one.roles]
            for first, second in itertools.product(firsts, seconds):
                if first is not second and first.length == second.length:
                    same_length = [one for one in status if one.length == first.length]
                    self._settles([first, second, *same_length], role)

    def _settles(self, candidates: Sequence[SeriesCandidate], role: str) -> bool:
        """Whether candidates need no check in further roles: they divide the rows in this one, or cannot be read."""
        paths = tuple(one.text for one in candidates)
        key = (paths, role, self._rows)
        problem = next((one.problem for one in candidates if one.problem), "")
        if key not in self._kinds and not problem:
            try:
                self._kinds[key] = _kind_of(candidates, role, self._rows)
            except _HDF5_ERRORS as error:
                problem = f"cannot be read: {error}"
        if problem:
            self.remarks.append(f"may hold several series, one after the other: '/{paths[0]}' {problem}")
            return True
        if kind := self._kinds[key]:
            for path in paths[:2]:
                self._accepted.pop((path,), None)
            is_plain = role in _PLAIN and len(paths) <= 2
            self._accepted[paths[:2]] = SeriesTable(paths[:2], kind, is_plain)
        return bool(kind)


def _kind_of(candidates: Sequence[SeriesCandidate], role: str, rows: int) -> str:
    """The kind of `SeriesTable` that candidates are in a role; empty if they do not divide the rows."""
    first = candidates[0]
    if role in _OF_EACH_ROW:
        return _kind_of_each_row(first, role)
    numbers = first.numbers()
    if role == "bounds":
        is_tiling = any(tiling.tile(numbers[::2], numbers[1::2] + extra, rows) for extra in (0, 1))
        return "starts and ends" if is_tiling else ""
    if role in _STOPS:
        kind, stops_of = _STOPS[role]
        stops = stops_of(numbers, *(one.numbers() for one in candidates[1:]))
        return kind if tiling.tile(numbers, stops, rows) else ""
    kind, is_kind = _ALONE[role]
    return kind if is_kind(numbers, rows) else ""


def _kind_of_each_row(candidate: SeriesCandidate, role: str) -> str:
    """``flags`` or ``runs`` if entries of each row show a border between series; else empty."""
    blocks = candidate.blocks()
    if role == "runs":
        return "runs" if candidate.is_integer and tiling.are_runs(blocks, candidate.length) else ""
    if role == "inverse flags":
        blocks = ((start, 1 - block) for start, block in blocks)
    is_border = tiling.has_flag_inside(blocks, candidate.length, at_start=role == "first flags")
    return "flags" if is_border else ""


def _after_last(first: Int64Array, last: Int64Array, *status: Int64Array) -> Int64Array:
    """The row after each series, from its first and last row; a series with a status of zero has no rows."""
    lengths = last - first + 1
    for flags in status:
        lengths = lengths * (flags != 0)
    return first + lengths


_STOPS: dict[str, tuple[str, Callable[..., Int64Array]]] = {
    "count": ("starts and lengths", lambda first, count, *_: first + count),
    "after": ("starts and ends", lambda _, after, *__: after),
    "last": ("starts and ends", _after_last),
}
