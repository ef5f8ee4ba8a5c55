"""Boxes: what is decoded, what is refused, and what happens to files that change."""

import copy
import multiprocessing
import os
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import h5py
import hdf5plugin
import numpy as np
import pytest
from typer.testing import CliRunner

from h5lightning import H5Dataset
from h5lightning.cli import app
from h5lightning.errors import BadFileError, ChecksumError, FileChangedError, UnsupportedFieldError
from h5lightning.options import Access
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.box_request import BoxRequest, DatasetArray
from h5lightning.storage.readers.make_reader import make_reader
from h5lightning.storage.readers.protocol import DatasetColumn

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork"),
]
SHAPE, CHUNKS = (40, 30, 20), (10, 10, 10)
VALUES = np.arange(np.prod(SHAPE), dtype="<f4").reshape(SHAPE)
SOURCE = DatasetArray("x", None, "<f4", 3)
GZIP = {"chunks": CHUNKS, "compression": "gzip"}
STORAGES = {"contiguous": {}, "chunks": {"chunks": CHUNKS}, "gzip": GZIP}


def write(path, *, values=VALUES, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=values, **options)
    return str(path)


@pytest.fixture
def reader_of():
    pools = []

    def reader_of(name, **access):
        pools.append(HandlePool(Access(**access)))
        return make_reader(name, pools[-1])

    yield reader_of
    for pool in pools:
        pool.close()


def request_of(starts, sizes, *, source=SOURCE, borders=None, dtype="f4"):
    starts = np.asarray(starts, np.int64).reshape(-1, len(sizes))
    count = len(starts)
    out = np.full((count, *sizes), -1, dtype)
    return BoxRequest(source, np.asarray(borders or [0, count]), starts, sizes, np.arange(count), out)


def read(reader, path, starts, sizes=(10, 10, 10), **options):
    request = request_of(starts, sizes, **options)
    reader.read_boxes([path], [request])
    return request.out


def expected(starts, sizes=(10, 10, 10)):
    boxes = [tuple(slice(a, a + n) for a, n in zip(start, sizes, strict=True)) for start in starts]
    return np.stack([VALUES[box] for box in boxes])


def decoded(reader):
    return getattr(reader, "_direct", reader)._decoded.pool().filled


def random_starts(count, sizes=(10, 10, 10), seed=0):
    limits = np.asarray(SHAPE) - np.asarray(sizes) + 1
    return np.random.default_rng(seed).integers(0, limits, (count, 3)).tolist()


@pytest.mark.parametrize(
    ("name", "cache_bytes"), [("auto", 0), ("auto", 3 * 4000), ("auto", 10_000_000), ("h5py", 10_000_000)]
)
def test_each_chunk_is_decoded_once_in_a_call(name, cache_bytes, tmp_path, reader_of):
    path, reader = write(tmp_path / "a.h5", **GZIP), reader_of(name, cache_bytes=cache_bytes)
    first = request_of(random_starts(200), (10, 10, 10))
    second = request_of(random_starts(50, (3, 30, 2)), (3, 30, 2))
    reader.read_boxes([path], [first, second])
    assert decoded(reader) == 4 * 3 * 2
    assert np.array_equal(first.out, expected(random_starts(200)))
    assert np.array_equal(second.out, expected(random_starts(50, (3, 30, 2)), (3, 30, 2)))


@pytest.mark.parametrize("name", ["auto", "h5py"])
def test_only_the_chunks_of_the_boxes_are_decoded(name, tmp_path, reader_of):
    path, reader = write(tmp_path / "a.h5", **GZIP), reader_of(name)
    read(reader, path, [[0, 0, 0], [10, 10, 10], [0, 0, 0]])
    assert decoded(reader) == 2
    read(reader, path, [[5, 0, 0]])
    assert decoded(reader) == 3  # the one between them; the first stayed
    read(reader, path, [[5, 5, 5]])
    assert decoded(reader) == 8


def test_decoded_chunks_take_no_more_memory_than_they_may(tmp_path, reader_of):
    path, reader = write(tmp_path / "a.h5", **GZIP), reader_of("auto", cache_bytes=5 * 4100)
    for start in random_starts(60):
        assert np.array_equal(read(reader, path, [start]), expected([start]))
        assert all(len(cache) <= 8 for cache in reader._direct._decoded.pool()._caches.values())
    assert sum(len(cache) for cache in reader._direct._decoded.pool()._caches.values()) <= 5
    assert decoded(reader) > 24  # those that were forgotten were decoded again


