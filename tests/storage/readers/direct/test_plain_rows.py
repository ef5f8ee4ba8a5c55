"""Rows of mapped datasets in one piece: the right bytes for any distances and runs, over real memory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.storage.readers.direct.gather import address_of
from h5lightning.storage.readers.direct.plain_rows import PlainRows
from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest
from h5lightning.storage.readers.row_writer import RowWriter


def check(starts, counts, row_bytes, run, seed=0):
    """Read runs of datasets that begin at some bytes, some of them without entries, into slots in any order."""
    rng = np.random.default_rng(seed)
    memory = rng.integers(0, 256, max(starts) + max(counts) * row_bytes, dtype=np.uint8)
    sizes = rng.integers(0, 4, len(starts)) * (np.asarray(counts) >= run)
    sizes[-1] += counts[-1] >= run
    rows = np.concatenate(
        [rng.integers(0, max(1, n - run + 1), k) for n, k in zip(counts, sizes, strict=True)]
    )
    borders, slots = np.concatenate([[0], np.cumsum(sizes)]), rng.permutation(sizes.sum())
    if not len(rows):
        return
    shape = (row_bytes,) if run == 1 else (run, row_bytes)
    out = np.zeros((len(rows), *shape), np.uint8)
    request = ReadRequest(DatasetColumn("x", None, "|u1", (row_bytes,)), borders, rows, slots, out, run)
    group = PlainRows(address_of(memory) + np.asarray(starts), np.asarray(counts), row_bytes, [memory])
    group.put(group.divided(request), RowWriter(out, np.dtype(np.uint8), row_bytes * run))
    begins = np.asarray(starts).repeat(sizes) + rows * row_bytes
    for slot, begin in zip(slots.tolist(), begins.tolist(), strict=True):
        assert np.array_equal(out[slot].ravel(), memory[begin : begin + run * row_bytes])


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 9)), min_size=1, max_size=6),
    st.sampled_from([1, 8, 12, 100, 512]),
    st.integers(1, 3),
)
def test_datasets_anywhere(datasets, row_bytes, run):
    check(*map(list, zip(*datasets, strict=True)), row_bytes, run)


@pytest.mark.parametrize("run", [1, 2, 16, 17, 70])
@pytest.mark.parametrize("row_bytes", [12, 4096])
def test_datasets_that_lie_whole_rows_apart(row_bytes, run):
    check([300 * row_bytes, 0, 100 * row_bytes], [80, 90, 71], row_bytes, run)
