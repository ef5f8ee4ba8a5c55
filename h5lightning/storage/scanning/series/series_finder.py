"""What divides the rows of a dataset into series: tables and flags beside it, by their names and their content.

Most files have no name that says so: then a list of their names is all that this costs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TypeAlias

from h5py import h5d, h5f

from h5lightning.core.arrays import Int64Array
from h5lightning.planning.catalog.annotations import SeriesTable
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.external import object_at
from h5lightning.storage.scanning.series import tiling as content
from h5lightning.storage.scanning.series.candidates import Candidate, candidates_of
from h5lightning.storage.scanning.series.name_list import NameList
from h5lightning.storage.scanning.series.name_roles import is_index_of, may_divide

__all__ = ["SeriesFinder"]


_LEAST_ROWS = 3  # fewer hold no two series of which one has two rows
_DAMAGED = (OSError, RuntimeError, LookupError, ValueError, TypeError, MemoryError)
_OF_EACH_ROW = ("inverse flags", "first flags", "flags", "runs")
_ALONE: dict[str, tuple[str, Callable[[Int64Array, int], bool]]] = {
    "offsets": ("offsets", content.are_offsets),
    "ends": ("ends", content.are_ends),
    "index": ("ends", content.are_ends),
    "last ends": ("ends", lambda ends, rows: content.are_ends(ends + 1, rows)),
    "lengths": ("lengths", content.are_lengths),
    "starts": ("starts", content.are_starts),
}

Memo: TypeAlias = dict[tuple[tuple[str, ...], str, int], str]


class SeriesFinder:
    """Finds what divides the rows of the datasets of one file.

    Args:
        fid: the open file.
        names: what it holds; None to list it.
    """

    def __init__(self, fid: h5f.FileID, names: NameList | None = None) -> None:
        self._fid = fid
        self._names = names or NameList(fid, may_divide)
        self._candidates: dict[str, list[Candidate]] = {}
        self._memo: Memo = {}

    def find(self, opened: DatasetInfo, path: str) -> tuple[tuple[SeriesTable, ...], tuple[str, ...]]:
        """What divides the rows of a dataset, and remarks on what could not be looked at.

        Args:
            opened: the dataset.
            path: its path, without a leading slash.
        """
        rows = opened.shape[0] if opened.shape else 0
        if rows < _LEAST_ROWS:
            return (), ()
        near = self._names.near(path)
        if not near and not opened.element.members:
            return (), ()
        beside = (one for name in near if name != path for one in self._candidates_at(name))
        search = _Search(rows, path, self._memo)
        search.look([*candidates_of(opened, path), *beside])
        return search.tables(), tuple(search.remarks)

    def _candidates_at(self, path: str) -> list[Candidate]:
        if path not in self._candidates:
            try:
                self._candidates[path] = self._opened(path)
            except _DAMAGED:
                self._candidates[path] = []  # no evidence; whoever asks for it as a field is told
        return self._candidates[path]

    def _opened(self, path: str) -> list[Candidate]:
        found = object_at(self._fid, path)
        return candidates_of(DatasetInfo.of(found), path) if isinstance(found, h5d.DatasetID) else []


class _Search:
    """What divides so many rows, among candidates.

    Args:
        rows: of the dataset.
        path: its path.
        memo: what was found for candidates, as something, for so many rows.
    """

    def __init__(self, rows: int, path: str, memo: Memo) -> None:
        self._rows = rows
        self._path = path
        self._memo = memo
        self._found: dict[tuple[str, ...], str] = {}
        self.remarks: list[str] = []

    def look(self, candidates: Sequence[Candidate]) -> None:
        """Look at each of them, and at those that lie in one group together."""
        groups: dict[str, list[Candidate]] = {}
        for one in candidates:
            any(self._settles([one], role) for role in self._roles_alone(one))
            if one.is_integer and 2 <= one.length < self._rows:
                groups.setdefault(one.group, []).append(one)
        for group in groups.values():
            self._look_at_pairs(group)

    def tables(self) -> tuple[SeriesTable, ...]:
        """What was found; all flags as one."""
        flags = tuple(paths[0] for paths, kind in self._found.items() if kind == "flags")
        others = (SeriesTable(paths, kind) for paths, kind in self._found.items() if kind != "flags")
        return (*others, *([SeriesTable(flags, "flags")] if flags else []))

    def _roles_alone(self, one: Candidate) -> list[str]:
        """What a candidate may be without others, by its name, type and length."""
        if one.length == self._rows:
            return [role for role in _OF_EACH_ROW if role in one.roles][:1]
        if not one.is_integer:
            return []
        if 2 <= one.pairs < self._rows:
            return ["bounds"] if "bounds" in one.roles else []
        if not 2 <= one.length < self._rows:
            return []
        is_index = "index" in one.roles and is_index_of(one.name, self._path)
        return [role for role in _ALONE if role in one.roles and (role != "index" or is_index)]

    def _look_at_pairs(self, group: Sequence[Candidate]) -> None:
        """Two that divide the rows together: where each series begins, and how long it is or where it ends."""
        firsts = [one for one in group if "first" in one.roles]
        status = [one for one in group if "status" in one.roles]
        for role in _STOPS:
            others = [one for one in group if role in one.roles]
            for first, other in itertools.product(firsts, others):
                if first is not other and first.length == other.length:
                    of_same = [one for one in status if one.length == first.length]
                    self._settles([first, other, *of_same], role)

    def _settles(self, candidates: Sequence[Candidate], role: str) -> bool:
        """Write down what candidates are in a role, or, as a remark, why nobody could look; whether they are that."""
        paths = tuple(one.text for one in candidates)
        key = (paths, role, self._rows)
        problem = next((one.problem for one in candidates if one.problem), "")
        if key not in self._memo and not problem:
            try:
                self._memo[key] = _kind_of(candidates, role, self._rows)
            except _DAMAGED as error:
                problem = f"cannot be read: {error}"
        if problem:
            self.remarks.append(f"may hold several series, one after the other: '/{paths[0]}' {problem}")
            return True
        if kind := self._memo[key]:
            for path in paths[:2]:
                self._found.pop((path,), None)
            self._found[paths[:2]] = kind
        return bool(kind)


def _kind_of(candidates: Sequence[Candidate], role: str, rows: int) -> str:
    """What candidates are to so many rows, in a role that their names allow; empty if they are nothing."""
    first = candidates[0]
    if role in _OF_EACH_ROW:
        return _kind_of_each_row(first, role)
    numbers = first.numbers()
    if role == "bounds":
        is_tiling = any(content.tile(numbers[::2], numbers[1::2] + more, rows) for more in (0, 1))
        return "starts and ends" if is_tiling else ""
    if role in _STOPS:
        kind, stops_of = _STOPS[role]
        stops = stops_of(numbers, *(one.numbers() for one in candidates[1:]))
        return kind if content.tile(numbers, stops, rows) else ""
    kind, holds = _ALONE[role]
    return kind if holds(numbers, rows) else ""


def _kind_of_each_row(candidate: Candidate, role: str) -> str:
    """``flags`` or ``runs`` where entries of each row show a border; empty where they show none."""
    blocks = candidate.blocks()
    if role == "runs":
        return "runs" if candidate.is_integer and content.are_runs(blocks, candidate.length) else ""
    if role == "inverse flags":
        blocks = ((start, 1 - block) for start, block in blocks)
    is_border = content.has_flag_inside(blocks, candidate.length, at_start=role == "first flags")
    return "flags" if is_border else ""


def _after_last(first: Int64Array, last: Int64Array, *status: Int64Array) -> Int64Array:
    """The rows after series whose first and last rows are known; a status of zero says that there are none."""
    lengths = last - first + 1
    for flags in status:
        lengths = lengths * (flags != 0)
    return first + lengths


_STOPS: dict[str, tuple[str, Callable[..., Int64Array]]] = {
    "count": ("starts and lengths", lambda first, count, *_: first + count),
    "after": ("starts and ends", lambda _, after, *__: after),
    "last": ("starts and ends", _after_last),
}
