"""Rows come to their slots: in any order, over several batches, converted or not, and never beside them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.readers.delivering import Delivery

COLUMNS = 3


def stored(dtype, rows=20):
    values = np.arange(rows * COLUMNS).reshape(rows, COLUMNS).astype(dtype)
    return values, values.view(np.uint8).reshape(rows, -1)


def batches_of(sizes, dtype, *, is_strided=False):
    width = 2 * COLUMNS if is_strided else COLUMNS
    outs = [np.full((size, width), -1, dtype) for size in sizes]
    return [out[:, ::2] for out in outs] if is_strided else outs


@st.composite
def cases(draw):
    size, number = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    sizes = [size] * (number - 1) + [draw(st.integers(1, size))]
    slots = draw(st.permutations(range(sum(sizes))))[: draw(st.integers(1, sum(sizes)))]
    rows = draw(st.lists(st.integers(0, 19), min_size=len(slots), max_size=len(slots)))
    return sizes, slots, rows


@given(
    cases(),
    st.sampled_from([("<f4", "<f4"), (">f4", "=f4"), ("<f4", "<f8"), (">i2", "=i2"), (">f8", "=f4")]),
    st.sampled_from(["rows", "pieces", "bytes"]),
    st.booleans(),
)
def test_rows_come_to_their_slots(case, types, unit, is_strided):
    sizes, slots, rows = case
    values, table = stored(types[0])
    outs = batches_of(sizes, types[1], is_strided=is_strided)
    row_bytes = table.shape[1]
    pieces = np.asarray(rows, np.int64)[:, None]
    if unit == "pieces":
        itemsize = values.itemsize
        pieces = pieces * COLUMNS + np.arange(COLUMNS)
        table = table.reshape(-1, itemsize)
    elif unit == "bytes":
        pieces, table = pieces * row_bytes, table.reshape(-1, 1)
    Delivery(outs, np.dtype(types[0]), row_bytes).put(table, pieces, np.asarray(slots, np.int64))
    found = np.concatenate(outs)
    expected = np.full((sum(sizes), COLUMNS), -1.0)
    expected[slots] = values[rows]
    assert np.array_equal(found.astype("f8"), expected)


@pytest.mark.parametrize("slots", [[-1, 0], [3, 5]], ids=["before", "behind"])
def test_slots_outside_are_refused(slots):
    outs = batches_of([3, 2], "<f4")
    _, table = stored("<f4")
    with pytest.raises(IndexError, match=r"out of bounds of a buffer \(5, 3\)"):
        Delivery(outs, np.dtype("<f4"), table.shape[1]).put(table, np.array([[0], [1]]), np.array(slots))
    assert all((out == -1).all() for out in outs)


def test_parts_of_rows_go_to_several_batches():
    outs = [np.zeros((2, 4), "i4"), np.zeros((2, 4), "i4")]
    values = np.arange(1, 7).reshape(3, 2)
    Delivery(outs, np.dtype("i4"), 16).put_values(values, np.array([3, 0, 2]), (slice(1, 3),))
    assert np.concatenate(outs)[:, 1:3].tolist() == [[3, 4], [0, 0], [5, 6], [1, 2]]
