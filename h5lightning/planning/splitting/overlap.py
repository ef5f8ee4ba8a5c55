"""The rows that two splits share, counted from the rows themselves, not from how the split was made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.bits import Bits
from h5lightning.options import Rows
from h5lightning.planning.index import SampleIndex, SampleRanges
from h5lightning.planning.splitting.split_plan import Segments

__all__ = ["shared_rows"]


def shared_rows(first: Segments, second: Segments, index: SampleIndex) -> int:
    """The number of rows in both of two splits of an index.

    Time and memory grow with the runs, not with the rows, unless a split is a set of rows, or only one of them is a
    random subset.
    """
    by_row = replace(index, samples=Rows(), given_reach=None, grid=None, filter=None, first=0)
    runs = [by_row.ranges_within(part.series, part.start, part.stop) for part in (first, second)]
    if first.members is not None or second.members is not None:
        return len(_bits(first, by_row) & _bits(second, by_row))
    if first.subset is None and second.subset is None:
        return _common(*runs)
    if first.subset and second.subset and first.subset.key == second.subset.key and _are_equal(*runs):
        return _common(first.subset.slices, second.subset.slices)
    if not _common(*runs):
        return 0
    return int(np.intersect1d(_all_rows(first, by_row), _all_rows(second, by_row)).size)


def _all_rows(part: Segments, by_row: SampleIndex) -> Int64Array:
    selection = part.selection(by_row)
    return selection(np.arange(len(selection)))


def _bits(part: Segments, by_row: SampleIndex) -> Bits:
    """The rows of a part as a set of ids."""
    is_member = np.zeros(len(by_row), np.bool_)
    if part.subset is not None:
        is_member[_all_rows(part, by_row)] = True
        return Bits.of_bools(is_member)
    members = None if part.members is None else part.members.bools()
    ranges = by_row.ranges_within(part.series, part.start, part.stop).normalized()
    sizes = ranges.stops - ranges.starts
    places = zip(
        ranges.starts.tolist(), ranges.stops.tolist(), (np.cumsum(sizes) - sizes).tolist(), strict=True
    )
    for start, stop, first in places:
        is_member[start:stop] = True if members is None else members[first : first + stop - start]
    return Bits.of_bools(is_member)


def _are_equal(first: SampleRanges, second: SampleRanges) -> bool:
    return np.array_equal(first.starts, second.starts) and np.array_equal(first.stops, second.stops)


def _common(first: SampleRanges, second: SampleRanges) -> int:
    """The number of members of both: members of ``second`` below each bound of ``first``, summed over its ranges."""
    first, second = first.normalized(), second.normalized()
    return int((_members_below(second, first.stops) - _members_below(second, first.starts)).sum())


def _members_below(ranges: SampleRanges, bounds: Int64Array) -> Int64Array:
    """The number of members below each bound, ``(bounds,)``; the ranges ascend and are disjoint."""
    before = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(ranges.stops - ranges.starts)])
    started = np.searchsorted(ranges.starts, bounds, side="left")
    # The last range that starts below the bound may reach beyond it.
    excess = np.zeros_like(bounds)
    inside = started > 0
    excess[inside] = np.maximum(ranges.stops[started[inside] - 1] - bounds[inside], 0)
    return before[started] - excess
