"""Rows of unfiltered chunks that hold parts of rows: as h5py reads them, and no byte is read twice."""

import os
from dataclasses import replace
from itertools import pairwise

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from h5lightning.errors import BadFileError, FileChangedError
from h5lightning.options import Access
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.files.raw_file import RawFile
from h5lightning.storage.readers.decoded.chunk_cache import ChunkRowSlots
from h5lightning.storage.readers.decoded.decode_pool import DecodePool
from h5lightning.storage.readers.direct.chunk_map import map_chunks
from h5lightning.storage.readers.direct.known_source import KnownSource
from h5lightning.storage.readers.direct.open_source import OpenSource
from h5lightning.storage.readers.direct.reader import DirectReader
from h5lightning.storage.readers.direct.source_group import row_group
from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest
from h5lightning.storage.readers.row_writer import RowWriter

pytestmark = pytest.mark.timeout(120)
DTYPES = ("|b1", "|u1", ">i2", "<f4", ">f4", "<f8", ">c8", "<c16")
RANDOM = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


@pytest.fixture(params=[True, False], ids=["mapped", "by calls"])
def reader(request):
    with HandlePool(Access(memory_map=request.param)) as pool:
        yield DirectReader(pool)


def written(path, values, **options):
    with h5py.File(path, "w", userblock_size=options.pop("userblock", 0)) as file:
        file.create_dataset("x", data=values, **options)
    return str(path)


def values_of(dtype, shape, seed):
    raw = np.random.default_rng(seed).integers(0, 100, shape)
    return (raw % 2).astype(bool) if dtype == "|b1" else raw.astype(dtype)


def read_together(reader, paths, source, picks, slots, out):
    """Read rows of several files in one call: ``picks`` holds the rows of each."""
    borders = np.cumsum([0, *map(len, picks)])
    request = ReadRequest(source, borders, np.concatenate(picks).astype(np.int64), slots, out)
    reader.read(paths, [request])


@st.composite
def file_sets(draw):
    """Files with rows of one shape, in chunks of any grid, and rows of them."""
    row_shape = tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=3)))
    dtype = draw(st.sampled_from(DTYPES))
    grid = st.tuples(*(st.integers(1, length + 3) for length in row_shape))
    grids = draw(st.lists(grid, min_size=1, max_size=2))
    files = []
    for seed in range(draw(st.integers(1, 4))):
        rows = draw(st.integers(1, 30))
        chunks = (draw(st.integers(1, rows + 4)), *draw(st.sampled_from(grids)))
        options = {
            "chunks": chunks,
            "maxshape": (None,) * len(chunks),
            "userblock": draw(st.sampled_from([0, 512])),
        }
        picks = draw(st.lists(st.integers(0, rows - 1), max_size=12))
        files.append((values_of(dtype, (rows, *row_shape), seed), options, picks))
    return files


@settings(max_examples=150, **RANDOM)
@given(files=file_sets(), seed=st.integers(0, 9), widen=st.booleans())
def test_any_rows_of_any_files_and_grids(files, seed, widen, tmp_path_factory, reader):
    folder = tmp_path_factory.mktemp("split")
    paths = [
        written(folder / f"{number}.h5", values, **options)
        for number, (values, options, _) in enumerate(files)
    ]
    first = files[0][0]
    source = DatasetColumn("x", None, first.dtype.str, first.shape[1:])
    expected = np.concatenate([values[picks] for values, _, picks in files if picks] or [first[:0]])
    slots = np.random.default_rng(seed).permutation(len(expected) + seed % 3)[: len(expected)]
    native = first.dtype.newbyteorder("=")
    out = np.zeros((len(expected) + 3, *first.shape[1:]), np.result_type(native, "c16") if widen else native)
    read_together(reader, paths, source, [picks for _, _, picks in files], slots, out)
    assert np.array_equal(out[slots], expected)
    assert not np.delete(out, slots, axis=0).any()
    reader.close()


WIDE = {
    "blocks of 1 KiB": ((3, 16, 40), (7, 1, 16, 16)),
    "blocks of 64 KiB": ((2, 200, 300), (3, 1, 128, 128)),
    "blocks larger than rows": ((2, 30), (4, 8, 9000)),
    "many columns": ((4000,), (50, 3)),
    "bytes side by side": ((33,), (50, 1)),
}


