"""The direct reader equals the h5py reader bit for bit, says why where it cannot read, and is never silently wrong."""

import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from h5lightning.errors import BadFileError, FileChangedError, UnsupportedFieldError
from h5lightning.options import Access
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.files.raw_file import RawFile
from h5lightning.storage.hdf5.open_file import opened_file
from h5lightning.storage.readers.decoded.chunk_cache import ChunkRowSlots
from h5lightning.storage.readers.decoded.decode_pool import DecodedChunkRows, DecodePool
from h5lightning.storage.readers.direct import chunk_map_cache
from h5lightning.storage.readers.direct.chunk_map import ChunkMap
from h5lightning.storage.readers.direct.known_source import KnownSource
from h5lightning.storage.readers.direct.open_source import OpenSource
from h5lightning.storage.readers.direct.reader import DirectReader
from h5lightning.storage.readers.direct.source_group import row_group
from h5lightning.storage.readers.libhdf5.reader import H5pyReader
from h5lightning.storage.readers.make_reader import make_reader
from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest
from h5lightning.storage.readers.row_writer import RowWriter

DTYPES = (
    "<f4",
    ">f4",
    "<f8",
    ">f8",
    "<f2",
    ">f2",
    "|b1",
    "|i1",
    "|u1",
    "<i2",
    ">u2",
    "<i4",
    "<u4",
    ">i8",
    "<u8",
)
COMPLEX = ("<c8", ">c8", "<c16", ">c16")
FILTERS = {
    "none": {},
    "shuffle": {"shuffle": True},
    "fletcher32": {"fletcher32": True},
    "gzip": {"compression": "gzip", "compression_opts": 1},
    "gzip-shuffle": {"compression": "gzip", "shuffle": True},
    "gzip-all": {"compression": "gzip", "shuffle": True, "fletcher32": True},
    "lzf": {"compression": "lzf"},
    "lzf-all": {"compression": "lzf", "shuffle": True, "fletcher32": True},
    "blosc-lz4": hdf5plugin.Blosc(cname="lz4"),
    "blosc-zstd-bits": hdf5plugin.Blosc(cname="zstd", shuffle=hdf5plugin.Blosc.BITSHUFFLE),
    "blosc2": hdf5plugin.Blosc2(),
    "blosc2-boxes": hdf5plugin.Blosc2(cname="zstd", clevel=0),
    "lz4": hdf5plugin.LZ4(),
    "lz4-blocks": hdf5plugin.LZ4(nbytes=100),
    "zstd": hdf5plugin.Zstd(),
    "zstd-fletcher32": {**hdf5plugin.Zstd(), "fletcher32": True},
    "bitshuffle": hdf5plugin.Bitshuffle(cname="none"),
    "bitshuffle-lz4": hdf5plugin.Bitshuffle(cname="lz4"),
    "bitshuffle-zstd": hdf5plugin.Bitshuffle(cname="zstd"),
    "bitshuffle-blocks": hdf5plugin.Bitshuffle(nelems=16, cname="lz4"),
}
ROWS = 60


def sample_values(dtype, shape, seed=0, *, noisy=False):
    """Values of a type: few different ones, which compress, or any bits at all, which do not."""
    rng = np.random.default_rng(seed)
    if dtype == "|b1":
        return rng.integers(0, 2, shape).astype(bool)
    if noisy:
        size = np.dtype(dtype).itemsize
        return np.frombuffer(rng.bytes(size * int(np.prod(shape))), dtype).reshape(shape)
    values = rng.integers(0, 100, shape).astype(dtype)
    return values + 1j * values.real[::-1] if np.dtype(dtype).kind == "c" else values


def write(path, values, libver=None, userblock=0, **options):
    with h5py.File(path, "w", libver=libver, userblock_size=userblock) as file:
        file.create_dataset("x", data=values, **options)
    return str(path), DatasetColumn("x", None, values.dtype.str, values.shape[1:])


