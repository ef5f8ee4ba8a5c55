"""The direct reader knows from the index where values lie, in any process, and asks HDF5 where that does not hold."""

import multiprocessing
import os
import pickle

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scanned_jobs import AskedError, last_rows, read_without_asking, refuse

from h5lightning.errors import BadFileError, FileChangedError, UnsupportedFieldError
from h5lightning.options import Access
from h5lightning.planning.catalog.file_stamps import ScannedFiles
from h5lightning.storage.discovery import discover
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.files.raw_file import RawFile
from h5lightning.storage.indexing import array_file as stored_arrays
from h5lightning.storage.indexing.build_catalog import build_catalog
from h5lightning.storage.readers.direct import chunk_map_cache
from h5lightning.storage.readers.direct.chunk_map import NeedsHDF5Error, chunk_map_of, map_chunks
from h5lightning.storage.readers.direct.reader import DirectReader
from h5lightning.storage.readers.protocol import DatasetColumn
from h5lightning.storage.scanning import ScanRequest

pytestmark = pytest.mark.timeout(60)

ROWS = 90
LAYOUTS = {
    "contiguous": {},
    "chunks": {"chunks": (7, 2)},
    "gzip": {"chunks": (10, 2), "compression": "gzip"},
    "split": {"chunks": (10, 1), "shuffle": True},
}


def write(path, values, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=values, **options)


def scan(folder, index, paths=("x",)):
    """What the index says of all files of a folder."""
    found = discover(str(folder / "*.h5"))
    build = build_catalog(found, ScanRequest(paths), access=Access(), index_dir=index, progress=False)
    return ScannedFiles(build.catalog)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


@pytest.fixture
def paths(folder):
    """One file of each layout; the last value of file i is 1000 i + 179."""
    names = [str(folder / f"{name}.h5") for name in sorted(LAYOUTS)]
    for number, (name, path) in enumerate(zip(sorted(LAYOUTS), names, strict=True)):
        write(path, 1000 * number + np.arange(2 * ROWS).reshape(ROWS, 2), **LAYOUTS[name])
    return names


LAST = [179, 1179, 2179, 3179]


def reading(known, **access):
    return HandlePool(Access(**access), scanned_files=known)


def stored_in(known, path):
    return known.catalog.stored(known.number(path), "x")


def in_a_spawned_process(reader, paths):
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    process = context.Process(target=read_without_asking, args=(reader, paths, ROWS, results))
    process.start()
    answer = results.get()
    process.join(30)
    assert process.exitcode == 0
    return answer


# ── HDF5 is not asked ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("turn", ["first", "again"])
def test_hdf5_opens_no_file(folder, paths, tmp_path, monkeypatch, turn):
    known = scan(folder, tmp_path / "index")
    if turn == "again":
        known = scan(folder, tmp_path / "index")
    monkeypatch.setattr(chunk_map_cache, "opened_file", refuse)
    with reading(known) as pool:
        reader = DirectReader(pool)
        assert last_rows(reader, paths, ROWS) == LAST
        reader.close()
    with HandlePool(Access()) as pool, pytest.raises(AskedError):
        last_rows(DirectReader(pool), paths, ROWS)


def test_another_process_maps_the_index_for_itself(folder, paths, tmp_path):
    with reading(scan(folder, tmp_path / "index")) as pool:
        assert in_a_spawned_process(DirectReader(pool), paths) == LAST


def spoil_index(known):
    """Other places of values, in the store that is in use."""
    origin = known.catalog.extents.origin
    offsets = known.catalog.extents.numbers
    start = os.path.getsize(origin.path) - offsets.nbytes
    with open(origin.path, "r+b") as file:
        file.seek(start)
        file.write((np.array(offsets) + 8).tobytes())


def test_a_damaged_index_that_is_in_use_changes_nothing(folder, paths, tmp_path):
    known = scan(folder, tmp_path / "index")
    with reading(known) as pool:
        reader = DirectReader(pool)
        spoil_index(known)
        assert last_rows(reader, paths, ROWS) == LAST
        assert in_a_spawned_process(reader, paths) == "asked"
        reader.close()
    assert scan(folder, tmp_path / "index").catalog.extents == known.catalog.extents


def test_a_large_index_is_compared_by_each_process(folder, paths, tmp_path, monkeypatch):
    monkeypatch.setattr(stored_arrays, "_MOST_COPIED_BYTES", 0)
    known = scan(folder, tmp_path / "index")
    with reading(known) as pool:
        assert in_a_spawned_process(DirectReader(pool), paths) == LAST
        spoil_index(known)
        assert in_a_spawned_process(DirectReader(pool), paths) == "asked"


