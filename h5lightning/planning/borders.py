"""Where windows begin, and the borders beyond which their steps are padding: of series, and of parts of a split."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.core.frozen import Frozen
from h5lightning.planning.box_field import BoxField
from h5lightning.planning.draws import SampleDraws
from h5lightning.planning.fields import RowField
from h5lightning.planning.file_runs import RunReach
from h5lightning.planning.index import Location, SampleIndex
from h5lightning.planning.reach import WindowReach
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
        shift: rows from the start of the cell of each sample to the drawn start, ``(N,)``; None if none is drawn.
        others: where windows begin along the axes beside that of the rows, ``(N, axes)``; None for none.
        other_lengths: entries of the unit of each sample along these axes, ``(N, axes)``.
    """

    before: Int64Array
    after: Int64Array
    is_end: BoolArray
    units: Int64Array
    shift: Int64Array | None = None
    others: Int64Array | None = None
    other_lengths: Int64Array | None = None

    def of(self, which: Int64Array) -> Room:
        """The room around some of the samples, by their positions, ``(n,)``."""
        arrays: dict[str, Any] = {item.name: getattr(self, item.name) for item in fields(self)}
        arrays = {name: None if array is None else array[which] for name, array in arrays.items()}
        return replace(self, **arrays)

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
        """Which samples have such a step, or entries beyond the end of another axis, ``(N,)``."""
        first, stop = field.span
        is_outside: BoolArray = (first < -self.before) | (stop - 1 > self._last(field))
        if isinstance(field, BoxField) and field.other_axes and self.others is not None:
            sizes = [field.sizes[axis] for axis in field.other_axes]
            is_outside |= (self.others + np.asarray(sizes) > self.other_lengths).any(axis=1)
        return is_outside

    def padding_of(self, field: RowField) -> BoolArray:
        """Which entries of the windows of a field lie beyond the borders, ``(N, steps, …)``: along all their axes."""
        is_outside = self.is_padding(field)
        if not isinstance(field, BoxField) or self.others is None or self.other_lengths is None:
            return is_outside
        for number, axis in enumerate(field.other_axes):
            entries = self.others[:, number, None] + np.arange(field.sizes[axis])
            is_beyond = entries >= self.other_lengths[:, number, None]
            is_outside = is_outside[..., None] | is_beyond.reshape(len(is_beyond), *[1] * (number + 1), -1)
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
            edges = [
                np.stack([first_row[runs.series] + row for row in (runs.start, runs.stop)])
                for runs in part.runs()
            ]
            starts, stops = np.concatenate([np.zeros((2, 0), np.int64), *edges], axis=1)
            # Where one file of the part goes on in the next one, there is no border.
            cuts += [np.setdiff1d(starts, stops), np.setdiff1d(stops, starts)]
        every = np.unique(np.concatenate(cuts))
        return cls(index, first_row, every, np.isin(every[1:], ends))

    def room(self, ids: Int64Array, draws: SampleDraws | None = None) -> Room:
        """The room around the start of each sample, ``(N,)``; around the drawn one, if starts are drawn."""
        where = self.index.locate(ids)
        rows = self.first_row[where.series] + where.row
        part = self.cuts.searchsorted(rows, side="right") - 1
        units, grid = self.index.units[where.series], self.index.grid
        room = Room(rows - self.cuts[part], self.cuts[part + 1] - 1 - rows, self.is_end[part], units)
        if grid is not None and where.cell is not None:
            room = replace(room, others=grid.starts(units, where.cell), other_lengths=grid.lengths[units])
        if draws is None or not draws.jitters or not self.index.samples.jitter:
            return room
        return self._drawn(room, where, ids, draws)

    def _drawn(self, room: Room, where: Location, ids: Int64Array, draws: SampleDraws) -> Room:
        """The room around starts that are drawn between each cell and the next one, as far as windows stay inside."""
        reach, grid = self.index.reach, self.index.grid
        window = (
            reach.of_run.of(reach.runs.run[where.series])
            if isinstance(reach, RunReach)
            else reach.of(where.series)
        )
        needed: int | Int64Array = 0
        if isinstance(window, WindowReach) and window.pad is None:
            needed = np.where(room.is_end, window.after_end, window.after)
        most: Int64Array = np.minimum(reach.stride - 1, room.after - needed).clip(0)
        shift = draws.numbers(ids, most + 1)
        others = room.others
        if grid is not None and others is not None:
            most = grid.most_shifts(room.units, others).clip(0)
            drawn = [draws.numbers(ids, most[:, axis] + 1, axis + 1) for axis in range(grid.axes)]
            others = others + np.stack(drawn, axis=1)
        return replace(room, before=room.before + shift, after=room.after - shift, shift=shift, others=others)