@pytest.fixture(scope="module")
def readers():
    """The direct reader without a fallback, by maps and by calls of the system, and the reader that it must equal."""
    unmapped = HandlePool(Access(memory_map=False))
    with HandlePool(Access()) as pool, unmapped, HandlePool(Access(max_open_files=2)) as other:
        yield [DirectReader(pool), DirectReader(unmapped)], H5pyReader(other)


@pytest.fixture
def make(tmp_path):
    """A function that writes one dataset ``x``, and returns the path and the source."""
    return lambda values, name="a.h5", **options: write(tmp_path / name, values, **options)


@pytest.fixture
def direct():
    """A direct reader without a fallback."""
    with HandlePool(Access()) as pool:
        yield DirectReader(pool)


@pytest.fixture(params=[True, False], ids=["mapped", "by calls"])
def either(request):
    """A direct reader that reads what has no filters from maps, or by calls of the system."""
    with HandlePool(Access(memory_map=request.param)) as pool:
        yield DirectReader(pool)


def read(reader, path, source, rows, dtype=None):
    out = np.empty((len(rows), *source.row_shape), dtype or np.dtype(source.dtype).newbyteorder("="))
    reader.read_rows(path, source, np.asarray(rows, dtype=np.int64), out)
    return out


# ── equal to h5py ────────────────────────────────────────────────────────────────────────────────────


@st.composite
def datasets(draw):
    """Values and how they are stored."""
    shape = (draw(st.integers(1, 40)), *draw(st.lists(st.integers(1, 9), max_size=3)))
    dtype = draw(st.sampled_from(DTYPES + COMPLEX))
    values = sample_values(dtype, shape, draw(st.integers(0, 99)), noisy=draw(st.booleans()))
    options = {
        "libver": draw(st.sampled_from([None, "latest"])),
        "userblock": draw(st.sampled_from([0, 512])),
    }
    if draw(st.booleans()):
        options |= FILTERS[draw(st.sampled_from(sorted(FILTERS)))]
        options["chunks"] = tuple(draw(st.integers(1, length)) for length in shape)
        if draw(st.booleans()):
            options["maxshape"] = (None, *shape[1:])
    return values, options


@st.composite
def requests(draw, rows, dtype):
    """Rows, their slots, slots of the buffer in all, and its type."""
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    count, spare = draw(st.integers(1, 40)), draw(st.integers(0, 3))
    requested = rng.integers(0, rows, count)
    slots = rng.permutation(count + spare)[:count]
    native = np.dtype(dtype).newbyteorder("=")
    wider = {"f": ["f2", "f4", "f8"], "c": ["c8", "c16"], "b": ["f4", "i8"]}.get(native.kind, ["f8"])
    delivered = np.dtype(draw(st.sampled_from([native.str, native.str, *wider])))
    return np.sort(requested) if draw(st.booleans()) else requested, slots, count + spare, delivered


def check_equal(data, path, readers):
    values, options = data.draw(datasets())
    path, source = write(path, values, **options)
    both, library = readers
    direct = data.draw(st.sampled_from(both))
    try:
        reason = direct.reason(path, source)
        if OLD_LIBRARY in reason:
            return
        assert reason in ("", EDGES)
        if reason:
            assert any(length % chunk for length, chunk in zip(values.shape, options["chunks"], strict=True))
            return
        for _ in range(2):
            rows, slots, most, dtype = data.draw(requests(len(values), values.dtype))
            found, expected = (np.zeros((most, *source.row_shape), dtype) for _ in range(2))
            with np.errstate(all="ignore"):
                becomes_infinite = np.isfinite(values[rows]) & ~np.isfinite(values[rows].astype(dtype))
            if becomes_infinite.any():
                for reader, out in ((library, expected), (direct, found)):
                    with pytest.raises(FloatingPointError):
                        reader.read_rows(path, source, rows, out, slots)
                continue
            library.read_rows(path, source, rows, expected, slots)
            direct.read_rows(path, source, rows, found, slots)
            assert found.tobytes() == expected.tobytes()
        whole = np.zeros(values.shape, values.dtype.newbyteorder("="))
        direct.read_whole(path, DatasetColumn("x", None, source.dtype, values.shape), whole)
        assert whole.tobytes() == values.astype(whole.dtype).tobytes()
    finally:
        direct.close()
        library.close()


