"""The borders beyond which the steps of padded windows are padding: those of series, and of the parts of a split."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.core.frozen import Frozen
from h5lightning.planning.fields import RowField
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.splitting.split_plan import Segments

__all__ = ["Borders", "Room"]


@dataclass(frozen=True, slots=True, eq=False)
class Room:
    """The rows around the first row of each sample that lie within its borders.

    Args:
        before: rows before the first row, ``(N,)``.
        after: rows after it, ``(N,)``.
        is_end: whether the series ends there, so that a field may have extra rows, ``(N,)``.
        units: the unit of each sample, ``(N,)``.
    """

    before: Int64Array
    after: Int64Array
    is_end: BoolArray
    units: Int64Array

    def of(self, which: Int64Array) -> Room:
        """The room around some of the samples, by their positions, ``(n,)``."""
        return Room(self.before[which], self.after[which], self.is_end[which], self.units[which])

    def clipped(self, field: RowField) -> Int64Array:
        """The row of each step of a field within the borders, counted from the sample's first row, ``(N, steps)``."""
        clipped: Int64Array = field.offsets.clip(-self.before[:, None], self._last(field)[:, None])
        return clipped

    def is_padding(self, field: RowField) -> BoolArray:
        """Which steps of a field lie beyond the borders, ``(N, steps)``."""
        offsets = field.offsets
        is_outside: BoolArray = (offsets < -self.before[:, None]) | (offsets > self._last(field)[:, None])
        return is_outside

    def has_padding(self, field: RowField) -> BoolArray:
        """Which samples have such a step, ``(N,)``."""
        first, stop = field.span
        is_outside: BoolArray = (first < -self.before) | (stop - 1 > self._last(field))
        return is_outside

    def _last(self, field: RowField) -> Int64Array:
        """The last row of the field, counted from the sample's first row."""
        last: Int64Array = self.after + self.is_end * field.extra_rows_of(self.units)
        return last


@dataclass(frozen=True, slots=True, eq=False)
class Borders(Frozen):
    """Where rows that belong together end; rows are numbered over all series.

    Args:
        index: all samples.
        first_row: number of the first row of each series, ``(series,)``.
        cuts: number of the first row of each part, ascending, and the number of all rows, ``(parts + 1,)``.
        is_end: whether a series ends with each part, ``(parts,)``.
    """

    index: SampleIndex
    first_row: Int64Array
    cuts: Int64Array
    is_end: BoolArray

    @classmethod
    def of(cls, index: SampleIndex, parts: Iterable[Segments] = ()) -> Borders:
        """The borders of all series, and of parts of them."""
        if index.runs is None:
            ends = np.cumsum(index.series_rows)
            first_row = ends - index.series_rows
        else:  # rows of files that go on where others end are numbered one after the other
            first_row, ends = index.runs.first_rows, np.cumsum(index.runs.run_rows)
        cuts = [np.zeros(1, np.int64), ends]
        for part in parts:
            starts, stops = (first_row[part.series] + rows for rows in (part.start, part.stop))
            # Where one file of the part goes on in the next one, there is no border.
            cuts += [np.setdiff1d(starts, stops), np.setdiff1d(stops, starts)]
        every = np.unique(np.concatenate(cuts))
        return cls(index, first_row, every, np.isin(every[1:], ends))

    def room(self, ids: Int64Array) -> Room:
        """The room around each sample, ``(N,)``."""
        where = self.index.locate(ids)
        rows = self.first_row[where.series] + where.row
        part = self.cuts.searchsorted(rows, side="right") - 1
        return Room(
            rows - self.cuts[part],
            self.cuts[part + 1] - 1 - rows,
            self.is_end[part],
            self.index.units[where.series],
        )