def test_rows_and_boxes_of_one_dataset_are_not_confused(tmp_path, reader_of):
    """Chunks of one row each have the size of a chunk row, but chunks and rows have other numbers."""
    values = np.arange(12 * 8, dtype="<f4").reshape(12, 8)
    path = write(tmp_path / "a.h5", values=values, chunks=(1, 8), compression="gzip")
    reader, rows = reader_of("auto"), np.zeros((12, 8), np.float32)
    for _ in range(2):
        reader.read_rows(path, DatasetColumn("x", None, "<f4", (8,)), np.arange(12), rows)
        boxes = read(reader, path, [[3, 2], [11, 0]], (1, 3), source=DatasetArray("x", None, "<f4", 2))
        assert np.array_equal(rows, values)
        assert np.array_equal(boxes, [values[3:4, 2:5], values[11:12, :3]])


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("memory_map", [None, False])
@pytest.mark.parametrize("name", ["auto", "direct", "h5py"])
def test_boxes_outside_of_the_dataset(name, memory_map, storage, tmp_path, reader_of):
    path, reader = write(tmp_path / "a.h5", **STORAGES[storage]), reader_of(name, memory_map=memory_map)
    assert np.array_equal(read(reader, path, [[30, 20, 10]]), expected([[30, 20, 10]]))
    with pytest.raises(
        IndexError, match=r"'/x' in .* has shape \(40, 30, 20\), but the box .* at \(0, -1, 0\)"
    ):
        read(reader, path, [[31, 0, 0], [0, -1, 0]])
    with pytest.raises(
        FileChangedError, match=r"the box of shape \(10, 10, 10\) at \(0, 21, 0\) is requested"
    ):
        read(reader, path, [[0, 0, 0], [0, 21, 0]])
    with pytest.raises(FileChangedError, match="the box of shape"):
        read(reader, path, [[2**62, 0, 0]])
    with pytest.raises(FileChangedError, match=r"expected 2 axes as it was scanned"):
        read(reader, path, [[0, 0]], (2, 2), source=DatasetArray("x", None, "<f4", 2))
    with pytest.raises(FileChangedError, match=r"holds <f4, expected <f8"):
        read(reader, path, [[0, 0, 0]], source=DatasetArray("x", None, "<f8", 3), dtype="f8")


@pytest.mark.parametrize("name", ["auto", "h5py"])
def test_buffers_that_do_not_fit(name, tmp_path, reader_of):
    path, reader = write(tmp_path / "a.h5"), reader_of(name)
    request = request_of([[0, 0, 0]], (2, 2, 2))
    for slot in (-1, 1):
        wrong = BoxRequest(
            SOURCE, request.borders, request.starts, request.sizes, np.asarray([slot]), request.out
        )
        with pytest.raises(IndexError, match="out of bounds of a buffer"):
            reader.read_boxes([path], [wrong])
    wrong = BoxRequest(
        SOURCE, request.borders, request.starts, request.sizes, request.slots, request.out[..., :1]
    )
    with pytest.raises(ValueError, match=r"needs a buffer for boxes \(2, 2, 2\), found \(2, 2, 1\)"):
        reader.read_boxes([path], [wrong])
    with pytest.raises(ValueError, match=r"has 3 axes, but the boxes have starts \(1, 2\)"):
        read(reader, path, [[0, 0]], (2, 2))
    with pytest.raises(ValueError, match="only the values of columns are arrays"):
        DatasetArray("x", None, "<f4", 1, (3,))


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("memory_map", [None, False])
@pytest.mark.parametrize("name", ["auto", "h5py"])
def test_numbers_that_become_infinite(name, memory_map, storage, tmp_path, reader_of):
    values = np.full(SHAPE, 1e300)
    path = write(tmp_path / "a.h5", values=values, **STORAGES[storage])
    reader, source = reader_of(name, memory_map=memory_map), DatasetArray("x", None, "<f8", 3)
    for count in (1, 9):
        with pytest.raises(FloatingPointError):
            read(reader, path, random_starts(count), source=source)


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("memory_map", [None, False])
@pytest.mark.parametrize("name", ["auto", "h5py"])
def test_a_file_that_changes(name, memory_map, storage, tmp_path, reader_of):
    path = write(tmp_path / "a.h5", **STORAGES[storage])
    reader = reader_of(name, memory_map=memory_map)
    read(reader, path, [[0, 0, 0]])
    os.truncate(path, os.path.getsize(path) - 5000)
    with pytest.raises(FileChangedError):
        read(reader, path, [[30, 20, 10]])
    with pytest.raises(BadFileError):
        read(reader_of(name, memory_map=memory_map), path, [[30, 20, 10]])


