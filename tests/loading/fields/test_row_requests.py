"""Rows that several fields ask for: each is read once, and all of them in as few calls as possible."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5lightning.loading.fields.row_requests import RowRequest, by_files, read_rows
from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest

X, Y = (DatasetColumn(name, None, "<i4", (2,)) for name in "xy")


def values_of(path, column, rows):
    """What row r of a file holds; different in each file and dataset."""
    first = 1000 * int(path) + 100 * (column.path == "y") + rows
    return np.stack([first, -first], axis=1)


class Recorder:
    """A reader of made-up files that keeps what it was asked for."""

    def __init__(self):
        self.calls = []

    def read(self, files, takes):
        self.calls.append((list(files), [(take.source.path, take.rows.tolist()) for take in takes]))
        for take in takes:
            assert len(take.borders) == len(files) + 1
            for file, start, stop in zip(files, take.borders[:-1], take.borders[1:], strict=True):
                part = slice(start, stop)
                take.out[take.slots[part]] = values_of(file, take.source, take.rows[part])


def asked(column, rows_of_files, *, size=None, dtype="i4", rng=None):
    """A request for the rows of each file, and what its buffer must hold afterwards."""
    rows = np.concatenate([np.asarray(rows, np.int64) for rows in rows_of_files])
    borders = np.cumsum([0, *map(len, rows_of_files)])
    slots = (rng or np.random.default_rng(0)).permutation(size or len(rows))[: len(rows)]
    out = np.zeros((size or len(rows), 2), dtype)
    expected = out.copy()
    for file, rows_of_file in enumerate(rows_of_files):
        part = slice(borders[file], borders[file + 1])
        expected[slots[part]] = values_of(file, column, np.asarray(rows_of_file, np.int64))
    return ReadRequest(column, borders, rows, slots, out), expected


def test_different_columns_are_read_in_one_call():
    reader, (x, expected_x), (y, expected_y) = Recorder(), asked(X, [[3], [1, 2]]), asked(Y, [[3], [1, 2]])
    read_rows(reader, ["0", "1"], [RowRequest(x), RowRequest(y)])
    assert reader.calls == [(["0", "1"], [("x", [3, 1, 2]), ("y", [3, 1, 2])])]
    np.testing.assert_array_equal(x.out, expected_x)
    np.testing.assert_array_equal(y.out, expected_y)


def test_a_row_that_two_fields_ask_for_is_read_once():
    reader = Recorder()
    (one, expected_one), (two, expected_two) = asked(X, [[3, 4], [4, 4]]), asked(X, [[4, 9], [1, 4]], size=7)
    read_rows(reader, ["0", "1"], [RowRequest(one), RowRequest(two)])
    assert reader.calls == [(["0", "1"], [("x", [3, 4, 9, 1, 4])])]
    np.testing.assert_array_equal(one.out, expected_one)
    np.testing.assert_array_equal(two.out, expected_two)


def test_files_of_another_type_are_read_for_themselves():
    reader, (x, _), (y, _) = Recorder(), asked(X, [[1], [2], [3]]), asked(Y, [[5], [6]])
    requests = [RowRequest(x), RowRequest(y, (0, 2))]
    read_rows(reader, ["0", "1", "2"], requests)
    assert reader.calls == [(["0", "1", "2"], [("x", [1, 2, 3])]), (["0", "2"], [("y", [5, 6])])]
    assert [(list(paths), len(group)) for paths, group in by_files("012", requests)] == [
        (["0", "1", "2"], 1), (["0", "2"], 1)
    ]  # fmt: skip


def test_an_empty_batch_reads_nothing():
    reader, (x, _) = Recorder(), asked(X, [[]])
    read_rows(reader, [], [RowRequest(x), RowRequest(x)])
    assert reader.calls == []


def test_a_value_that_becomes_infinite_in_one_of_the_buffers_is_told():
    column = DatasetColumn("x", None, "<f8", (2,))

    class Large:
        def read(self, files, takes):
            takes[0].out[:] = 1e300

    requests = [RowRequest(asked(column, [[1]], dtype=dtype)[0]) for dtype in ("f8", "f4")]
    with pytest.raises(FloatingPointError):
        read_rows(Large(), ["0"], requests)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([X, Y]),
            st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=3, max_size=3),
            st.integers(0, 3),
            st.sampled_from(["i4", "i8"]),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_each_buffer_gets_its_rows(chosen):
    rng, reader, pairs = np.random.default_rng(1), Recorder(), []
    for column, rows, more, dtype in chosen:
        pairs.append(asked(column, rows, size=sum(map(len, rows)) + more, dtype=dtype, rng=rng))
    read_rows(reader, ["0", "1", "2"], [RowRequest(request) for request, _ in pairs])
    for request, expected in pairs:
        np.testing.assert_array_equal(request.out, expected)
    ((_, takes),) = reader.calls
    assert len({path for path, _ in takes}) == len(takes), "each column once"
