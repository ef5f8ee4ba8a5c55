"""Whole rows: a group holds the maps of its rows, system calls read any rows, a table reaches all of memory."""

import gc
import itertools
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5lightning import H5Dataset
from h5lightning.storage.files.raw_file import RawFile
from h5lightning.storage.files.verified_blocks import VerifiedBlocks
from h5lightning.storage.readers.decoded.chunk_cache import ChunkRowSlots
from h5lightning.storage.readers.decoded.decode_pool import DecodePool
from h5lightning.storage.readers.direct.chunk_map import map_chunks
from h5lightning.storage.readers.direct.known_source import KnownSource
from h5lightning.storage.readers.direct.open_source import OpenSource
from h5lightning.storage.readers.direct.source_group import row_group
from h5lightning.storage.readers.direct.whole_rows import table_at
from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest
from h5lightning.storage.readers.row_writer import RowWriter

pytestmark = pytest.mark.timeout(60)

MAPPED_LAYOUTS = {"rows": {}, "chunks": {"chunks": (3, 5)}, "columns": {"chunks": (3, 2)}}


class Anything(VerifiedBlocks):
    """Checksums that any bytes have."""

    def __init__(self):
        self.is_whole = False

    def check_in(self, view, starts, size):
        assert len(view)


def is_mapped(path):
    return path in Path("/proc/self/maps").read_text(encoding="utf-8")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what is mapped")
@pytest.mark.parametrize("is_verified", [False, True], ids=["plain", "verified"])
@pytest.mark.parametrize("layout", MAPPED_LAYOUTS)
def test_a_group_of_rows_holds_its_map(layout, is_verified, tmp_path):
    path, values = str(tmp_path / "a.h5"), np.arange(60.0).reshape(12, 5)
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=values, **MAPPED_LAYOUTS[layout])
    raw, source = RawFile(path), DatasetColumn("x", None, "<f8", (5,))
    with h5py.File(path) as file:
        chunk_map = map_chunks(file["x"].id, source, raw)
    blocks, pool = Anything() if is_verified else None, DecodePool(0, 1)
    known = KnownSource(raw, source, chunk_map, ChunkRowSlots(0, "x"), blocks=blocks, pool=pool)
    group = row_group([OpenSource(known, raw.mapped())], pool)
    raw.close()
    del raw, known
    gc.collect()
    assert is_mapped(path)
    rows, out = np.array([11, 0, 5]), np.empty((3, 5))
    request = ReadRequest(source, np.array([0, 3]), rows, np.arange(3), out)
    group.put(request, RowWriter(out, np.dtype("<f8"), 40))
    assert (out == values[rows]).all()
    del group
    gc.collect()
    assert not is_mapped(path)


# ── by system calls ──────────────────────────────────────────────────────────────────────────────────

ROWS = (5, 3)
READ_LAYOUTS = {
    "contiguous": {},
    "chunked": {"chunks": (2, 17)},
    "userblock": {"userblock": 512},
}


@pytest.fixture(scope="module", params=READ_LAYOUTS.values(), ids=READ_LAYOUTS)
def dataset(request, tmp_path_factory):
    folder, layout = tmp_path_factory.mktemp("rows"), dict(request.param)
    userblock = layout.pop("userblock", 0)
    for number, rows in enumerate(ROWS):
        with h5py.File(folder / f"{number}.h5", "w", userblock_size=userblock) as file:
            values = np.arange(rows * 17.0).reshape(rows, 17) + 1000 * number
            file.create_dataset("native", data=values, **layout)
            file.create_dataset("swapped", data=values.astype(">f8"), **layout)
    fields = ["native", "swapped"]
    made = H5Dataset(str(folder / "*.h5"), fields, reader="direct", access={"memory_map": False})
    made.truth = np.concatenate(
        [np.arange(rows * 17.0).reshape(rows, 17) + 1000 * number for number, rows in enumerate(ROWS)]
    )
    yield made
    made.close()


def check(dataset, positions):
    batch = dataset.read_batch(list(positions))
    for key in ("native", "swapped"):
        assert np.array_equal(batch[key].numpy(), dataset.truth[list(positions)]), (key, positions)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_all_small_batches(dataset, size):
    """(0, 2, 2) lies in as many rows of the file as it asks for, and is not those."""
    for positions in itertools.product(range(len(dataset)), repeat=size):
        check(dataset, positions)


@settings(max_examples=60, deadline=None)
@given(positions=st.lists(st.integers(0, sum(ROWS) - 1), min_size=1, max_size=20))
def test_any_batch(dataset, positions):
    check(dataset, positions)


# ── tables over memory ───────────────────────────────────────────────────────────────────────────────


def address_of(array):
    return array.__array_interface__["data"][0]


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
