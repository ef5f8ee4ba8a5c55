"""Numbers that divide rows without gap or overlap, and flags that show a border."""

import numpy as np
import pytest

from h5lightning.storage.scanning.series.tiling import (
    are_ends,
    are_lengths,
    are_offsets,
    are_runs,
    are_starts,
    has_flag_inside,
    tile,
)

BIG = 2**62


def in_blocks(values, size):
    values = np.asarray(values)
    return [(start, values[start : start + size]) for start in range(0, len(values), size)]


@pytest.mark.parametrize(
    ("holds", "numbers", "rows", "expected"),
    [
        (are_ends, [3, 10], 10, True),
        (are_ends, [3, 3, 10], 10, True),
        (are_ends, [10, 10], 10, False),
        (are_ends, [-1, 10], 10, False),
        (are_ends, [0, 10], 10, False),
        (are_ends, [11, 10], 10, False),
        (are_ends, [BIG - 1, BIG], BIG, True),
        (are_offsets, [0, 3, 10], 10, True),
        (are_offsets, [0, 0, 10], 10, False),
        (are_offsets, [0, 1, 2, 3], 3, False),
        (are_offsets, [0, 12, 10], 10, False),
        (are_starts, [0, 3], 10, True),
        (are_starts, [0, 3, 3], 10, False),
        (are_starts, [0, 10], 10, False),
        (are_starts, [1, 3], 10, False),
        (are_starts, [0], 10, False),
        (are_lengths, [3, 7], 10, True),
        (are_lengths, [0, 3, 7], 10, True),
        (are_lengths, [10, 0], 10, False),
        (are_lengths, [13, -3], 10, False),
        (are_lengths, [1, 1, 1], 3, False),
        (are_lengths, [BIG, BIG, BIG, BIG, 4], 4, False),
    ],
)
def test_numbers_tile_rows(holds, numbers, rows, expected):
    assert holds(np.array(numbers, np.int64), rows) is expected


@pytest.mark.parametrize(
    ("starts", "stops", "expected"),
    [
        ([0, 4], [4, 10], True),
        ([4, 0], [10, 4], True),
        ([0, 99, 4], [4, 99, 10], True),
        ([0, 5], [4, 10], False),
        ([0, 3], [4, 10], False),
        ([0, 4], [4, 9], False),
        ([1, 4], [4, 10], False),
        ([0, 4], [10, 4], False),
    ],
)
def test_series_tile_rows(starts, stops, expected):
    assert tile(np.array(starts), np.array(stops), 10) is expected


@pytest.mark.parametrize("size", [1, 2, 3, 5, 9])
@pytest.mark.parametrize(
    ("flags", "at_start", "expected"),
    [
        ([0, 0, 0, 0, 1], False, False),
        ([0, 0, 0, 1, 0], False, True),
        ([1, 0, 0, 0, 0], False, True),
        ([1, 0, 0, 0, 0], True, False),
        ([0, 0, 0, 0, 1], True, True),
        ([1.0, 0.0, 1.0, 0.0, 0.0], True, True),
        ([0, 0, 0, 0, 0], False, False),
        ([0, 2, 0, 0, 0], False, False),
        ([0, np.nan, 0, 0, 0], False, False),
        ([0, -1, 0, 1, 0], False, False),
        ([True, True, True, True, True], False, True),
    ],
)
def test_flags_show_a_border_inside(flags, at_start, expected, size):
    assert has_flag_inside(in_blocks(flags, size), 5, at_start=at_start) is expected


def test_blocks_of_flags_are_read_up_to_the_first_border():
    def blocks():
        yield 0, np.array([0, 1])
        raise AssertionError

    assert has_flag_inside(blocks(), 9)


def test_row_numbers_are_known_by_the_first_block():
    def blocks():
        yield 0, np.arange(100)
        raise AssertionError

    assert not are_runs(blocks(), 1_000_000)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([0, 0, 1, 1, 1, 2], True),
        ([7, 7, 7, 3, 3, 3], True),
        ([0, 0, 0, 0, 0, 0], False),
        ([0, 1, 2, 3, 4, 5], False),
        ([0, 0, 1, 1, 0, 0], False),
        ([0, 1, 1, 2, 2, 3], False),
    ],
)
def test_runs_number_series(numbers, expected, size):
    assert are_runs(in_blocks(numbers, size), 6) is expected