OLD_LIBRARY = "this imagecodecs refuses"  # elements of other than 1, 2, 4 and 8 bytes in bitshuffle
EDGES = "has chunks at its edges that may be stored without filters"
RANDOM = {
    "deadline": None,
    "suppress_health_check": [
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
}


@given(data=st.data())
@settings(max_examples=260, **RANDOM)
def test_any_rows_of_any_dataset_equal_those_of_h5py(data, tmp_path, readers):
    check_equal(data, tmp_path / "a.h5", readers)


@pytest.mark.campaign
@pytest.mark.timeout(1800)
@given(data=st.data())
@settings(max_examples=5000, **RANDOM)
def test_campaign_any_rows_of_any_dataset_equal_those_of_h5py(data, tmp_path, readers):
    check_equal(data, tmp_path / "a.h5", readers)


@pytest.mark.parametrize("filters", list(FILTERS))
def test_each_filter_with_each_type(filters, make, direct):
    rows = np.random.default_rng(0).integers(0, ROWS, 50)
    for number, dtype in enumerate(DTYPES + COMPLEX):
        values = sample_values(dtype, (ROWS, 3, 7))
        path, source = make(values, f"{number}.h5", chunks=(10, 3, 7), **FILTERS[filters])
        if OLD_LIBRARY in direct.reason(path, source):  # it knows elements of 1, 2, 4 and 8 bytes only
            continue
        assert direct.reason(path, source) == "", dtype
        expected = values[rows].astype(values.dtype.newbyteorder("="))
        assert read(direct, path, source, rows).tobytes() == expected.tobytes(), dtype


@pytest.mark.parametrize("width", [1, 300], ids=["short", "long"])
@pytest.mark.parametrize(
    "options", [{}, {"chunks": True}, {"compression": "gzip"}], ids=["plain", "chunks", "gzip"]
)
@pytest.mark.parametrize("kind", ["range", "scattered", "reversed"])
def test_slots(kind, options, width, make, either):
    values = sample_values(">f4", (500, width))
    path, source = make(values, **options)
    rows = np.random.default_rng(0).integers(0, 500, 30)
    slots = {"range": np.arange(5, 35), "scattered": np.arange(30) * 2, "reversed": np.arange(30)[::-1]}[kind]
    out = np.full((60, width), -1, "f4")
    either.read_rows(path, source, rows, out, slots)
    assert np.array_equal(out[slots], values[rows])
    assert (np.delete(out, slots, axis=0) == -1).all()


def test_chunk_rows_larger_than_the_cache(make):
    values = np.arange(4000 * 8, dtype="<i8").reshape(4000, 8)
    path, source = make(values, chunks=(100, 8), compression="gzip")
    rows = np.random.default_rng(0).permutation(4000)
    for cache_bytes in (0, 20_000):
        with HandlePool(Access(cache_bytes=cache_bytes)) as pool:
            reader = DirectReader(pool)
            assert np.array_equal(read(reader, path, source, rows), values[rows])
            reader.close()


def test_each_chunk_is_decoded_once_while_it_is_kept(make, direct):
    values = np.arange(640 * 8, dtype="<i8").reshape(640, 8)
    path, source = make(values, chunks=(32, 8), compression="gzip")
    order = np.random.default_rng(0).permutation(640)
    for start in range(0, 640, 40):
        rows = order[start : start + 40]
        assert np.array_equal(read(direct, path, source, rows), values[rows])
    (cache,) = direct._decoded.pool()._caches.values()
    assert cache.filled == 20


def test_the_file_is_looked_at_once_for_all_its_datasets(tmp_path, direct, monkeypatch):
    opened = []
    paths = [str(tmp_path / f"{number}.h5") for number in range(3)]
    for path in paths:
        with h5py.File(path, "w") as file:
            file["x"], file["y"] = np.arange(10.0), np.arange(10)
    sources = DatasetColumn("x", None, "<f8", ()), DatasetColumn("y", None, "<i8", ())
    for path in paths[:2]:
        for source in sources:
            read(direct, path, source, [1])
    monkeypatch.setattr(
        chunk_map_cache, "opened_file", lambda path, **_: opened.append(path) or opened_file(path)
    )
    read(direct, paths[1], sources[1], [2])
    assert not opened
    for source in sources:
        read(direct, paths[2], source, [1])
    assert opened == paths[2:]


# ── what only HDF5 can read ──────────────────────────────────────────────────────────────────────────


def low_level(file, values, change, dtype=None):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    change(plist)
    tid = dtype or h5py.h5t.py_create(values.dtype)
    did = h5py.h5d.create(file.id, b"x", tid, h5py.h5s.create_simple(values.shape), plist)
    did.write(h5py.h5s.ALL, h5py.h5s.ALL, values, tid if dtype is None else None)
    return h5py.Dataset(did)


def write_compact(file):
    low_level(file, np.arange(4.0), lambda plist: plist.set_layout(h5py.h5d.COMPACT))


def write_virtual(file):
    layout = h5py.VirtualLayout((4,), "<f8")
    file["real"] = np.arange(4.0)
    layout[:] = h5py.VirtualSource(file["real"])
    file.create_virtual_dataset("x", layout)


def write_external(file):
    name = f"{file.filename}.raw"
    file.create_dataset("x", data=np.arange(4.0), external=[(name, 0, h5py.h5f.UNLIMITED)])


def write_holes(file):
    file.create_dataset("x", (100,), "<f8", chunks=(10,))[:30] = 1


def write_short_integers(file):
    tid = h5py.h5t.STD_I16LE.copy()
    tid.set_precision(12)
    low_level(file, np.arange(4, dtype="<i2"), lambda plist: None, tid)


def write_bits(file):
    low_level(file, np.arange(4, dtype="u1"), lambda plist: None, h5py.h5t.STD_B8LE)


NEEDS_HDF5 = {
    "compact": (write_compact, "is compact: its values lie inside of a header"),
    "virtual": (write_virtual, "is virtual: its values lie in other files"),
    "external": (write_external, "keeps its values outside of the file"),
    "holes": (write_holes, "has chunks that were never written"),
    "unwritten": (lambda file: file.create_dataset("x", (4,), "<f8"), "was never written"),
    "null": (lambda file: file.create_dataset("x", data=h5py.Empty("<f8")), "holds no values"),
    "bits": (write_bits, "holds bit fields"),
    "converted": (write_short_integers, "holds elements that HDF5 must convert"),
    "scale-offset": (
        lambda file: file.create_dataset("x", data=np.arange(9), chunks=(3,), scaleoffset=8),
        "has filter 6, which only HDF5 decodes",
    ),
    "bzip2": (
        lambda file: file.create_dataset("x", data=np.arange(9), chunks=(3,), **hdf5plugin.BZip2()),
        "has filter 307, which only HDF5 decodes",
    ),
    "edges": (lambda file: file.create_dataset("x", data=np.arange(10.0), chunks=(4,), shuffle=True), EDGES),
}


@pytest.mark.parametrize("case", list(NEEDS_HDF5))
def test_reasons(case, tmp_path, request):
    prepare, reason = NEEDS_HDF5[case]
    pool = HandlePool(Access(allow_external=str(tmp_path)))
    request.addfinalizer(pool.close)
    direct = DirectReader(pool)
    path = str(tmp_path / "a.h5")
    with h5py.File(path, "w") as file:
        prepare(file)
        dtype, shape = (file["x"].dtype.str, file["x"].shape) if case != "bits" else ("|u1", (4,))
    source = DatasetColumn("x", None, dtype, (shape or ())[1:])
    assert direct.reason(path, source) == reason
    assert direct.reason(path, source) == reason
    with pytest.raises(UnsupportedFieldError, match=rf"'/x' in .*a\.h5 {reason}: .* Use reader='auto'"):
        read(direct, path, source, [0])


def test_a_column_of_a_table_needs_no_hdf5(tmp_path):
    path = str(tmp_path / "a.h5")
    table = np.zeros(20, [("a", "<f4"), ("b", "<i8")])
    table["b"] = np.arange(20)
    with h5py.File(path, "w") as file:
        file["x"] = table
    source = DatasetColumn("x", "b", "<i8", ())
    with HandlePool(Access()) as pool:
        reader = make_reader("auto", pool)
        assert reader._direct.reason(path, source) == ""
        assert read(reader, path, source, [7, 3]).tolist() == [7, 3]
        out = np.empty(20, "<i8")
        reader.read_whole(path, DatasetColumn("x", "b", "<i8", (20,)), out)
        assert out.tolist() == list(range(20))


def test_a_file_that_is_not_mapped(tmp_path):
    (tmp_path / "a.h5").write_bytes(np.arange(4.0).tobytes())
    raw = RawFile(str(tmp_path / "a.h5"))
    extent = (np.zeros(1, np.int64),) * 3
    chunk_map = ChunkMap((4,), 8, (4,), *extent, pipeline=None)
    source, pool = DatasetColumn("x", None, "<f8", ()), DecodePool(0, 1)
    known = KnownSource(raw, source, chunk_map, ChunkRowSlots(0, "x"), blocks=None, pool=pool)
    opened = OpenSource(known, None)
    out = np.zeros(2)
    rows, slots = np.array([3, 1]), np.arange(2)
    request = ReadRequest(source, np.array([0, 2]), rows, slots, out)
    row_group([opened], pool).put(request, RowWriter(out, np.dtype("<f8"), 8))
    assert out.tolist() == [3, 1]


@pytest.mark.parametrize("case", ["compact", "holes", "scale-offset", "edges", "bzip2"])
def test_auto_reads_everything(case, tmp_path):
    path = str(tmp_path / "a.h5")
    with h5py.File(path, "w") as file:
        NEEDS_HDF5[case][0](file)
        values = file["x"][:]
    with HandlePool(Access()) as pool:
        reader = make_reader("auto", pool)
        source = DatasetColumn("x", None, values.dtype.str, ())
        assert np.array_equal(read(reader, path, source, [3, 0, 3]), values[[3, 0, 3]])


def test_a_scalar_constant(make, direct):
    path, _ = make(np.asarray(3.5))
    out = np.empty((), "f4")
    direct.read_whole(path, DatasetColumn("x", None, "<f8", ()), out)
    assert out == 3.5


# ── processes and threads ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("decoders", [1, 3])
def test_threads_read_with_one_reader(decoders, make):
    values = np.arange(2000 * 16, dtype="<i4").reshape(2000, 16)
    path, source = make(values, chunks=(16, 16), compression="gzip")

    def work(seed):
        rows = np.random.default_rng(seed).integers(0, 2000, 60)
        return np.array_equal(read(reader, path, source, rows), values[rows])

    # Room for half of the chunk rows that six threads want at the same time.
    with HandlePool(Access(cache_bytes=150 * 1024)) as pool, ThreadPoolExecutor(6) as threads:
        reader = DirectReader(pool, decoded=DecodedChunkRows(pool.access.cache_bytes, decoders))
        assert all(threads.map(work, range(60)))
        reader.close()


def test_a_pickled_reader_reads(make, direct):
    path, source = make(np.arange(20.0))
    copy = pickle.loads(pickle.dumps(direct))
    assert read(copy, path, source, [3, 1]).tolist() == [3, 1]
    copy.close()


def test_open_files_stay_within_the_budget(tmp_path):
    paths = [str(tmp_path / f"{number}.h5") for number in range(12)]
    for number, path in enumerate(paths):
        with h5py.File(path, "w") as file:
            file["x"] = np.full(10, number)
    with HandlePool(Access(max_open_files=4)) as pool:
        reader = DirectReader(pool)
        for _ in range(2):
            for number, path in enumerate(paths):
                assert read(reader, path, DatasetColumn("x", None, "<i8", ()), [number % 10]).tolist() == [
                    number
                ]
                assert len(pool) <= 4
        assert pool.opened == 12, "each file once"


# ── never silently wrong ─────────────────────────────────────────────────────────────────────────────


def test_a_file_cut_off_while_it_is_open(make, either):
    path, source = make(np.ones((100_000, 4), "<f4"))
    assert np.all(read(either, path, source, [99_999, 0]) == 1)
    os.truncate(path, 4096)
    with pytest.raises(FileChangedError, match=r"a\.h5 was cut off from \d+ to 4096 bytes while it was read"):
        read(either, path, source, [99_999, 0])


def test_a_file_cut_off_behind_the_last_look_at_its_size(make, monkeypatch):
    """Without a map, what is not there is an error at any time; a map would end the process."""
    path, source = make(np.ones((100_000, 4), "<f4"))
    with HandlePool(Access(memory_map=False)) as pool:
        reader = DirectReader(pool)
        read(reader, path, source, [0])
        monkeypatch.setattr(RawFile, "check", lambda _: os.truncate(path, 4096) is None)
        with pytest.raises(
            FileChangedError, match=r"a\.h5 was cut off while it was read: it ends at byte 4096"
        ):
            read(reader, path, source, [99_999])


def test_a_file_written_to_while_it_is_open(make, direct):
    path, source = make(np.ones((100, 4), "<f4"))
    read(direct, path, source, [0])
    status = os.stat(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    with pytest.raises(FileChangedError, match=r"a\.h5 was written to \(modified at .*\) while it was read"):
        read(direct, path, source, [0])


@pytest.mark.parametrize(
    "options", [{}, {"chunks": (10, 4), "compression": "gzip"}], ids=["contiguous", "gzip"]
)
def test_a_file_replaced_between_two_uses(options, make, tmp_path):
    path, source = make(np.zeros((100, 4), "<f4"), **options)
    other, _ = make(np.ones((100, 4), "<f4"), name="other.h5", **options)
    third, _ = make(np.ones((100, 4), "<f4"), name="third.h5", **options)
    with HandlePool(Access(max_open_files=1)) as pool:
        reader = DirectReader(pool)
        assert not read(reader, path, source, [0, 50]).any()
        read(reader, third, source, [0])
        os.replace(other, path)
        with pytest.raises(FileChangedError, match=r"a\.h5 was replaced by .* since it was first read"):
            read(reader, path, source, [0])


def test_a_renamed_file_is_looked_at_again(make, tmp_path):
    path, source = make(np.arange(100.0))
    third, _ = make(np.ones(10), name="third.h5")
    with HandlePool(Access(max_open_files=1)) as pool:
        reader = DirectReader(pool)
        read(reader, path, source, [5])
        read(reader, third, source, [0])
        os.link(path, tmp_path / "link.h5")
        assert read(reader, path, source, [5]).tolist() == [5]


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "gzip"},
        {"fletcher32": True},
        hdf5plugin.Zstd(),
        {"compression": "lzf", "fletcher32": True},
    ],
    ids=["gzip", "fletcher32", "zstd", "lzf"],
)
def test_a_damaged_chunk_names_file_dataset_and_rows(options, make, direct):
    values = np.arange(2000.0).reshape(50, 40)
    path, source = make(values, chunks=(10, 40), **options)
    with h5py.File(path) as file:
        chunk = file["x"].id.get_chunk_info(1)
    with open(path, "r+b") as raw:
        raw.seek(chunk.byte_offset + 5)
        raw.write(b"\xa5" * 8)
    where = rf"the chunk at \(10, 0\), {chunk.size} bytes at byte {chunk.byte_offset} of the file"
    with pytest.raises(
        BadFileError,
        match=rf"'/x' in .*a\.h5: {where}, is not what the filters .* make \(.*\)\. The file is damaged: copy it",
    ):
        read(direct, path, source, [12, 3])
    assert np.array_equal(read(direct, path, source, [45, 3]), values[[45, 3]])


