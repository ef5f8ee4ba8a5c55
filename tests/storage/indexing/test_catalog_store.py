"""The catalog on disk: whole or not at all."""

import dataclasses
import hashlib
import logging
import mmap
import os
import pickle
import resource
import struct
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.planning.catalog.extents import Extents
from h5lightning.planning.catalog.file_schema import FileSchema
from h5lightning.planning.catalog.record_layout import RecordColumn, RecordLayout
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.storage.indexing import array_file as stored_arrays
from h5lightning.storage.indexing import catalog_store as index_store
from h5lightning.storage.indexing.array_file import UnusableStoreError, store_directory
from h5lightning.storage.indexing.catalog_store import CatalogStore, pack, unpack
from h5lightning.storage.scanning import ScanRequest

REQUEST = ScanRequest(("x", "y"), ("@machine",))


def packed(catalog, request):
    return b"".join(pack(catalog, request))


def make_catalog(files=5, root="/data"):
    schemas = [
        FileSchema(
            (
                DatasetSchema("x", "<f4", (rows, 4), chunks=(2, 4) if rows % 2 else None, filters=("lzf",)),
                DatasetSchema("y", "|i1", (rows,), categories=("a", "b"), stored_bytes=rows),
            ),
            {"@machine": f"m{rows}"},
            (
                Extents(np.arange(2 * rows).reshape(2, rows) + 99, ((1, (4,)),)),
                Extents(
                    np.array([[rows]]), record=RecordLayout(9 + rows, (RecordColumn("a", "<f4", (2,), 1),))
                )
                if rows % 2
                else Extents.unreadable("is compact"),
            ),
            (("/data/raw/ä.bin", (8, 7, 6, 5)), (f"{rows}\udcff", (rows, 2, 3, 2**62)))[: rows % 3],
        )
        for rows in range(files)
    ]
    names = [f"sub/{number}.h5" for number in range(files)]
    stamps = np.arange(files * 4).reshape(files, 4) + 2**40
    return Catalog.of(root, names, stamps, schemas, (SkippedFile("bad.h5", "is empty"),))


def same(first, second):
    return all(
        np.array_equal(getattr(first, field.name), getattr(second, field.name))
        if isinstance(getattr(first, field.name), np.ndarray)
        else getattr(first, field.name) == getattr(second, field.name)
        for field in dataclasses.fields(Catalog)
    )


# ── round trips ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("files", [0, 1, 5], ids=["none", "one", "some"])
def test_round_trip(tmp_path, files):
    store, catalog = CatalogStore(tmp_path), make_catalog(files)
    assert store.save(catalog, REQUEST)
    assert same(store.load("/data", REQUEST), catalog)
    assert [*store.load("/data", REQUEST).schemas()] == [*catalog.schemas()]
    assert store.load("/data", REQUEST).extents.chunks == files * (files - 1) // 2 + files // 2


NAMES = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=6)
NAMES = NAMES | NAMES.map(lambda name: name + "\udcff")
SIZES = st.integers(0, 2**62)


@st.composite
def catalogs(draw):
    datasets = st.builds(
        DatasetSchema,
        path=NAMES,
        dtype=st.sampled_from(["<f4", "|b1"]),
        shape=st.lists(SIZES, max_size=3).map(tuple),
        missing_chunks=SIZES,
        categories=st.none() | st.lists(NAMES, max_size=3).map(tuple),
        refusal=NAMES,
    )
    attrs = st.dictionaries(NAMES, st.integers() | NAMES, max_size=2)
    schemas = draw(
        st.lists(st.builds(FileSchema, st.lists(datasets, max_size=2).map(tuple), attrs), max_size=5)
    )
    names = draw(st.lists(NAMES, min_size=len(schemas), max_size=len(schemas)))
    stamps = draw(st.lists(st.tuples(SIZES, SIZES, SIZES, SIZES), min_size=len(names), max_size=len(names)))
    skipped = draw(st.lists(st.builds(SkippedFile, NAMES, NAMES), max_size=2))
    return Catalog.of(draw(NAMES), names, np.array(stamps, dtype=np.int64), schemas, skipped)


@given(catalogs())
def test_round_trip_of_any_catalog(catalog):
    assert same(unpack(packed(catalog, REQUEST), catalog.root, REQUEST), catalog)


def test_arrays_are_aligned_and_cannot_be_written():
    catalog = unpack(packed(make_catalog(), REQUEST), "/data", REQUEST)
    assert catalog.stamps.flags.aligned
    assert catalog.facts.flags.aligned
    assert not catalog.stamps.flags.writeable


@pytest.mark.parametrize(
    ("root", "request_"),
    [
        ("/other", REQUEST),
        ("/data", ScanRequest(("x",), ("@machine",))),
        ("/data", ScanRequest(("x", "y"))),
        ("/data", ScanRequest(None, ("@machine",))),
        ("/data", dataclasses.replace(REQUEST, same=("s",))),
        ("/data", dataclasses.replace(REQUEST, constants=("x",))),
    ],
    ids=["root", "paths", "attrs", "all-paths", "same", "constants"],
)
def test_other_files_and_requests_have_their_own_store(tmp_path, root, request_):
    store = CatalogStore(tmp_path)
    store.save(make_catalog(), REQUEST)
    assert store.load(root, request_) is None
    with pytest.raises(UnusableStoreError, match="it holds the files of /data"):
        unpack(packed(make_catalog(), REQUEST), root, request_)


