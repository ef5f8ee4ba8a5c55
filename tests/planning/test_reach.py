"""Which rows start samples: the grid of windows, with steps before and after them, and extra rows at the end."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.planning.reach import WholeReach, WindowReach, joined_reach


@given(
    rows=st.integers(0, 40),
    stride=st.integers(1, 5),
    before=st.integers(0, 9),
    after_end=st.integers(0, 9),
    extra=st.integers(0, 2),
    segment=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    is_padded=st.booleans(),
)
def test_counts_and_segments_agree_with_a_loop(rows, stride, before, after_end, extra, segment, is_padded):
    reach = WindowReach(stride, before, after_end + extra, after_end, "edge" if is_padded else None)
    grid = range(0 if is_padded else before, rows, stride)
    fits = [is_padded or row + after_end < rows for row in grid]
    assert reach.counts(np.array([rows])).tolist() == [sum(fits)]
    first, stop = sorted(min(bound, rows) for bound in segment)
    after = after_end if stop == rows else after_end + extra
    inside = [
        number
        for number, row in enumerate(grid)
        if (first <= row < stop if is_padded else first <= row - before and row + after < stop)
    ]
    low, high = (int(one[0]) for one in reach.numbers_within(*np.array([[first], [stop], [rows]])))
    assert list(range(low, high)) == inside


def test_series_may_differ():
    reach = WindowReach(1, 0, 3, np.array([3, 2, 3]))
    assert reach.counts(np.array([4, 4, 2])).tolist() == [1, 2, 0]
    assert reach.of(np.array([1, 1])).counts(np.array([4, 9])).tolist() == [2, 7]
    joined = joined_reach(WindowReach(2, 1, 4, 4), WindowReach(2, 0, 4, 4), np.array([False, True]))
    assert (joined.first.tolist(), joined.after, joined.span_rows) == ([1, 0], 4, 6)
    whole = WholeReach()
    assert joined_reach(whole, whole, np.array([True])) is whole
    assert whole.of(np.array([0])) is whole


@pytest.mark.parametrize(("rows", "expected"), [(0, []), (7, [0])])
def test_whole_series(rows, expected):
    first, stop = WholeReach().numbers_within(np.array([0]), np.array([rows]), np.array([rows]))
    assert list(range(int(first[0]), int(stop[0]))) == expected
    assert WholeReach().counts(np.array([rows])).tolist() == [len(expected)]
