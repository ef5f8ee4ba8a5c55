"""Blocks that begin anywhere in memory are gathered as slices would copy them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.storage.readers.direct.gather import address_of, bytes_at, gather

MEMORY = np.random.default_rng(0).integers(0, 256, 100_000, dtype=np.uint8)


def gathered(starts, size, memory=MEMORY):
    out = np.empty(len(starts) * size, np.uint8)
    gather(address_of(memory) + np.asarray(starts, np.int64), size, out)
    return out.reshape(len(starts), size)


@given(
    size=st.integers(1, 300) | st.sampled_from([512, 1024, 4096, 20_000, 1 << 15]),
    step=st.sampled_from([1, 2, 8, 64, 1024]),
    seed=st.integers(0, 99),
)
def test_blocks_anywhere(size, step, seed):
    starts = np.random.default_rng(seed).integers(0, (len(MEMORY) - size) // step + 1, 20) * step
    expected = [MEMORY[start : start + size] for start in starts.tolist()]
    assert np.array_equal(gathered(starts, size), expected)


@pytest.mark.parametrize("starts", [[0], [5], [99_000, 0], [7, 7]])
def test_first_and_last_bytes(starts):
    assert np.array_equal(gathered(starts, 1000), [MEMORY[start : start + 1000] for start in starts])


def test_arrays_far_apart():
    first, second = np.full(64, 1, np.uint8), np.full(1 << 22, 2, np.uint8)
    out = np.empty(3 * 16, np.uint8)
    gather(np.array([address_of(second) + 8, address_of(first), address_of(second) + (1 << 21)]), 16, out)
    assert out[::16].tolist() == [2, 1, 2]


def test_bytes_at_cannot_be_written():
    found = bytes_at(address_of(MEMORY) + 3, 5)
    assert np.array_equal(found, MEMORY[3:8])
    assert not found.flags.writeable
