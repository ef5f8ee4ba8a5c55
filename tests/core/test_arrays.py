"""Runs in a flat array, against the definition."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.core.arrays import distinct, flat_positions


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 20)), max_size=20))
def test_positions_are_those_of_each_run(runs):
    starts = np.array([start for start, _ in runs], dtype=np.int64)
    lengths = np.array([length for _, length in runs], dtype=np.int64)
    expected = [position for start, length in runs for position in range(start, start + length)]
    assert flat_positions(starts, lengths).tolist() == expected


@given(st.lists(st.one_of(st.integers(-1, 5), st.integers(-(2**31), 2**31 - 1)), max_size=40))
def test_distinct_numbers_are_those_of_numpy(numbers):
    array = np.array(numbers, dtype=np.int32)
    values, first, which = np.unique(array, return_index=True, return_inverse=True)
    found = distinct(array)
    assert [each.tolist() for each in found] == [values.tolist(), first.tolist(), which.tolist()]
    assert [each.dtype for each in found] == [np.int64] * 3
