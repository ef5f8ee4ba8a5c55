"""Which rows two splits have in common: counted from what they are, not from how they were made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.options import Rows
from h5lightning.planning.index import SampleIndex, SampleRanges
from h5lightning.planning.splitting.split_plan import Segments

__all__ = ["shared_rows"]


def shared_rows(first: Segments, second: Segments, index: SampleIndex) -> int:
    """How many rows lie in both.

    Time and memory grow with the runs, not with the rows, unless rows are drawn at random on one side only.

    Args:
        first: the rows of one split.
        second: the rows of another.
        index: the index that was split.
    """
    by_row = replace(index, samples=Rows())
    runs = [by_row.ranges_within(part.series, part.start, part.stop) for part in (first, second)]
    if first.draw is None and second.draw is None:
        return _common(*runs)
    if first.draw and second.draw and first.draw.key == second.draw.key and _are_equal(*runs):
        return _common(first.draw.slices, second.draw.slices)
    if not _common(*runs):
        return 0
    return int(np.intersect1d(_all_rows(first, by_row), _all_rows(second, by_row)).size)


def _all_rows(part: Segments, by_row: SampleIndex) -> Int64Array:
    selection = part.selection(by_row)
    return selection(np.arange(len(selection)))


def _are_equal(first: SampleRanges, second: SampleRanges) -> bool:
    return np.array_equal(first.starts, second.starts) and np.array_equal(first.stops, second.stops)


def _common(first: SampleRanges, second: SampleRanges) -> int:
    """Numbers that lie in both: what both hold below each bound of the one, summed over its ranges."""
    first, second = first.merged(), second.merged()
    return int((_members_below(second, first.stops) - _members_below(second, first.starts)).sum())


def _members_below(ranges: SampleRanges, bounds: Int64Array) -> Int64Array:
    """How many members of ascending, disjoint ranges are below each bound, ``(bounds,)``."""
    before = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(ranges.stops - ranges.starts)])
    place = np.searchsorted(ranges.starts, bounds, side="left")
    # Of the last range that starts below the bound, only a part may lie below it.
    excess = np.zeros_like(bounds)
    inside = place > 0
    excess[inside] = np.maximum(ranges.stops[place[inside] - 1] - bounds[inside], 0)
    return before[place] - excess