@pytest.mark.parametrize("name", ["auto", "h5py"])
def test_a_damaged_chunk_is_named(name, tmp_path, reader_of):
    path = write(tmp_path / "a.h5", **GZIP)
    with h5py.File(path) as file:
        info = file["x"].id.get_chunk_info_by_coord((10, 20, 0))
    with open(path, "r+b") as file:
        file.seek(info.byte_offset)
        file.write(b"\xff" * info.size)
    reader = reader_of(name)
    assert np.array_equal(read(reader, path, [[0, 0, 0]]), expected([[0, 0, 0]]))
    with pytest.raises(BadFileError, match=r"the chunk at \(10, 20, 0\), "):
        read(reader, path, [[5, 15, 5]])


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("memory_map", [None, False])
@pytest.mark.parametrize("name", ["auto", "h5py"])
def test_damaged_bytes_are_not_delivered(name, memory_map, storage, tmp_path):
    values = np.random.default_rng(0).random((8, 300, 200)).astype("<f4")
    options = {} if storage == "contiguous" else STORAGES[storage] | {"chunks": (8, 100, 100)}
    path = write(tmp_path / "a.h5", values=values, **options)
    with h5py.File(path) as file:
        did = file["x"].id
        offset = did.get_offset() or did.get_chunk_info_by_coord((0, 0, 0)).byte_offset
    assert CliRunner().invoke(app, ["index", path, "--checksum"]).exit_code == 0
    status = os.stat(path)
    with open(path, "r+b") as raw:
        raw.seek(offset + 200_000)
        (byte,) = raw.read(1)
        raw.seek(offset + 200_000)
        raw.write(bytes([byte ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    dataset = H5Dataset(path, {"x": "x"}, reader=name, access={"verify": True, "memory_map": memory_map})
    reader = dataset._batches.reader
    sizes = (2, 100, 50)
    with pytest.raises(ChecksumError, match=r"'/x' in .*a\.h5: the " if name == "auto" else r"a\.h5: bytes"):
        read(reader, path, [[0, 200, 0] if storage == "contiguous" else [4, 0, 0]], sizes)
    if name == "auto":
        out = read(reader, path, [[6, 200, 150]], sizes)
        assert np.array_equal(out[0], values[6:, 200:, 150:])
    dataset.close()


def test_what_only_hdf5_reads(tmp_path, reader_of):
    values = np.arange(60, dtype="<i4").reshape(6, 10)
    source = DatasetArray("x", None, "<i4", 2)
    sources = [str(tmp_path / f"source{number}.h5") for number in range(2)]
    layout = h5py.VirtualLayout((6, 10), "<i4")
    for number, path in enumerate(sources):
        write(path, values=values[3 * number : 3 * number + 3])
        layout[3 * number : 3 * number + 3] = h5py.VirtualSource(path, "x", (3, 10))
    virtual = str(tmp_path / "virtual.h5")
    with h5py.File(virtual, "w") as file:
        file.create_virtual_dataset("x", layout)
    filtered = write(tmp_path / "b.h5", values=values, chunks=(4, 4), **hdf5plugin.BZip2())
    plain = write(tmp_path / "c.h5", values=values)
    starts = np.asarray([[2, 3], [0, 0], [1, 6]] * 3)
    request = request_of(starts, (3, 4), source=source, borders=[0, 3, 6, 9], dtype="i4")
    access = {"allow_external": str(tmp_path)}
    for name in ("auto", "h5py"):
        reader = reader_of(name, **access)
        request.out[...] = -1
        reader.read_boxes([virtual, filtered, plain], [request])
        boxes = [values[a : a + 3, b : b + 4] for a, b in starts.tolist()]
        assert np.array_equal(request.out, boxes)
    with pytest.raises(UnsupportedFieldError, match=r"'/x' in .*virtual\.h5 is virtual: .* reader='direct'"):
        reader_of("direct", **access).read_boxes([virtual, filtered, plain], [request])
    write(sources[1], values=values[:3])
    with pytest.raises(FileChangedError):
        read(reader, virtual, [[2, 3]], (3, 4), source=source, dtype="i4")


def test_columns_of_a_table_are_decoded_together(tmp_path, reader_of):
    table = np.zeros((20, 30), [("a", "<f4"), ("b", "<i2", (3,)), ("c", "<f8")])
    table["a"], table["b"] = np.arange(600).reshape(20, 30), np.arange(1800).reshape(20, 30, 3) % 1000
    path, reader = (
        write(tmp_path / "a.h5", values=table, chunks=(7, 8), compression="gzip"),
        reader_of("auto"),
    )
    starts, sizes = np.asarray([[2, 3], [11, 20]]), (9, 10)
    requests = []
    for source, shape in (
        (DatasetArray("x", "a", "<f4", 2), sizes),
        (DatasetArray("x", "b", "<i2", 2, (3,)), (*sizes, 3)),
    ):
        out = np.zeros((2, *shape), source.dtype)
        requests.append(BoxRequest(source, np.asarray([0, 2]), starts, sizes, np.arange(2), out))
    reader.read_boxes([path], requests)
    for request, member in zip(requests, "ab", strict=True):
        for out, (row, column) in zip(request.out, starts.tolist(), strict=True):
            assert np.array_equal(out, table[member][row : row + 9, column : column + 10])
    assert decoded(reader) == 4 + 4  # chunks of both boxes, each once for both columns
    with pytest.raises(FileChangedError, match=r"of arrays \(3,\), expected 2 axes"):
        read(reader, path, [[0, 0]], (1, 1), source=DatasetArray("x", "b", "<i2", 2), dtype="i2")


def read_in_process(reader, path, results):
    starts = random_starts(20, seed=os.getpid())
    results.put(int(not np.array_equal(read(reader, path, starts), expected(starts))))
    results.put(decoded(reader))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has files in memory")
@pytest.mark.parametrize("storage", STORAGES)
def test_forked_processes_share_their_chunks(storage, tmp_path, reader_of):
    path, reader = write(tmp_path / "a.h5", **STORAGES[storage]), reader_of("auto")
    starts = random_starts(200)
    assert np.array_equal(read(reader, path, starts), expected(starts))
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    processes = [context.Process(target=read_in_process, args=(reader, path, results)) for _ in range(2)]

    def begin():
        for process in processes:
            process.start()

    reader.start_workers(2, begin)
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    wrong, counts = zip(*[(results.get(), results.get()) for _ in processes], strict=True)
    assert not any(wrong)
    assert sum(counts) <= (24 if storage == "gzip" else 0)
    assert np.array_equal(read(reader, path, starts), expected(starts))


@pytest.mark.parametrize("name", ["auto", "h5py"])
def test_threads_and_copies_read_right_values(name, tmp_path, reader_of):
    path, reader = write(tmp_path / "a.h5", **GZIP), reader_of(name, cache_bytes=5 * 4100)
    copies = [reader, pickle.loads(pickle.dumps(reader)), copy.copy(reader)]

    def is_right(seed):
        starts = random_starts(10, seed=seed)
        return np.array_equal(read(copies[seed % 3], path, starts), expected(starts))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(is_right, range(24)))
    for one in copies:
        one.close()


@pytest.mark.parametrize("storage", STORAGES)
def test_what_is_fetched_ahead(storage, tmp_path, reader_of, monkeypatch):
    path, reader = write(tmp_path / "a.h5", **STORAGES[storage]), reader_of("auto")
    fetched = []
    monkeypatch.setattr(
        "h5lightning.storage.files.raw_file.RawFile.prefetch",
        lambda _, starts, sizes: fetched.append((starts.tolist(), sizes.tolist())),
    )
    monkeypatch.setattr("h5lightning.storage.files.raw_file.RawFile.may_be_mapped", property(lambda _: False))
    request = request_of([[5, 5, 0], [90, 0, 0]], (10, 2, 20))
    assert reader.prefetch_boxes([path], [request], only_remote=True, is_probe=False)
    ((starts, sizes),) = fetched
    with h5py.File(path) as file:
        did = file["x"].id
        count = did.get_num_chunks() if storage == "gzip" else 0
        chunks = [did.get_chunk_info(number) for number in range(count)]
    if storage == "gzip":
        touched = [chunk for chunk in chunks if chunk.chunk_offset[:2] in {(0, 0), (10, 0)}]
        assert sorted(zip(starts, sizes, strict=True)) == sorted((c.byte_offset, c.size) for c in touched)
    else:
        assert sum(sizes) == 10 * 2 * 20 * 4
    assert reader.prefetch_boxes([path], [request], only_remote=True, is_probe=True)
    read(reader, path, [[5, 5, 0]], (10, 2, 20))
    is_cold = reader.prefetch_boxes([path], [request], only_remote=True, is_probe=False)
    assert is_cold == (storage != "gzip")  # what was decoded is not fetched


def test_nothing_is_asked_for(tmp_path, reader_of):
    path = write(tmp_path / "a.h5", **GZIP)
    for name in ("auto", "direct", "h5py"):
        reader = reader_of(name)
        assert read(reader, path, []).shape == (0, 10, 10, 10)
        reader.read_boxes([path], [])
        assert read(reader, path, [[40, 30, 0]], (0, 0, 20)).shape == (1, 0, 0, 20)
        with pytest.raises(FileChangedError):
            read(reader, path, [[41, 0, 0]], (0, 1, 1))