# ── damage ───────────────────────────────────────────────────────────────────────────────────────────


def test_torn_at_any_length():
    data = packed(make_catalog(2), REQUEST)
    for size in range(len(data)):
        with pytest.raises(UnusableStoreError):
            unpack(data[:size], "/data", REQUEST)


def test_flipped_at_any_byte():
    data = packed(make_catalog(2), REQUEST)
    padding = range(12, 16)  # between version and digest
    for offset in set(range(len(data))) - set(padding):
        flipped = bytearray(data)
        flipped[offset] ^= 0x40
        with pytest.raises(UnusableStoreError):
            unpack(bytes(flipped), "/data", REQUEST)


def test_longer_than_written():
    with pytest.raises(UnusableStoreError, match="it is torn"):
        unpack(packed(make_catalog(), REQUEST) + b"\0", "/data", REQUEST)


@pytest.mark.parametrize("version", [0, index_store.FORMAT + 1], ids=["older", "newer"])
def test_other_versions(tmp_path, version, caplog):
    store = CatalogStore(tmp_path)
    store.save(make_catalog(), REQUEST)
    path = store.path_of("/data", REQUEST)
    with open(path, "r+b") as file:
        file.seek(8)
        file.write(struct.pack("<I", version))
    with caplog.at_level(logging.DEBUG):
        assert store.load("/data", REQUEST) is None
    assert f"it has format {version}, expected {index_store.FORMAT}" in caplog.text
    assert path in caplog.text


def test_whole_file_that_makes_no_sense():
    """As if a change of the layout had been forgotten in FORMAT."""
    data = packed(make_catalog(), REQUEST)
    (size,) = struct.unpack_from("<Q", data, 32)
    body = data[40 : 40 + size].replace(b'"layouts"', b'"LAYOUTS"')
    with pytest.raises(UnusableStoreError, match="cannot be parsed: KeyError"):
        unpack(
            data[:16]
            + hashlib.blake2b(body, digest_size=16).digest()
            + data[32:40]
            + body
            + data[40 + size :],
            "/data",
            REQUEST,
        )


# ── where values lie ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=["small", "large"])
def size(request, monkeypatch):
    """Whether a store is copied into memory, or so large that it is mapped."""
    if request.param == "large":
        monkeypatch.setattr(stored_arrays, "_MOST_COPIED_BYTES", 0)
    return request.param


def test_small_stores_are_copied_and_large_ones_mapped(tmp_path, size):
    store, catalog = CatalogStore(tmp_path), make_catalog()
    origin = store.save(catalog, REQUEST)
    for found in (origin(), store.load("/data", REQUEST).extents):
        assert found == catalog.extents
        assert isinstance(_owner(found.numbers), bytes if size == "small" else mmap.mmap)
        assert not found.numbers.flags.writeable
        assert pickle.loads(pickle.dumps(found)) == catalog.extents