def move_second_chunk(path, place):
    """Tell HDF5 that the second chunk lies somewhere else."""
    with h5py.File(path) as file:
        was = file["x"].id.get_chunk_info(1).byte_offset.to_bytes(8, "little")
    with open(path, "r+b") as raw:
        content = raw.read()
        assert content.count(was) == 1
        raw.seek(content.index(was))
        raw.write(place.to_bytes(8, "little"))


def test_chunks_that_overlap(make, direct):
    path, source = make(np.arange(100.0), chunks=(10,))
    with h5py.File(path) as file:
        first = file["x"].id.get_chunk_info(0).byte_offset
    move_second_chunk(path, first + 8)
    with pytest.raises(BadFileError, match=r"'/x' in .*a\.h5 is damaged: two of its chunks overlap"):
        read(direct, path, source, [0])


def test_values_past_the_end_of_the_file(make, direct):
    path, source = make(np.arange(100.0), chunks=(10,))
    move_second_chunk(path, os.path.getsize(path) - 8)
    with pytest.raises(
        BadFileError, match=r"is damaged: its values lie past the end of the file, at byte \d+"
    ):
        read(direct, path, source, [0])


@pytest.mark.parametrize(("rows", "requested"), [([3, 60], 60), ([-1, 3], -1)], ids=["after", "before"])
def test_a_row_outside_of_the_dataset(rows, requested, make, direct):
    path, source = make(np.arange(ROWS))
    error = IndexError if requested < 0 else FileChangedError
    with pytest.raises(error, match=rf"'/x' in .*a\.h5 has 60 rows, but row {requested} is requested"):
        read(direct, path, source, rows)


