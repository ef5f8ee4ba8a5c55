import zlib

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored_chunks import decoded, stored_chunk

from h5lightning.storage.codecs import CodecError, FilterPipeline, builtin
from h5lightning.storage.codecs.builtin import Fletcher32, fletcher32, unshuffle


def test_a_decompression_bomb():
    bomb = np.frombuffer(zlib.compress(bytes(50_000_000)), np.uint8)
    with pytest.raises(CodecError, match="deflate: damaged, or more than 4096 bytes"):
        decoded(FilterPipeline([(1, (4,))], 4096), bomb, 4096)


# ── shuffle ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("library", ["blosc", "numpy"])
@pytest.mark.parametrize("itemsize", [1, 2, 3, 4, 7, 8, 12, 16, 100, 255, 256, 1000])
def test_unshuffle(itemsize, library, monkeypatch):
    if library == "numpy":
        monkeypatch.setattr(builtin, "load_if_installed", lambda name: None)
    for size in (1, 5, 99, 256, 1000, 4096, 10_007):
        values = np.frombuffer(np.random.default_rng(0).bytes(size), np.uint8)
        whole = size - size % itemsize
        shuffled = np.concatenate([values[:whole].reshape(-1, itemsize).T.ravel(), values[whole:]])
        out = np.zeros(size, np.uint8)
        unshuffle(itemsize).fill(shuffled, out)
        assert np.array_equal(out, values), size


def test_shuffled_bytes_of_another_size():
    with pytest.raises(CodecError, match="12 bytes, expected 16"):
        unshuffle(4).fill(np.zeros(12, np.uint8), np.zeros(16, np.uint8))


# ── fletcher32 ───────────────────────────────────────────────────────────────────────────────────────


def test_a_wrong_checksum():
    pipeline, stored, _ = stored_chunk(np.arange(100), {"fletcher32": True})
    damaged = stored.copy()
    damaged[50] ^= 1
    with pytest.raises(CodecError, match=r"fletcher32: checksum 0x\w{8}, expected 0x\w{8}"):
        decoded(pipeline, damaged, 800)


def test_the_checksum_of_old_versions():
    pipeline, stored, _ = stored_chunk(np.arange(100), {"fletcher32": True})
    swapped = stored.copy()
    swapped[-4:] = stored[[-3, -4, -1, -2]]
    assert decoded(pipeline, swapped, 800).tobytes() == np.arange(100).tobytes()


def test_a_checksum_is_taken_off_without_a_copy():
    _, stored, _ = stored_chunk(np.arange(100), {"fletcher32": True})
    assert np.shares_memory(Fletcher32().make(stored, 800), stored)


@given(data=st.binary(min_size=1, max_size=3000), fill=st.sampled_from([None, 0, 255]))
def test_fletcher32_is_that_of_hdf5(data, fill):
    values = np.frombuffer(data if fill is None else bytes([fill]) * len(data), np.uint8)
    assert fletcher32(values) == imagecodecs.h5checksum_fletcher32(values.tobytes())
