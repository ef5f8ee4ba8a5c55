"""Rows come to their slots: in any order, converted or not, and never beside them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.storage.readers.row_writer import RowWriter

COLUMNS = 3


def stored(dtype, rows=20):
    values = np.arange(rows * COLUMNS).reshape(rows, COLUMNS).astype(dtype)
    return values, values.view(np.uint8).reshape(rows, -1)


def buffer_of(size, dtype, *, is_strided=False):
    out = np.full((size, 2 * COLUMNS if is_strided else COLUMNS), -1, dtype)
    return out[:, ::2] if is_strided else out


@st.composite
def cases(draw):
    size = draw(st.integers(1, 20))
    slots = draw(st.permutations(range(size)))[: draw(st.integers(1, size))]
    rows = draw(st.lists(st.integers(0, 19), min_size=len(slots), max_size=len(slots)))
    return size, slots, rows


@given(
    cases(),
    st.sampled_from([("<f4", "<f4"), (">f4", "=f4"), ("<f4", "<f8"), (">i2", "=i2"), (">f8", "=f4")]),
    st.sampled_from(["rows", "pieces", "bytes"]),
    st.booleans(),
)
def test_rows_come_to_their_slots(case, types, unit, is_strided):
    size, slots, rows = case
    values, table = stored(types[0])
    out = buffer_of(size, types[1], is_strided=is_strided)
    row_bytes = table.shape[1]
    pieces = np.asarray(rows, np.int64)[:, None]
    if unit == "pieces":
        itemsize = values.itemsize
        pieces = pieces * COLUMNS + np.arange(COLUMNS)
        table = table.reshape(-1, itemsize)
    elif unit == "bytes":
        pieces, table = pieces * row_bytes, table.reshape(-1, 1)
    RowWriter(out, np.dtype(types[0]), row_bytes).put(table, pieces, np.asarray(slots, np.int64))
    expected = np.full((size, COLUMNS), -1.0)
    expected[slots] = values[rows]
    assert np.array_equal(out.astype("f8"), expected)


@pytest.mark.parametrize("slots", [[-1, 0], [3, 5]], ids=["before", "behind"])
def test_slots_outside_are_refused(slots):
    out = buffer_of(5, "<f4")
    _, table = stored("<f4")
    with pytest.raises(IndexError, match=r"out of bounds of a buffer \(5, 3\)"):
        RowWriter(out, np.dtype("<f4"), table.shape[1]).put(table, np.array([[0], [1]]), np.array(slots))
    assert (out == -1).all()


def test_parts_of_rows_go_to_their_slots():
    out = np.zeros((4, 4), "i4")
    values = np.arange(1, 7).reshape(3, 2)
    RowWriter(out, np.dtype("i4"), 16).put_values(values, np.array([3, 0, 2]), (slice(1, 3),))
    assert out[:, 1:3].tolist() == [[3, 4], [0, 0], [5, 6], [1, 2]]
