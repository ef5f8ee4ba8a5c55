"""The rows that conditions leave out, and which samples read one of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.core.bits import Bits
from h5lightning.core.frozen import Frozen, once
from h5lightning.planning.fields import RowField

__all__ = ["RowFilter", "SampleRooms"]

_MOST_COMPARED = 1 << 20  # rows of samples that are looked at together


class SampleRooms(NamedTuple):
    """Where samples begin and their borders lie; all rows are numbered as in a `RowFilter`, arrays are ``(N,)``.

    Args:
        rows: the first row of each sample.
        low: the first row within its borders.
        high: one past the last row within its borders that all fields have.
        is_end: whether a series ends there, so that a field may have extra rows.
        units: the unit of each.
    """

    rows: Int64Array
    low: Int64Array
    high: Int64Array
    is_end: BoolArray
    units: Int64Array

    def of(self, which: Int64Array) -> SampleRooms:
        """Those of some samples, by their positions."""
        rows, low, high = self.rows[which], self.low[which], self.high[which]
        return SampleRooms(rows, low, high, self.is_end[which], self.units[which])


@dataclass(frozen=True, eq=False)
class RowFilter(Frozen):
    """The rows of all series of which some are left out.

    Args:
        first_row: the number of the first row of each series, ``(series,)``; rows of files that go on where others end
            are numbered one after the other. Rows that only some fields have follow those of their series.
        left_out: the rows that are left out, by their numbers.
        fields: what samples read; none for single rows.
    """

    first_row: Int64Array
    left_out: Bits
    fields: tuple[RowField, ...] = ()

    def by_row(self) -> RowFilter:
        """The same rows, each of which is a sample."""
        return replace(self, fields=())

    def leaves_out(self, samples: SampleRooms, pad: str | None) -> BoolArray:
        """Which samples read a row that is left out, ``(N,)``; rows beyond the borders are padding and not read."""
        if all(not field.offsets.any() for field in self._distinct):
            return self.left_out.contains(samples.rows)
        found = np.zeros(len(samples.rows), np.bool_)
        near = np.flatnonzero(self._may_leave_out(samples))
        for field in self._distinct:
            for which in _pieces(near, len(field.offsets)):
                found[which] |= self._reads_left_out(field, samples.of(which), pad)
        return found

    def leaves_out_series(self, series: Int64Array, rows: Int64Array, units: Int64Array) -> BoolArray:
        """Which series have a row that is left out, ``(N,)``.

        Args:
            series: the series.
            rows: rows of each.
            units: the unit of each.
        """
        first, extra = self.first_row[series], self._most_extra(units)
        found: BoolArray = self.left_out.below(first + rows + extra) > self.left_out.below(first)
        return found

    @once
    def _distinct(self) -> tuple[RowField, ...]:
        """The fields that read different rows."""
        by_rows = {(field.steps, field.dilation, _key(field.extra_rows)): field for field in self.fields}
        return tuple(by_rows.values())

    def _most_extra(self, units: Int64Array) -> int | Int64Array:
        extra: int | Int64Array = 0
        for field in self._distinct:
            extra = np.maximum(extra, field.extra_rows_of(units))
        return extra

    def _may_leave_out(self, samples: SampleRooms) -> BoolArray:
        """Whether a row is left out between the first and the last row that the fields of each sample read."""
        last = samples.high - 1 + samples.is_end * self._most_extra(samples.units)
        first_step = min(int(field.offsets.min()) for field in self._distinct)
        last_step = max(int(field.offsets.max()) for field in self._distinct)
        # At the edge, a field without extra rows reads the last row of all.
        start = (samples.rows + first_step).clip(samples.low, samples.high - 1)
        stop = (samples.rows + last_step).clip(samples.low, last) + 1
        may: BoolArray = self.left_out.below(stop) > self.left_out.below(start)
        return may

    def _reads_left_out(self, field: RowField, samples: SampleRooms, pad: str | None) -> BoolArray:
        low = samples.low[:, None]
        last = (samples.high - 1 + samples.is_end * field.extra_rows_of(samples.units))[:, None]
        rows = samples.rows[:, None] + field.offsets
        is_left_out = self.left_out.contains(rows.clip(low, last))
        if pad == "zero":
            is_left_out &= (rows >= low) & (rows <= last)
        reads: BoolArray = np.logical_or.reduce(is_left_out, axis=1)
        return reads


def _key(extra_rows: int | Int64Array) -> int | bytes:
    return extra_rows if isinstance(extra_rows, int) else extra_rows.tobytes()


def _pieces(which: Int64Array, steps: int) -> Iterator[Int64Array]:
    size = max(1, _MOST_COMPARED // max(1, steps))
    return (which[start : start + size] for start in range(0, len(which), size))
