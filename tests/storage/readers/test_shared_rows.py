"""Rows that several requests ask for: each is read once, and every buffer gets its own."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest
from h5lightning.storage.readers.shared_rows import by_source, read_each_once, without_covered

X, Y = (DatasetColumn(name, None, "<i4", (2,)) for name in "xy")


def values_of(file, rows):
    """What row r of a file holds."""
    first = 1000 * file + rows
    return np.stack([first, -first], axis=-1)


class Recorder:
    """Reads made-up files, and keeps the rows that it was asked for in each file."""

    def __init__(self):
        self.rows = []

    def read(self, request):
        assert request.run == 1
        for file, (start, stop) in enumerate(zip(request.borders[:-1], request.borders[1:], strict=True)):
            part = slice(start, stop)
            self.rows.append(request.rows[part].tolist())
            request.out[request.slots[part]] = values_of(file, request.rows[part])


def asked(rows_of_files, *, more=0, dtype="i4", run=1):
    """A request for the entries of each file, and what its buffer must hold afterwards."""
    rows = np.concatenate([np.asarray(rows, np.int64) for rows in rows_of_files])
    borders = np.cumsum([0, *map(len, rows_of_files)])
    slots = np.random.default_rng(len(rows)).permutation(len(rows) + more)[: len(rows)]
    out = np.zeros((len(rows) + more, *((run,) if run > 1 else ()), 2), dtype)
    expected = out.copy()
    for file, (start, stop) in enumerate(pairwise(borders)):
        for entry in range(start, stop):
            steps = rows[entry] + np.arange(run)
            expected[slots[entry]] = values_of(file, steps if run > 1 else steps[0])
    return ReadRequest(X, borders, rows, slots, out, run), expected


def test_a_row_that_two_requests_ask_for_is_read_once():
    reader = Recorder()
    (one, expected_one), (two, expected_two) = asked([[3, 4], [4, 4]]), asked([[4, 9], [1, 4]], more=3)
    read_each_once([one, two], reader.read)
    assert reader.rows == [[3, 4, 9], [1, 4]]
    np.testing.assert_array_equal(one.out, expected_one)
    np.testing.assert_array_equal(two.out, expected_two)


def test_windows_that_overlap_read_each_row_once():
    reader = Recorder()
    (one, expected_one), (two, expected_two) = asked([[3, 4]], run=3), asked([[6, 7]])
    read_each_once([one, two], reader.read)
    assert reader.rows == [[3, 4, 5, 6, 7]]
    np.testing.assert_array_equal(one.out, expected_one)
    np.testing.assert_array_equal(two.out, expected_two)


def test_one_request_is_read_as_it_is():
    request, _ = asked([[3]], run=2)
    assert read_each_once([request], lambda one: one) is request


def test_a_value_that_becomes_infinite_in_one_of_the_buffers_is_an_error():
    column = DatasetColumn("x", None, "<f8", (2,))
    requests = [
        ReadRequest(column, np.array([0, 1]), np.array([1]), np.array([0]), np.zeros((1, 2), dtype))
        for dtype in ("f8", "f4")
    ]

    def read(request):
        request.out[:] = 1e300

    with pytest.raises(FloatingPointError):
        read_each_once(requests, read)


def test_requests_for_one_source_stay_in_order():
    requests = [
        ReadRequest(source, np.array([0]), np.zeros(0, int), np.zeros(0, int), np.zeros((0, 2)))
        for source in (X, Y, X)
    ]
    assert by_source(requests) == {X: [requests[0], requests[2]], Y: [requests[1]]}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=3, max_size=3),
            st.integers(0, 3),
            st.sampled_from(["i4", "i8"]),
            st.integers(1, 3),
        ),
        min_size=2,
        max_size=4,
    )
)
def test_each_buffer_gets_its_rows(chosen):
    reader = Recorder()
    pairs = [asked(rows, more=more, dtype=dtype, run=run) for rows, more, dtype, run in chosen]
    read_each_once([request for request, _ in pairs], reader.read)
    for request, expected in pairs:
        np.testing.assert_array_equal(request.out, expected)
    assert all(len(set(rows)) == len(rows) for rows in reader.rows)


@settings(deadline=None)
@given(
    windows=st.lists(st.lists(st.integers(0, 20), max_size=6), min_size=3, max_size=3),
    rows=st.lists(st.lists(st.integers(-3, 25), max_size=6), min_size=3, max_size=3),
)
def test_only_rows_inside_of_windows_of_their_file_are_copied(windows, rows):
    long, _ = asked(windows, run=4)
    single, expected = asked(rows)
    inside = all(
        any(first <= row < first + 4 for first in firsts)
        for firsts, of_file in zip(windows, rows, strict=True)
        for row in of_file
    )
    read, covered = without_covered([single, long])
    is_empty = not single.rows.size or not long.rows.size
    assert (len(covered) == 1) == (inside and not is_empty)
    assert read == ([long] if covered else [single, long])
    if covered:
        for file, (start, stop) in enumerate(pairwise(long.borders)):
            for first, slot in zip(long.rows[start:stop], long.slots[start:stop], strict=True):
                long.out[slot] = values_of(file, first + np.arange(4))
        covered[0].copy()
        np.testing.assert_array_equal(single.out, expected)


def test_a_slot_outside_of_the_buffer_is_not_copied_to():
    long, _ = asked([[3]], run=4)
    single = ReadRequest(X, np.array([0, 1]), np.array([4]), np.array([-1]), np.zeros((2, 2), "i4"))
    with pytest.raises(IndexError, match="slots -1 to -1"):
        without_covered([long, single])
