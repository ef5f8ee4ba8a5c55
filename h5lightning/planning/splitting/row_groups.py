"""Groups of rows that stay together: a dataset has the same value for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.core.formatting import counted
from h5lightning.core.frozen import Frozen, once
from h5lightning.errors import SplitError
from h5lightning.planning.catalog.row_values import RowValues, code_type
from h5lightning.planning.catalog.value_list import ValueList
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.splitting.split_plan import SPLITS, Segments

__all__ = ["RowGroups"]

_PIECE = 1 << 20  # rows that are looked at together


class _Piece(NamedTuple):
    """Some neighbouring rows: the first of them, and the position of the series of each."""

    first: int
    stop: int
    which: Int64Array


@dataclass(frozen=True, eq=False)
class RowGroups(Frozen):
    """The group of each row of some series.

    Args:
        index: the files and series.
        series: the series, ascending, ``(series,)``.
        values: the values of all groups.
        group: the group of each row, numbered in the order of their first rows, series after series, ``(rows,)``.
        value_of: the position in ``values`` of the value of each group, ``(groups,)``.
        keep_together: the option that says it, for messages.
    """

    index: SampleIndex
    series: Int64Array
    values: ValueList
    group: npt.NDArray[np.signedinteger[Any]]
    value_of: Int64Array
    keep_together: str

    @classmethod
    def of(cls, keep_together: str, index: SampleIndex, series: Int64Array, values: RowValues) -> RowGroups:
        """The groups of the rows of some series.

        Args:
            keep_together: ``field:PATH``.
            index: the files and series.
            series: the series that take part, ascending.
            values: the value of each row of each unit of the index.

        Raises:
            SplitError: rows have no value, or more than one.
        """
        by_series = _has_values_of_series(keep_together, index, series, values)
        union, numbers = values.vocabulary(np.unique(index.units[series]))
        rows, unit = index.series_rows[series], index.units[series]
        ends = np.cumsum(rows)
        begins, first_code, first_value = ends - rows, values.first_code[unit], values.first_value[unit]
        start = first_code + (0 if index.series_start is None else index.series_start[series])
        number = np.arange(len(index.units)) - np.searchsorted(index.units, index.units)
        start = np.where(by_series, first_code + number[series], start)
        found = np.empty(int(rows.sum()), code_type(len(union)))
        first_row = np.full(len(union), -1, np.int64)
        for piece in _pieces(ends):
            row = np.arange(piece.first, piece.stop) - begins[piece.which]
            codes = values.codes[start[piece.which] + np.where(by_series[piece.which], 0, row)]
            if np.any(codes < 0):
                at = int(np.argmax(codes < 0))
                raise _no_value(keep_together, index, int(series[piece.which[at]]), int(row[at]))
            group = numbers[first_value[piece.which] + codes]
            found[piece.first : piece.stop] = group
            is_new = np.flatnonzero(first_row[group] < 0)[::-1]  # the last assignment counts
            first_row[group[is_new]] = is_new + piece.first
        value_of = np.flatnonzero(first_row >= 0)
        value_of = value_of[np.argsort(first_row[value_of], kind="stable")]
        number_of = np.zeros(len(union), found.dtype)
        number_of[value_of] = np.arange(len(value_of))
        for piece in _pieces(ends):
            found[piece.first : piece.stop] = number_of[found[piece.first : piece.stop]]
        return cls(index, series, union, found, value_of, keep_together)

    def __len__(self) -> int:
        """Number of groups."""
        return len(self.value_of)

    def name(self, group: int) -> str:
        """The value of a group, as text."""
        return str(self.values[int(self.value_of[group])])

    def label(self, group: int) -> str:
        """The value of a group, for messages."""
        return repr(self.values[int(self.value_of[group])])

    @once
    def ends(self) -> Int64Array:
        """One past the last row of each series, counted over all series, ``(series,)``."""
        return np.cumsum(self.index.series_rows[self.series])

    @once
    def weights(self) -> Int64Array:
        """Rows of each group, ``(groups,)``."""
        return np.bincount(self.group, minlength=len(self))

    def bincount(self, chosen: BoolArray) -> Int64Array:
        """Rows of each group in some of the series, ``(groups,)``."""
        counts = np.zeros(len(self), np.int64)
        for piece in self.pieces():
            own = self.group[piece.first : piece.stop][chosen[piece.which]]
            counts += np.bincount(own, minlength=len(self))
        return counts

    def in_rows(self, part: Segments) -> BoolArray:
        """Which groups have rows in a part of a split, whose series take part, ``(groups,)``."""
        has = np.zeros(len(self), np.bool_)
        rows = self.index.series_rows[self.series]
        for runs in part.runs():
            first = (self.ends - rows)[np.searchsorted(self.series, runs.series)]
            ends = np.cumsum(runs.stop - runs.start)
            for piece in _pieces(ends):
                shift = (first + runs.start - (ends - (runs.stop - runs.start)))[piece.which]
                has[self.group[np.arange(piece.first, piece.stop) + shift]] = True
        return has

    def of_some(self, chosen: BoolArray) -> RowGroups:
        """The same groups, with the rows of some of the series."""
        kept = [self.group[piece.first : piece.stop][chosen[piece.which]] for piece in self.pieces()]
        group = np.concatenate([self.group[:0], *kept])
        return replace(self, series=self.series[chosen], group=group)

    def pieces(self) -> Iterator[_Piece]:
        """The rows, some at a time."""
        return _pieces(self.ends)

    def presence(self, role: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.bool_]:
        """Which groups have rows of which role, ``(groups, roles)``.

        Args:
            role: the role of each series, ``(series,)``; -1 for those that do not count.
        """
        has = np.zeros((len(self), int(role.max(initial=0)) + 2), np.bool_)
        for piece in self.pieces():
            has[self.group[piece.first : piece.stop], role[piece.which]] = True  # -1 is the last column
        return has[:, :-1]

    def check_roles(self, role: npt.NDArray[np.integer[Any]], place: str) -> None:
        """Raise `SplitError` if rows of one group are in series of different roles.

        Args:
            role: the number of the split of each series in `SPLITS`, ``(series,)``; -1 for none.
            place: what puts a series into its split, for the message.
        """
        shared = np.flatnonzero(self.presence(role).sum(axis=1) > 1)
        if not shared.size:
            return
        group = int(shared[0])
        series = self._series_of(group)
        first = int(series[role[series] >= 0][0])
        other = int(series[(role[series] >= 0) & (role[series] != role[first])][0])
        pair = [
            f"{self.index.where(int(self.series[one]))} of {SPLITS[int(role[one])]}" for one in (first, other)
        ]
        more = f", as {shared.size - 1:,} more values do" if shared.size > 1 else ""
        raise SplitError(
            f"split.keep_together={self.keep_together!r}: rows of {' and of '.join(pair)} share the value "
            f"{self.label(group)}{more}. Move one of them to the other's {place}, or leave out keep_together"
        )

    def of_series(self, by: str) -> Int64Array:
        """The group of each series, ``(series,)``; -1 for one without rows.

        Args:
            by: what keeps series whole, for the message.

        Raises:
            SplitError: a series has rows of several groups.
        """
        rows = self.index.series_rows[self.series]
        first = np.full(len(self.series), -1, np.int64)
        filled = rows > 0
        first[filled] = self.group[(self.ends - rows)[filled]]
        for piece in self.pieces():
            differs = np.flatnonzero(self.group[piece.first : piece.stop] != first[piece.which])
            if differs.size:
                one = int(piece.which[differs[0]])
                row = int(differs[0]) + piece.first - int((self.ends - rows)[one])
                labels = [self.label(int(one)) for one in (first[one], self.group[differs[0] + piece.first])]
                raise SplitError(
                    f"split.keep_together={self.keep_together!r}: {self.index.where(int(self.series[one]))} has "
                    f"{labels[0]} in row 0 and {labels[1]} in row {row}, and {by} would keep both together. Leave it "
                    "out: then rows of one value stay together, wherever they are"
                )
        return first

    def _series_of(self, group: int) -> Int64Array:
        """The positions of the series that have rows of a group."""
        found = [
            np.unique(piece.which[self.group[piece.first : piece.stop] == group]) for piece in self.pieces()
        ]
        return np.unique(np.concatenate(found))


def _pieces(ends: Int64Array) -> Iterator[_Piece]:
    total = int(ends[-1]) if len(ends) else 0
    for first in range(0, total, _PIECE):
        stop = min(first + _PIECE, total)
        low, high = np.searchsorted(ends, [first, stop - 1], side="right").tolist()
        counts = np.diff(np.minimum(ends[low : high + 1], stop), prepend=first)
        yield _Piece(first, stop, np.arange(low, high + 1).repeat(counts))


def _has_values_of_series(
    keep_together: str, index: SampleIndex, series: Int64Array, values: RowValues
) -> BoolArray:
    """Whether there is one value for each series, instead of one for each row, ``(series,)``.

    Raises:
        SplitError: there is neither, or values are text in one unit and numbers in another one.
    """
    path = keep_together.partition(":")[2]
    start = f"split.keep_together={keep_together!r}: "
    units = np.unique(index.units[series])

    def where(which: BoolArray) -> tuple[int, str]:
        unit = int(units[np.flatnonzero(which)[0]])
        return unit, index.where(int(np.searchsorted(index.units, unit)))

    if not np.all(values.is_usable[units]):
        unit, name = where(~values.is_usable[units])
        raise SplitError(f"{start}{name} {values.problem(unit)}. Change keep_together, or exclude the file")
    rows, sizes, expected = (
        array[units] for array in (values.unit_rows, values.unit_row_sizes, index.rows_of_units)
    )
    counts = np.bincount(index.units, minlength=len(index.rows_of_units))[units]
    is_by_row = rows * sizes == expected  # series along the first axis have rows along the second one
    is_by_row &= (sizes == 1) | (rows == counts)
    by_series = (rows == counts) & (sizes == 1) & ~is_by_row
    if not np.all(is_by_row | by_series):
        unit, name = where(~is_by_row & ~by_series)
        raise SplitError(
            f"{start}in {name} '/{path}' has {values.unit_rows[unit]} rows of "
            f"{counted(int(values.unit_row_sizes[unit]), 'value')}, expected one value for each of the "
            f"{index.rows_of_units[unit]} rows of the fields. Name a dataset with one value for each row"
        )
    if not np.all(values.has_rows[units]):
        _, name = where(~values.has_rows[units])
        raise SplitError(f"{start}in {name} '/{path}' has too many values for each row. Name another dataset")
    kinds = values.unit_kinds[units]
    is_text, is_number = kinds == 0, (kinds > 0) & (kinds < 255)
    if is_text.any() and is_number.any():
        raise SplitError(
            f"{start}'/{path}' is text in {where(is_text)[1]}, and has numbers in {where(is_number)[1]}: store one type"
        )
    found = np.zeros(len(index.rows_of_units), np.bool_)
    found[units] = by_series
    return found[index.units[series]]


def _no_value(keep_together: str, index: SampleIndex, series: int, row: int) -> SplitError:
    path = keep_together.partition(":")[2]
    return SplitError(
        f"split.keep_together={keep_together!r}: row {row} of {index.where(series)} has no value in '/{path}', so that "
        "it belongs to no group. Write a value there, or change keep_together"
    )