@pytest.mark.parametrize("layout", WIDE)
def test_rows_of_any_size(layout, tmp_path, reader):
    row_shape, chunks = WIDE[layout]
    values = np.arange(25 * np.prod(row_shape), dtype=">f4").reshape(25, *row_shape)
    path = written(tmp_path / "a.h5", values, chunks=chunks, maxshape=(None,) * len(chunks))
    rows = np.random.default_rng(0).integers(0, 25, 60)
    out = np.empty((60, *row_shape), "f4")
    reader.read_rows(path, DatasetColumn("x", None, ">f4", row_shape), rows, out, np.arange(60)[::-1])
    assert np.array_equal(out[::-1], values[rows])
    whole = np.empty(values.shape, "f4")
    reader.read_whole(path, DatasetColumn("x", None, ">f4", values.shape), whole)
    assert np.array_equal(whole, values)


@pytest.mark.parametrize("rows", [1, 40, 400], ids=["one row", "few rows", "all rows"])
def test_no_byte_is_read_twice(rows, tmp_path, monkeypatch):
    values = np.arange(400 * 64.0).reshape(400, 64)
    paths = [written(tmp_path / f"{number}.h5", values + number, chunks=(50, 16)) for number in range(3)]
    source, read = DatasetColumn("x", None, "<f8", (64,)), []

    def preadv(descriptor, buffers, offset):
        size = real(descriptor, buffers, offset)
        read.append((descriptor, offset, size))
        return size

    real = os.preadv
    rng = np.random.default_rng(0)
    picks = [rng.permutation(400)[:rows] for _ in paths]
    out = np.empty((3 * rows, 64))
    with HandlePool(Access(memory_map=False)) as pool:
        reader = DirectReader(pool)
        read_together(reader, paths, source, picks, np.arange(3 * rows), out)
        monkeypatch.setattr(os, "preadv", preadv)
        read_together(reader, paths, source, picks, np.arange(3 * rows), out)
    expected = np.concatenate([values[pick] + number for number, pick in enumerate(picks)])
    assert np.array_equal(out, expected)
    read.sort()
    for (file, offset, size), (next_file, next_offset, _) in pairwise(read):
        assert file != next_file or offset + size <= next_offset
    # Gaps of up to 16 KiB are read, larger ones are not: a file has 200 KiB of values.
    assert sum(size for _, _, size in read) <= 3 * min(410, 64 * rows) * 512
    assert len(read) <= 3 * 4 * min(rows, 8)


def opened(path, source, memory_map, **changes):
    raw, pool = RawFile(path), DecodePool(0, 1)
    with h5py.File(path) as file:
        chunk_map = replace(map_chunks(file["x"].id, source, raw), **changes)
    known = KnownSource(raw, source, chunk_map, ChunkRowSlots(0, "x"), blocks=None, pool=pool)
    return OpenSource(known, raw.mapped() if memory_map else None), pool


@pytest.mark.parametrize("memory_map", [True, False], ids=["mapped", "by calls"])
def test_an_index_with_too_few_chunks_is_an_error(memory_map, tmp_path):
    path = written(tmp_path / "a.h5", np.zeros((10, 6)), chunks=(5, 2))
    source = DatasetColumn("x", None, "<f8", (6,))
    entry, pool = opened(path, source, memory_map)
    damaged, _ = opened(path, source, memory_map, offsets=entry.chunk_map.offsets[:-1])
    row_group([entry], pool)
    with pytest.raises(BadFileError, match=r"a.h5: the index has 5 chunks, expected 6: it was damaged"):
        row_group([damaged], pool)


def test_a_file_that_is_cut_off_is_an_error_where_it_is_read_by_calls(tmp_path):
    values = np.zeros((10, 6))
    path = written(tmp_path / "a.h5", values, chunks=(5, 2))
    source = DatasetColumn("x", None, "<f8", (6,))
    entry, pool = opened(path, source, memory_map=False)
    os.truncate(path, int(entry.chunk_map.offsets.max()) + 8)
    out = np.empty((10, 6))
    request = ReadRequest(source, np.array([0, 10]), np.arange(10), np.arange(10), out)
    with pytest.raises(FileChangedError, match="cut off while it was read"):
        row_group([entry], pool).put(request, RowWriter(out, np.dtype("<f8"), 48))