@pytest.mark.parametrize("memory_map", [True, False], ids=["mapped", "by calls"])
@pytest.mark.parametrize("chunks", [None, (ROWS, 1)], ids=["contiguous", "split rows"])
def test_an_index_that_is_damaged_while_it_is_mapped_leads_to_no_other_memory(
    folder, tmp_path, monkeypatch, chunks, memory_map
):
    monkeypatch.setattr(stored_arrays, "_MOST_COPIED_BYTES", 0)
    path = str(folder / "a.h5")
    write(path, np.arange(2 * ROWS).reshape(ROWS, 2), chunks=chunks)
    known = scan(folder, tmp_path / "index")
    numbers = known.catalog.extents.numbers
    for start in (-1, os.path.getsize(path) - 1, 2**40, -(2**62)):
        with open(known.catalog.extents.origin.path, "r+b") as file:
            file.seek(-numbers.nbytes, os.SEEK_END)
            file.write(np.int64(start).tobytes())
        assert numbers.ravel()[0] == start, "it is mapped"
        access = {"memory_map": memory_map}
        with (
            reading(known, **access) as pool,
            pytest.raises(BadFileError, match="the file or the index was damaged"),
        ):
            last_rows(DirectReader(pool), [path], ROWS)


def test_a_pickled_reader_does_not_grow_with_the_chunks(tmp_path):
    sizes = []
    for rows in (10, 100_000):
        folder = tmp_path / f"{rows:06}"
        folder.mkdir()
        write(folder / "a.h5", np.zeros((rows, 2), "u1"), chunks=(1, 2))
        with reading(scan(folder, tmp_path / "i")) as pool:
            sizes.append(len(pickle.dumps(DirectReader(pool))))
            assert pool.scanned_files.catalog.extents.chunks == rows
    assert max(sizes) < 4000
    assert abs(sizes[0] - sizes[1]) < 64


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_index_says_what_hdf5_says(data, folder, tmp_path):
    shape = (data.draw(st.integers(1, 30)), *data.draw(st.lists(st.integers(1, 6), max_size=2)))
    options = {}
    if data.draw(st.booleans()):
        options["chunks"] = tuple(data.draw(st.integers(1, length)) for length in shape)
        options |= data.draw(st.sampled_from([{}, {"compression": "gzip"}, {"fletcher32": True}]))
    path = str(folder / "a.h5")
    write(path, np.zeros(shape, "<f4"), **options)
    raw, source = RawFile(path), DatasetColumn("x", None, "<f4", shape[1:])
    stored = stored_in(scan(folder, tmp_path / "index"), path)
    try:
        found = chunk_map_of(stored.extents, stored.shape, stored.layout.chunks, 4)
    except NeedsHDF5Error as error:
        with h5py.File(path) as file, pytest.raises(NeedsHDF5Error, match=str(error)):
            map_chunks(file["x"].id, source, raw)
        return
    with h5py.File(path) as file:
        expected = map_chunks(file["x"].id, source, raw)
    assert (found.shape, found.chunks, found.itemsize) == (expected.shape, expected.chunks, expected.itemsize)
    for name in ("offsets", "sizes", "masks"):
        assert np.array_equal(getattr(found, name), getattr(expected, name))
    assert (found.nbytes, found.pipeline is None) == (0, expected.pipeline is None)


def test_reasons_come_from_the_index(folder, tmp_path, monkeypatch):
    path = str(folder / "a.h5")
    with h5py.File(path, "w") as file:
        kind = h5py.h5t.create(h5py.h5t.COMPOUND, 12)
        kind.insert(b"a", 0, h5py.h5t.STD_B32LE)
        kind.insert(b"b", 4, h5py.h5t.STD_I64LE)
        space = h5py.h5s.create_simple((20,))
        values = np.zeros(20, [("a", "<u4"), ("b", "<i8")])
        h5py.h5d.create(file.id, b"x", kind, space).write(h5py.h5s.ALL, h5py.h5s.ALL, values, mtype=kind)
        file.create_dataset("y", (100,), "<f8", chunks=(10,))[:30] = 1
        file.create_dataset("z", data=np.arange(9), chunks=(3,), scaleoffset=8)
    monkeypatch.setattr(chunk_map_cache, "opened_file", refuse)
    with reading(scan(folder, tmp_path / "index", None)) as pool:
        reader = DirectReader(pool)
        bits = DatasetColumn("x", "a", "<u4", ())
        assert reader.reason(path, bits) == "has a column 'a' that holds bit fields"
        assert reader.reason(path, DatasetColumn("x", "b", "<i8", ())) == ""
        assert (
            reader.reason(path, DatasetColumn("y", None, "<f8", ())) == "has chunks that were never written"
        )
        # Which filters can be decoded is not for the index to say: the next process may have other libraries.
        assert "which only HDF5 decodes" in reader.reason(path, DatasetColumn("z", None, "<i8", ()))
        assert pool.scanned_files.catalog.extents.known == 3


