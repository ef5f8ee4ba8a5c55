"""Filtered chunks that hold parts of rows: each is decoded once, as its filters say, and a damaged one is named."""

import zlib

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from h5lightning.errors import BadFileError
from h5lightning.options import Access
from h5lightning.storage.codecs import FilterPipeline
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.direct.reader import DirectReader
from h5lightning.storage.readers.make_reader import make_reader
from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest

pytestmark = pytest.mark.timeout(120)
ROW = (3, 20, 24)
SOURCE = DatasetColumn("x", None, "<f4", ROW)
NARROW = {"chunks": (8, 1, 16, 16), "compression": "gzip", "shuffle": True}


@pytest.fixture
def values():
    return np.arange(50 * np.prod(ROW), dtype="f4").reshape(50, *ROW)


def written(path, values, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=values, **options)
    return str(path)


def read(reader, path, rows, source=SOURCE):
    out = np.empty((len(rows), *source.row_shape), np.dtype(source.dtype).newbyteorder("="))
    reader.read_rows(path, source, np.asarray(rows), out)
    return out


@pytest.fixture
def decoded(monkeypatch):
    """The stored sizes of all chunks that were decoded."""
    sizes = []
    for name in ("decode", "make"):
        real = getattr(FilterPipeline, name)

        def spied(pipeline, stored, *args, real=real):
            sizes.append(len(stored))
            return real(pipeline, stored, *args)

        monkeypatch.setattr(FilterPipeline, name, spied)
    return sizes


@pytest.mark.parametrize("threads", [1, 3])
def test_each_chunk_is_decoded_once(threads, values, tmp_path, decoded):
    path = written(tmp_path / "a.h5", values, **NARROW)
    rows = np.random.default_rng(0).permutation(50)
    with HandlePool(Access()) as pool:
        reader = make_reader("direct", pool, threads=threads)
        for batch in np.split(rows, 5):
            assert np.array_equal(read(reader, path, batch), values[batch])
        reader.close()
    assert len(decoded) == 7 * 3 * 2 * 2


def test_files_with_other_grids_are_read_together(values, tmp_path, decoded):
    grids = [(8, 1, 16, 16), (8, 3, 7, 24), (8, *ROW), (5, 2, 20, 5)]
    paths = [
        written(tmp_path / f"{number}.h5", values + number, **NARROW | {"chunks": grid})
        for number, grid in enumerate(grids)
    ]
    rows = np.random.default_rng(0).integers(0, 50, 80)
    out = np.empty((80, *ROW), "f4")
    with HandlePool(Access()) as pool:
        request = ReadRequest(SOURCE, np.array([0, 20, 40, 60, 80]), rows, np.arange(80)[::-1], out)
        DirectReader(pool).read(paths, [request])
    assert np.array_equal(out[::-1], values[rows] + np.repeat(np.arange(4), 20)[:, None, None, None])
    heights = [grid[0] for grid in grids]
    needed = [len(np.unique(part // height)) for part, height in zip(np.split(rows, 4), heights, strict=True)]
    assert len(decoded) == np.dot(needed, [3 * 2 * 2, 3, 1, 2 * 5])


@st.composite
def narrow_chunks(draw):
    """A dataset in chunks that skipped some of their filters, and what h5py reads of it."""
    shape = (draw(st.integers(1, 20)), *draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    chunks = tuple(draw(st.integers(1, length + 3)) for length in shape)
    dtype = draw(st.sampled_from(["|u1", ">i2", "<f4", ">f8", "<c16"]))
    return shape, chunks, dtype, draw(st.integers(0, 99))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(dataset=narrow_chunks())
def test_chunks_that_skipped_filters(dataset, tmp_path_factory):
    shape, chunks, dtype, seed = dataset
    rng = np.random.default_rng(seed)
    path = str(tmp_path_factory.mktemp("masks") / "a.h5")
    with h5py.File(path, "w") as file:
        made = file.create_dataset(
            "x", shape, dtype, chunks=chunks, maxshape=(None,) * len(shape), shuffle=True, compression="gzip"
        )
        size = int(np.prod(chunks)) * made.dtype.itemsize
        for place in np.ndindex(*(-(-length // part) for length, part in zip(shape, chunks, strict=True))):
            content, mask = rng.integers(0, 3, size, np.uint8).tobytes(), int(rng.integers(4))
            planes = np.frombuffer(content, np.uint8).reshape(-1, made.dtype.itemsize)
            stored = content if mask & 1 else planes.T.tobytes()
            stored = stored if mask & 2 else zlib.compress(stored)
            origin = tuple(np.multiply(place, chunks).tolist())
            made.id.write_direct_chunk(origin, stored, filter_mask=mask)
    with h5py.File(path) as file:
        expected = file["x"][()]
    rows = np.arange(shape[0])[::-1]
    with HandlePool(Access()) as pool:
        reader = make_reader("auto", pool)  # HDF5 reads chunks at edges that may be stored without filters
        found = read(reader, path, rows, DatasetColumn("x", None, expected.dtype.str, shape[1:]))
    assert found.tobytes() == expected[rows].astype(found.dtype).tobytes()


def test_a_damaged_chunk_is_named(values, tmp_path):
    path = written(tmp_path / "a.h5", values, **NARROW)
    with h5py.File(path) as file:
        chunk = next(
            info
            for info in map(file["x"].id.get_chunk_info, range(84))
            if info.chunk_offset == (16, 2, 0, 16)
        )
    with open(path, "r+b") as raw:
        raw.seek(chunk.byte_offset + 5)
        raw.write(b"\xa5" * 8)
    where = rf"the chunk at \(16, 2, 0, 16\), {chunk.size} bytes at byte {chunk.byte_offset} of the file"
    with HandlePool(Access()) as pool:
        reader = DirectReader(pool)
        with pytest.raises(BadFileError, match=rf"'/x' in .*a\.h5: {where}, is not what the filters"):
            read(reader, path, [3, 17])
        assert np.array_equal(read(reader, path, [3, 40]), values[[3, 40]])
