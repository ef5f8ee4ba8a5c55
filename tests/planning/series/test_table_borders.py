"""Series from the entries of tables: what they say, and what they must not say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.planning.series.row_borders import FlagBorders, RunBorders
from h5lightning.planning.series.table_borders import (
    BadTableError,
    from_ends,
    from_lengths,
    from_lengths_alone,
    from_offsets,
    from_stops,
)

_LENGTHS = st.lists(st.integers(0, 5), max_size=12)
_CUTS = st.lists(st.integers(0, 30), max_size=4)


def _plain(bounds):
    starts, rows, total = bounds
    assert starts.dtype == rows.dtype == np.int64
    return list(zip(starts.tolist(), rows.tolist(), strict=True)), total


def _expected(lengths):
    ends = np.cumsum(lengths).tolist()
    return [(end - rows, rows) for end, rows in zip(ends, lengths, strict=True)], sum(lengths)


@given(_LENGTHS)
def test_each_table_says_the_same_series(lengths):
    rows = np.asarray(lengths, np.int64)
    ends = np.cumsum(rows)
    expected = _expected(lengths)
    assert _plain(from_ends(ends, "ends")) == expected
    assert _plain(from_offsets(np.concatenate([[0], ends]).astype(np.int64), "offsets")) == expected
    assert _plain(from_lengths_alone(rows, "lengths")) == expected


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=12))
def test_gaps_belong_to_no_series(pieces):
    starts, stops, row = [], [], 0
    for gap, length in pieces:
        starts.append(row + gap)
        stops.append(row := row + gap + length)
    first, last = np.asarray(starts, np.int64), np.asarray(stops, np.int64)
    by_stops, by_lengths = from_stops(first, last, ("a", "b")), from_lengths(first, last - first, ("a", "b"))
    filled = [(start, stop - start) for start, stop in zip(starts, stops, strict=True) if stop > start]
    for bounds in (by_stops, by_lengths):
        series, total = _plain(bounds)
        assert [(start, rows) for start, rows in series if rows] == filled
        assert [rows for _, rows in series] == (last - first).tolist()
        assert [start for start, _ in series] == sorted(start for start, _ in series)
        assert total == max(
            (stop for start, stop in zip(starts, stops, strict=True) if stop > start), default=0
        )


@given(st.lists(st.lists(st.booleans(), min_size=7, max_size=7), min_size=1, max_size=3), _CUTS)
def test_flags_end_series(columns, cuts):
    borders = []
    for number, column in enumerate(columns):
        border = FlagBorders(f"flag{number}")
        for block in np.split(np.asarray(column, [bool, np.int8, np.float64][number % 3]), sorted(cuts)):
            border.add(block)
        borders.append(border)
    series, total = _plain(FlagBorders.bounds(borders))
    expected, start = [], 0
    for row in range(7):
        if any(column[row] for column in columns) or row == 6:
            expected.append((start, row + 1 - start))
            start = row + 1
    assert (series, total) == (expected, 7)


@given(
    st.lists(st.integers(0, 2), max_size=20),
    _CUTS,
    st.sampled_from([np.int64, "S4", object, np.float32, np.uint8]),
)
def test_runs_are_rows_of_equal_values(values, cuts, dtype):
    borders = RunBorders("episode")
    column = (
        np.asarray(values).astype(str).astype(object) if dtype is object else np.asarray(values).astype(dtype)
    )
    for block in np.split(column, sorted(cuts)):
        borders.add(block)
    series, total = _plain(borders.bounds())
    expected = []
    for row, value in enumerate(values):
        if row and values[row - 1] == value:
            expected[-1][1] += 1
        else:
            expected.append([row, 1, value])
    assert (series, total) == ([(start, rows) for start, rows, _ in expected], len(values))
    assert [float(name) for name in borders.names()] == [value for *_, value in expected]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: from_ends(np.array([3, 9, 5]), "'/ends'"), "'/ends' does not ascend: entry 2 is 5, after 9"),
        (lambda: from_ends(np.array([-1, 9]), "'/ends'"), "entry 0 of '/ends' is -1, expected 0 or above"),
        (lambda: from_offsets(np.array([3, 9]), "'/ptr'"), "'/ptr' begins with 3, expected 0"),
        (
            lambda: from_offsets(np.array([0, 9, 8]), "'/ptr'"),
            "'/ptr' does not ascend: entry 2 is 8, after 9",
        ),
        (lambda: from_offsets(np.array([], int), "'/ptr'"), "'/ptr' is empty"),
        (lambda: from_lengths_alone(np.array([3, -2]), "'/len'"), "entry 1 of '/len' is -2"),
        (
            lambda: from_lengths(np.array([0, 3]), np.array([3]), ("'/a'", "'/b'")),
            "'/a' has 2 entries and '/b' has 1",
        ),
        (
            lambda: from_lengths(np.array([0, 2]), np.array([3, 1]), ("'/a'", "'/b'")),
            r"series 1 begins at row 2 \('/a'\), but series 0 before it has the rows 0 to 2",
        ),
        (lambda: from_lengths(np.array([5, 0]), np.array([3, 1]), ("'/a'", "'/b'")), "series must ascend"),
        (
            lambda: from_lengths(np.array([-5, 0]), np.array([3, 1]), ("'/a'", "'/b'")),
            "entry 0 of '/a' is -5",
        ),
        (
            lambda: from_stops(np.array([0, 5]), np.array([3, 4]), ("'/a'", "'/b'")),
            "entry 1 of '/b' is 4, before the start 5",
        ),
        (lambda: from_lengths(np.array([2**62]), np.array([2**62]), ("'/a'", "'/b'")), "beyond"),
        (lambda: FlagBorders("'/f'").add(np.array([0, 1, 2])), r"'/f' holds 2 in row 2, expected 0 or 1"),
        (lambda: FlagBorders("'/f'").add(np.array([0, np.nan])), r"'/f' holds nan in row 1"),
        (lambda: RunBorders("'/r'").add(np.array([0, np.nan])), r"'/r' holds NaN in row 1"),
    ],
)
def test_an_impossible_table_is_explained(make, message):
    with pytest.raises(BadTableError, match=message):
        make()


def test_flags_of_different_lengths_are_explained():
    first, second = FlagBorders("'/a'"), FlagBorders("'/b'")
    first.add(np.zeros(3, bool))
    second.add(np.zeros(2, bool))
    with pytest.raises(BadTableError, match="'/a' has 3 entries and '/b' has 2"):
        FlagBorders.bounds([first, second])