@pytest.mark.parametrize("slots", [[0, 2], [-1, 0], [0, 1]], ids=["after", "before", "range"])
@pytest.mark.parametrize(
    "options", [{}, {"chunks": (4, 1)}, {"compression": "gzip"}], ids=["plain", "split", "gzip"]
)
def test_a_slot_outside_of_the_buffer(options, slots, make, direct):
    path, source = make(np.arange(2 * ROWS).reshape(ROWS, 2), **options)
    out = np.zeros((1, 2), "<i8")
    with pytest.raises(IndexError, match="out of bounds"):
        direct.read_rows(path, source, np.array([5, 6]), out, np.array(slots))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (DatasetColumn("x", None, "<f4", (8,)), r"has shape \(50, 4\), expected rows of shape \(8,\)"),
        (DatasetColumn("x", None, "<f8", (4,)), r"'/x' in .*a\.h5 holds <f4, expected <f8 as it was scanned"),
    ],
    ids=["shape", "type"],
)
def test_a_dataset_other_than_the_scanned_one(source, message, make, direct):
    path, _ = make(sample_values("<f4", (50, 4)))
    with pytest.raises(FileChangedError, match=message):
        read(direct, path, source, [1, 2])


def test_a_constant_of_another_shape(make, direct):
    path, _ = make(sample_values("<f4", (50, 4)))
    with pytest.raises(FileChangedError, match=r"has shape \(50, 4\), expected \(50, 5\)"):
        direct.read_whole(path, DatasetColumn("x", None, "<f4", (50, 5)), np.empty((50, 5), "f4"))


def test_a_buffer_that_does_not_fit(make, direct):
    path, source = make(sample_values("<f4", (50, 4)))
    with pytest.raises(ValueError, match=r"needs a buffer for \(4,\), found \(8,\)"):
        direct.read_rows(path, source, np.array([1]), np.zeros((1, 8), "f4"))


def test_a_file_that_is_gone(tmp_path, direct):
    with pytest.raises(BadFileError, match=r"gone\.h5 cannot be opened: No such file.* moved or deleted"):
        read(direct, str(tmp_path / "gone.h5"), DatasetColumn("x", None, "<f4", ()), [0])
    os.mkfifo(tmp_path / "fifo.h5")
    with pytest.raises(BadFileError, match=r"fifo\.h5 is not a regular file"):
        read(direct, str(tmp_path / "fifo.h5"), DatasetColumn("x", None, "<f4", ()), [0])