# ── HDF5 is asked ────────────────────────────────────────────────────────────────────────────────────


def replace_index(index, folder):
    write(folder / "zz.h5", np.zeros((3, 2), "<i8"))
    scan(folder, index)


def remove_index(index, folder):
    for name in os.listdir(index):
        os.unlink(index / name)


def cut_index_off(index, folder):
    for name in os.listdir(index):
        os.truncate(index / name, 100)


@pytest.mark.parametrize("change", [replace_index, remove_index])
def test_without_its_index_another_process_asks(folder, paths, tmp_path, change):
    known = scan(folder, tmp_path / "index")
    change(tmp_path / "index", folder)
    with reading(known) as pool:
        reader = DirectReader(pool)
        assert in_a_spawned_process(reader, paths) == "asked"
        assert last_rows(reader, paths, ROWS) == LAST
    with reading(pickle.loads(pickle.dumps(known))) as pool:
        assert pool.scanned_files.catalog.extents.known == 0
        assert last_rows(DirectReader(pool), paths, ROWS) == LAST


def test_a_torn_index_is_not_read(folder, paths, tmp_path):
    pickled = pickle.dumps(scan(folder, tmp_path / "index"))
    cut_index_off(tmp_path / "index", folder)
    with reading(pickle.loads(pickled)) as pool:
        assert pool.scanned_files.catalog.extents.known == 0
        assert last_rows(DirectReader(pool), paths, ROWS) == LAST


def test_an_index_that_cannot_be_written_is_kept_in_memory(folder, paths, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    known = scan(folder, tmp_path / "file")
    assert pickle.loads(pickle.dumps(known)).catalog.extents.known == 0
    monkeypatch.setattr(chunk_map_cache, "opened_file", refuse)
    with reading(known) as pool:
        assert last_rows(DirectReader(pool), paths, ROWS) == LAST


def test_a_file_with_another_status_is_looked_at_again(folder, tmp_path):
    """A file that was rewritten and given its old time of modification is recognized by its ctime alone."""
    path = str(folder / "a.h5")

    def write_both(first, second):
        with h5py.File(path, "w") as file:
            for name in (first, second):
                file[name] = np.full((ROWS, 2), ord(name))

    write_both("x", "y")
    before = os.stat(path)
    known = scan(folder, tmp_path / "index")
    write_both("y", "x")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert os.stat(path).st_size == before.st_size
    now = scan(folder, tmp_path / "index")
    old, new = (stored_in(stamps, path) for stamps in (known, now))
    assert old.extents != new.extents
    with reading(known) as pool:
        assert last_rows(DirectReader(pool), [path], ROWS) == [ord("x")]


def test_a_file_that_was_written_to_is_an_error(folder, paths, tmp_path):
    known = scan(folder, tmp_path / "index")
    with h5py.File(paths[0], "r+") as file:
        file["x"][:] = 0
    os.utime(paths[0], ns=(1, 1))
    with reading(known) as pool, pytest.raises(FileChangedError, match="since it was scanned"):
        last_rows(DirectReader(pool), paths[:1], ROWS)


def test_values_in_another_file_are_not_looked_for_in_this_one(folder, tmp_path):
    write(tmp_path / "other.h5", np.arange(2 * ROWS).reshape(ROWS, 2))
    path = str(folder / "a.h5")
    with h5py.File(path, "w") as file:
        file["x"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "x")
        file["y"] = np.arange(5)
    found = discover(path)
    request = ScanRequest(("x", "y"), allow_external=str(tmp_path))
    catalog = build_catalog(found, request, access=Access(), index_dir=tmp_path, progress=False).catalog
    assert [catalog.extents[place] is None for place in range(2)] == [True, False]
    assert catalog.schema(0).datasets[0].shape == (ROWS, 2)


def test_chunks_that_take_too_much_memory_are_refused_as_by_hdf5(folder, tmp_path):
    path = str(folder / "a.h5")
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (2**26, 2), "<i8", chunks=(2**26, 2), compression="gzip", shuffle=True)
        file["x"].id.write_direct_chunk((0, 0), bytes(2**21), filter_mask=0)
    with HandlePool(Access(cache_bytes=0), scanned_files=scan(folder, tmp_path / "index")) as pool:
        assert stored_in(pool.scanned_files, path) is not None
        with pytest.raises(UnsupportedFieldError, match="each of which must be decoded as a whole"):
            last_rows(DirectReader(pool), [path], 5)
