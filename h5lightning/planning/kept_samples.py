"""Which samples of the segments of a split are kept, where a part is a set of rows, or conditions leave rows out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from h5lightning.core.arrays import BoolArray, Int64Array, flat_positions
from h5lightning.core.bits import Bits
from h5lightning.planning.index import SampleIndex, SampleRanges
from h5lightning.planning.reach import WholeReach
from h5lightning.planning.row_filter import RowFilter, SampleRooms
from h5lightning.planning.selection import Kept, Members

__all__ = ["Runs", "kept_samples", "runs_of"]

_PIECE = 1 << 20  # samples that are looked at together


class Runs(NamedTuple):
    """Runs of rows, sorted by series and row; all arrays ``(runs,)``.

    Args:
        series: the series of each.
        start: its first row, counted in the series.
        stop: one past its last row.
        segment: the segment that it is a part of.
    """

    series: Int64Array
    start: Int64Array
    stop: Int64Array
    segment: Int64Array


def runs_of(series: Int64Array, start: Int64Array, stop: Int64Array, members: Bits | None) -> Iterator[Runs]:
    """The runs of rows of some segments, some at a time.

    Args:
        series: the series of each segment, ascending, ``(segments,)``.
        start: its first row, counted in the series.
        stop: one past its last row.
        members: the rows that count, numbered over the segments one after the other; None for all.
    """
    if members is None:
        yield Runs(series, start, stop, np.arange(len(series)))
        return
    ends = np.cumsum(stop - start)
    shift = start - (ends - (stop - start))  # from the number of a row to its number in the series
    for first, end in members.runs():
        low = ends.searchsorted(first, side="right")
        pieces = ends.searchsorted(end, side="left") - low + 1
        segment = flat_positions(low, pieces)
        which = np.arange(len(first)).repeat(pieces)
        begin = np.maximum(first[which], ends[segment] - (stop - start)[segment])
        last = np.minimum(end[which], ends[segment])
        filled = begin < last  # segments without rows lie between others
        segment, begin, last = segment[filled], begin[filled], last[filled]
        yield Runs(series[segment], begin + shift[segment], last + shift[segment], segment)


def kept_samples(
    index: SampleIndex, series: Int64Array, start: Int64Array, stop: Int64Array, members: Bits | None
) -> Kept | None:
    """The samples of segments that read only rows that count, by their positions among all samples of the segments.

    Args are those of `runs_of`.

    Returns:
        None where all samples of the segments are kept.
    """
    if members is None and index.filter is None:
        return None
    first, end = index.starts_within(series, start, stop)
    before = np.cumsum(end - first) - (end - first)
    if members is not None and index.filter is None and _is_by_row(index, start, first, end, stop):
        return members
    is_kept = np.zeros(int((end - first).sum()), np.bool_)
    runs = runs_of(series, start, stop, members)
    if index.runs is not None:
        runs = iter([_joined(list(runs))])  # runs that touch in neighbouring files are one
    for some in runs:
        own, own_end = index.starts_within(some.series, some.start, some.stop)
        shift = before[some.segment] - first[some.segment]
        _mark(is_kept, index, some, own, own_end, shift)
    if index.grid is None:
        return Bits.of_bools(is_kept)
    return _of_cells(index, is_kept, before, end - first, series)


def _is_by_row(
    index: SampleIndex, start: Int64Array, first: Int64Array, end: Int64Array, stop: Int64Array
) -> bool:
    """Whether each row of the segments is one sample."""
    is_single = index.reach.span_rows == 1 and not isinstance(index.reach, WholeReach)
    return is_single and index.grid is None and np.array_equal(end - first, stop - start)


def _joined(parts: list[Runs]) -> Runs:
    none = np.zeros(0, np.int64)
    return Runs(
        *(np.concatenate([none, *arrays]) for arrays in zip(*parts, strict=True)) if parts else [none] * 4
    )


def _mark(
    is_kept: BoolArray, index: SampleIndex, runs: Runs, first: Int64Array, end: Int64Array, shift: Int64Array
) -> None:
    """Write down which samples of runs are kept.

    Args:
        is_kept: by the position of each sample.
        index: all samples.
        runs: the runs.
        first: number of the first sample of each, counted in its series, ``(runs,)``.
        end: one past the number of the last one.
        shift: from the number of a sample in its series to its position.
    """
    if index.filter is None:
        _mark_ranges(is_kept, first + shift, end + shift)
        return
    rooms = _rooms(index, index.filter, runs)
    for which, numbers in _samples(first, end):
        positions = numbers + shift[which]
        is_kept[positions] = ~_left_out(index, index.filter, runs, rooms, which, numbers)


def _mark_ranges(is_kept: BoolArray, starts: Int64Array, stops: Int64Array) -> None:
    filled = np.flatnonzero(stops > starts)
    if filled.size:
        low, high = int(starts[filled].min()), int(stops[filled].max())
        edges = np.zeros(high - low + 1, np.int8)
        edges[starts[filled] - low] += 1
        edges[stops[filled] - low] -= 1
        is_kept[low:high] |= np.cumsum(edges[:-1], dtype=np.int8).view(np.bool_)


def _samples(first: Int64Array, end: Int64Array) -> Iterator[tuple[Int64Array, Int64Array]]:
    """The run of each sample, and its number, some at a time."""
    counts = end - first
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    for start in range(0, total, _PIECE):
        positions = np.arange(start, min(start + _PIECE, total))
        which = ends.searchsorted(positions, side="right")
        yield which, positions - (ends - counts - first)[which]


def _rooms(index: SampleIndex, rows: RowFilter, runs: Runs) -> tuple[Int64Array, Int64Array, BoolArray]:
    """The borders of each run, and whether a series ends there; runs that touch in joined files have common ones."""
    low, high = (rows.first_row[runs.series] + row for row in (runs.start, runs.stop))
    if index.runs is None:
        return low, high, runs.stop == index.series_rows[runs.series]
    run = index.runs.run[runs.series]
    order = np.lexsort((low, run))
    opens = np.ones(len(order), bool)
    opens[1:] = (run[order][1:] != run[order][:-1]) | (low[order][1:] != high[order][:-1])
    number = np.empty(len(order), np.int64)
    number[order] = np.cumsum(opens) - 1
    closes = np.append(opens[1:], True)[: len(order)]
    last = high[order][closes][number]
    run_ends = rows.first_row[index.runs.first_files[run]] + index.runs.run_rows[run]
    return low[order][opens][number], last, last == run_ends


def _left_out(
    index: SampleIndex,
    rows: RowFilter,
    runs: Runs,
    rooms: tuple[Int64Array, Int64Array, BoolArray],
    which: Int64Array,
    numbers: Int64Array,
) -> BoolArray:
    """Whether samples read a row that is left out; ``which`` are their runs, ``numbers`` count in their series."""
    series = runs.series[which]
    units = index.units[series]
    if isinstance(index.reach, WholeReach):
        return rows.leaves_out_series(series, index.series_rows[series], units)
    own = index.reach.first
    first = own if isinstance(own, int) else own[series]
    begin = rows.first_row[series] + first + numbers * index.stride_rows
    low, high, is_end = rooms
    samples = SampleRooms(begin, low[which], high[which], is_end[which], units)
    return rows.leaves_out(samples, index.reach.pad)


def _of_cells(
    index: SampleIndex, is_kept: BoolArray, before: Int64Array, counts: Int64Array, series: Int64Array
) -> Kept:
    """The positions of all cells of rows that are kept, as ranges: there may be far more cells than rows."""
    cells = np.broadcast_to(index.cells, len(index.series_rows))[series]
    first_cell = np.cumsum(counts * cells) - counts * cells
    rows = [np.stack(pair) for pair in Bits.of_bools(is_kept).runs()]
    edges = np.concatenate([np.zeros((2, 0), np.int64), *rows], axis=1)
    segment = np.searchsorted(before, edges, side="right") - 1
    starts, stops = first_cell[segment] + (edges - before[segment]) * cells[segment]
    return Members.of(SampleRanges(starts, stops))
