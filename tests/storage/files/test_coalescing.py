"""Runs hold all requested rows, decode a chunk once, and read little else."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.storage.files.coalescing import Runs, coalesce, merge_byte_ranges

ROWS = st.lists(st.integers(0, 300), min_size=1, max_size=60).map(
    lambda rows: np.sort(np.array(rows, dtype=np.int64))
)
KNOBS = st.fixed_dictionaries(
    {
        "row_bytes": st.integers(0, 50),
        "chunk_rows": st.none() | st.integers(1, 40),
        "max_gap_bytes": st.integers(0, 200),
        "max_run_bytes": st.integers(1, 2000),
    }
)


def run_of(runs):
    """The run of each requested row."""
    return np.repeat(np.arange(len(runs)), np.diff(runs.first))


def ints(*values):
    return np.array(values, dtype=np.int64)


@given(ROWS, KNOBS)
def test_each_row_lies_in_its_run(rows, knobs):
    runs = coalesce(rows, **knobs)
    assert np.all(runs.starts[run_of(runs)] <= rows)
    assert np.all(rows < runs.stops[run_of(runs)])


@given(ROWS, KNOBS)
def test_runs_begin_and_end_at_requested_rows(rows, knobs):
    runs = coalesce(rows, **knobs)
    assert np.array_equal(runs.starts, rows[runs.first[:-1]])
    assert np.array_equal(runs.stops - 1, rows[runs.first[1:] - 1])


@given(ROWS, KNOBS, st.integers(1, 40))
def test_each_chunk_is_decoded_once_and_only_if_it_is_requested(rows, knobs, chunk_rows):
    runs = coalesce(rows, **{**knobs, "chunk_rows": chunk_rows})
    decoded = [
        chunk
        for start, stop in zip(runs.starts, runs.stops, strict=True)
        for chunk in range(start // chunk_rows, (stop - 1) // chunk_rows + 1)
    ]
    assert decoded == sorted(set(rows // chunk_rows))


@given(ROWS, KNOBS)
def test_no_gap_inside_a_run_is_longer_than_allowed(rows, knobs):
    runs = coalesce(rows, **{**knobs, "chunk_rows": None})
    inside = np.diff(run_of(runs)) == 0
    gap_bytes = (np.diff(rows)[inside] - 1) * knobs["row_bytes"]
    assert np.all(gap_bytes <= knobs["max_gap_bytes"])


@given(ROWS, KNOBS)
def test_only_a_single_chunk_is_longer_than_the_limit(rows, knobs):
    runs = coalesce(rows, **knobs)
    cell = knobs["chunk_rows"] or 1
    cells = (runs.stops - 1) // cell - runs.starts // cell + 1
    assert np.all((cells == 1) | (cells * cell * knobs["row_bytes"] <= knobs["max_run_bytes"]))


@given(ROWS, KNOBS)
def test_without_a_limit_runs_are_as_few_as_the_gaps_allow(rows, knobs):
    runs = coalesce(rows, **{**knobs, "row_bytes": 8, "chunk_rows": None, "max_run_bytes": 10**9})
    assert len(runs) == 1 + np.count_nonzero((np.diff(rows) - 1) * 8 > knobs["max_gap_bytes"] // 8 * 8)


def test_long_reads_are_cut_at_chunk_borders():
    runs = coalesce(np.arange(5, 100), row_bytes=10, chunk_rows=10, max_run_bytes=300)
    assert runs.starts.tolist() == [5, 30, 60, 90]
    assert runs.stops.tolist() == [30, 60, 90, 100]


def test_no_rows_need_no_run():
    assert len(coalesce(ints(), row_bytes=8)) == 0


def test_rows_must_ascend():
    with pytest.raises(ValueError, match="ascend"):
        coalesce(ints(3, 2), row_bytes=8)


@pytest.mark.parametrize(
    ("starts", "stops", "first", "message"),
    [
        (ints(0, 5), ints(3), ints(0, 1, 2), "2 starts, 1 stops, 3 borders"),
        (ints(0, 5), ints(3, 6), ints(0, 1), "2 starts, 2 stops, 2 borders"),
        (ints(0, 2), ints(3, 6), ints(0, 1, 2), "disjoint"),
        (ints(3), ints(3), ints(0, 1), "ascend"),
        (ints(0, 5), ints(3, 6), ints(0, 0, 2), "at least one row"),
        (ints(0, 5), ints(3, 6), ints(1, 2, 3), "at least one row"),
    ],
    ids=["stops", "borders", "overlap", "empty", "serves-none", "first-not-zero"],
)
def test_broken_runs_are_refused(starts, stops, first, message):
    with pytest.raises(ValueError, match=message):
        Runs(starts, stops, first)


@given(
    st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 90)), min_size=1, max_size=40),
    st.integers(0, 200),
)
def test_merged_ranges_hold_all_bytes_and_no_wide_gap(ranges, gap):
    starts, sizes = np.array(ranges).T
    found = list(
        zip(*(column.tolist() for column in merge_byte_ranges(starts, sizes, max_gap_bytes=gap)), strict=True)
    )
    requested = {byte for start, size in ranges for byte in range(start, start + size)}
    held = {byte for start, size in found for byte in range(start, start + size)}
    assert requested <= held
    for (start, size), (after, _) in itertools.pairwise(found):
        assert after - (start + size) > gap
    for start, size in found:
        assert {start, start + size - 1} <= requested
        # No hole that is wider than what may be read for nothing.
        inside = sorted(requested & set(range(start, start + size)))
        assert all(right - left - 1 <= gap for left, right in itertools.pairwise(inside))