def damage_in_place(path):
    """Other bytes all over the store, of the same size, by a program that writes to the wrong file."""
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        file.seek(size // 2)
        file.write(bytes(size - size // 2))


def test_what_was_copied_outlives_a_damage_of_the_store(tmp_path):
    store, catalog = CatalogStore(tmp_path), make_catalog()
    origin = store.save(catalog, REQUEST)
    found, extents = store.load("/data", REQUEST), origin()
    damage_in_place(origin.path)
    assert same(found, catalog)
    assert extents == found.extents == catalog.extents
    os.truncate(origin.path, 0)
    assert same(found, catalog)


def test_each_process_compares_what_it_takes_from_the_store(tmp_path, size, caplog):
    store, catalog = CatalogStore(tmp_path), make_catalog()
    origin = store.save(catalog, REQUEST)
    pickled = pickle.dumps(store.load("/data", REQUEST))
    for offset in (-1, 60):
        store.save(catalog, REQUEST)
        with open(origin.path, "r+b") as file:
            file.seek(offset, os.SEEK_END if offset < 0 else os.SEEK_SET)
            (byte,) = file.read(1)
            file.seek(offset, os.SEEK_END if offset < 0 else os.SEEK_SET)
            file.write(bytes([byte ^ 1]))
        with caplog.at_level(logging.DEBUG):
            assert origin() is None
        assert pickle.loads(pickled).extents.known == 0, "HDF5 is asked instead"
        assert store.load("/data", REQUEST) is None
    assert "the digest of its numbers differs" in caplog.text
    assert "the digest differs" in caplog.text


def test_extents_on_a_network_file_system_are_read(tmp_path, monkeypatch):
    """As another machine may replace the store, which would crash a process that has mapped it."""
    store, catalog = CatalogStore(tmp_path), make_catalog()
    store.save(catalog, REQUEST)
    monkeypatch.setattr(stored_arrays, "_MOST_COPIED_BYTES", 0)
    monkeypatch.setattr(stored_arrays, "is_remote", lambda _: True)
    found = store.load("/data", REQUEST).extents
    assert found == catalog.extents
    assert isinstance(_owner(found.numbers), bytes)


def _owner(array):
    """What the memory of an array belongs to."""
    while isinstance(array, np.ndarray):
        array = array.base
    return array.obj if isinstance(array, memoryview) else array


def test_a_pickled_catalog_does_not_grow_with_its_chunks(tmp_path):
    sizes = []
    for chunks in (10, 100_000):
        schema = FileSchema((DatasetSchema("x", "<f4", (chunks,)),), {}, (Extents(np.arange(chunks)[None]),))
        store = CatalogStore(tmp_path / f"{chunks:06}")
        store.save(Catalog.of("/data", ["a.h5"], np.zeros((1, 4)), [schema]), REQUEST)
        pickled = pickle.dumps(store.load("/data", REQUEST))
        assert pickle.loads(pickled).extents.chunks == chunks
        sizes.append(len(pickled))
    assert abs(sizes[0] - sizes[1]) < 16


def test_a_replaced_store_is_not_taken_for_the_old_one(tmp_path, caplog):
    store = CatalogStore(tmp_path)
    origin = store.save(make_catalog(3), REQUEST)
    old = origin()
    store.save(make_catalog(4), REQUEST)
    with caplog.at_level(logging.DEBUG):
        assert origin() is None
    assert "it has been replaced" in caplog.text
    # What was mapped before stays as it was.
    assert old == make_catalog(3).extents


@pytest.mark.parametrize("left", [0, 20, 200], ids=["nothing", "preamble", "part"])
def test_extents_of_a_torn_store_are_unknown(tmp_path, left):
    store = CatalogStore(tmp_path)
    origin = store.save(make_catalog(), REQUEST)
    os.truncate(origin.path, left)
    assert origin() is None
    os.unlink(origin.path)
    assert origin() is None


def test_damaged_extents_are_found_when_the_catalog_is_loaded(tmp_path, caplog):
    store = CatalogStore(tmp_path)
    origin = store.save(make_catalog(), REQUEST)
    with open(origin.path, "r+b") as file:
        file.seek(-5, os.SEEK_END)
        file.write(b"!")
    with caplog.at_level(logging.DEBUG):
        assert store.load("/data", REQUEST) is None
    assert "the digest of its numbers differs" in caplog.text


# ── directories ──────────────────────────────────────────────────────────────────────────────────────


def test_directory_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("H5LIGHTNING_CACHE_DIR", str(tmp_path / "cache"))
    assert CatalogStore().directory == str(tmp_path / "cache")
    monkeypatch.delenv("H5LIGHTNING_CACHE_DIR")
    assert store_directory(None).endswith("h5lightning")


def test_home_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert CatalogStore("~/cache").directory == str(tmp_path / "cache")


def test_missing_directory_is_made(tmp_path):
    assert CatalogStore(tmp_path / "a" / "b").save(make_catalog(), REQUEST)


def test_directory_that_cannot_be_made(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    store = CatalogStore(tmp_path / "file")
    assert not store.save(make_catalog(), REQUEST)
    assert store.load("/data", REQUEST) is None
    assert "each start will scan the files again" in caplog.text


def test_full_disk_leaves_the_old_store_and_no_litter(tmp_path, caplog):
    store = CatalogStore(tmp_path)
    store.save(make_catalog(3), REQUEST)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, limits[1]))
    try:
        is_saved = store.save(make_catalog(5), REQUEST)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not is_saved
    assert "File too large" in caplog.text
    assert len(store.load("/data", REQUEST)) == 3
    assert len(os.listdir(tmp_path)) == 1


def test_shared_directory_follows_the_umask(tmp_path):
    old = os.umask(0o002)
    try:
        store = CatalogStore(tmp_path)
        store.save(make_catalog(), REQUEST)
        assert os.stat(store.path_of("/data", REQUEST)).st_mode & 0o777 == 0o664
    finally:
        os.umask(old)


WRITER = """
    import sys
    sys.path[:0] = {path!r}
    from test_catalog_store import make_catalog, same, REQUEST
    from h5lightning.storage.indexing.catalog_store import CatalogStore

    store, catalogs = CatalogStore({directory!r}), [make_catalog(files) for files in (3, 40)]
    for number in range(30):
        assert store.save(catalogs[number % 2], REQUEST)
        found = store.load("/data", REQUEST)
        assert found is not None and any(same(found, catalog) for catalog in catalogs)
"""


@pytest.mark.timeout(90)
def test_concurrent_writers_never_tear_the_store(tmp_path):
    directory = str(tmp_path / "cache")
    code = textwrap.dedent(WRITER).format(path=[os.path.dirname(__file__), *sys.path], directory=directory)
    writers = [
        subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(6)
    ]
    for writer in writers:
        _, errors = writer.communicate()
        assert writer.returncode == 0, errors
    assert len(os.listdir(directory)) == 1
