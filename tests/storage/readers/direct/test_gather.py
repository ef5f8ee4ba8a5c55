"""Rows anywhere in memory as rows of one table: exact, whatever the distances between them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.storage.readers.direct.gather import address_of, table_at


def rows_of(memory, starts, row_bytes):
    """The bytes of rows, as `table_at` finds them."""
    table, pieces = table_at(address_of(memory) + np.asarray(starts, np.int64), row_bytes)
    if table.shape[1] * pieces.shape[1] == row_bytes:
        return table[pieces.ravel()].reshape(len(starts), row_bytes)
    assert table.shape[1] == pieces.shape[1] == 1
    flat = table.reshape(-1)
    return np.stack([flat[start : start + row_bytes] for start in pieces[:, 0].tolist()])


@given(
    st.integers(1, 400).flatmap(
        lambda row_bytes: st.tuples(
            st.just(row_bytes), st.lists(st.integers(0, 5000 - row_bytes), min_size=1, max_size=20)
        )
    )
)
def test_rows_anywhere(case):
    row_bytes, starts = case
    memory = np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8)
    expected = np.stack([memory[start : start + row_bytes] for start in starts])
    assert np.array_equal(rows_of(memory, starts, row_bytes), expected)


@pytest.mark.parametrize(
    ("starts", "row_bytes", "unit"),
    [
        ([64, 0, 640], 64, 64),
        ([7, 7 + 30, 7 + 90], 30, 30),
        ([0, 4096, 4096 + 784], 784, 16),
        ([0, 4096 * 3, 4096 * 5], 12_288, 4096),
        ([0, 1001], 1001, 1001),
        ([0, 1002, 3003], 1001, 1),
        ([5], 1001, 1001),
    ],
    ids=["rows", "odd start", "maps of pages", "long rows in pages", "adjacent", "no common unit", "one"],
)
def test_the_unit_is_as_large_as_the_distances_allow(starts, row_bytes, unit):
    memory = np.zeros(32_768, np.uint8)
    table, pieces = table_at(address_of(memory) + np.asarray(starts, np.int64), row_bytes)
    assert table.shape[1] == unit
    assert pieces.shape == (len(starts), row_bytes // unit if unit > 1 else 1)


def test_arrays_far_apart_share_a_table():
    first, second = np.full(64, 1, np.uint8), np.full(1 << 22, 2, np.uint8)
    starts = np.array([address_of(second) + 8, address_of(first), address_of(second) + (1 << 21)])
    table, pieces = table_at(starts, 16)
    assert table[pieces.ravel()].reshape(3, 16)[:, 0].tolist() == [2, 1, 2]


def test_the_table_cannot_be_written():
    table, _ = table_at(np.array([address_of(np.zeros(8, np.uint8))]), 8)
    assert not table.flags.writeable
