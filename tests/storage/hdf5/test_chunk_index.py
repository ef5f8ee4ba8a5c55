"""The chunk index against h5py: the bytes are those of the chunks, or a reason says why only HDF5 can read them."""

import os

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_extents import FILTERS, extents_of

from h5lightning.planning.catalog.record_layout import RecordColumn, RecordLayout
from h5lightning.storage.hdf5.chunk_index import DamageError, find_damage, locate, stored_extents
from h5lightning.storage.hdf5.dataset_info import DatasetInfo


def locate_in(path):
    with h5py.File(path, "r") as file:
        opened = DatasetInfo.of(file["x"].id)
        return opened, locate(opened, str(path), os.path.getsize(path))


def check(path):
    """The extents hold the bytes that HDF5 gives for each chunk, in the order of the grid."""
    data = path.read_bytes()
    opened, found = locate_in(path)
    assert find_damage(found, opened.chunk_bytes, len(data)) == ""
    with h5py.File(path, "r") as file:
        did = file["x"].id
        if opened.chunks is None:
            (offset,) = found.offsets
            assert data[offset : offset + opened.chunk_bytes] == file["x"][()].tobytes()
            return
        grid = np.ndindex(*(-(-n // c) for n, c in zip(opened.shape, opened.chunks, strict=True)))
        sizes = found.sizes(opened.chunk_bytes).tolist()
        stored = zip(grid, found.offsets.tolist(), sizes, found.masks.tolist(), strict=True)
        for cell, offset, size, mask in stored:
            first = tuple(np.multiply(cell, opened.chunks).tolist())
            assert did.read_direct_chunk(first) == (mask, data[offset : offset + size])


@st.composite
def layouts(draw):
    shape = (draw(st.integers(1, 30)), *draw(st.lists(st.integers(1, 6), max_size=2)))
    options = {
        "libver": draw(st.sampled_from([None, "latest"])),
        "userblock_size": draw(st.sampled_from([0, 512])),
    }
    how = {}
    if draw(st.booleans()):
        how["chunks"] = tuple(draw(st.integers(1, length)) for length in shape)
        how |= draw(st.sampled_from([{}, {"compression": "gzip"}, {"shuffle": True}, {"fletcher32": True}]))
        how |= draw(st.sampled_from([{}, {"maxshape": (None, *shape[1:])}]))
    values = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 3, shape)
    return values, options, how


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(layouts())
def test_any_layout(tmp_path, layout):
    values, options, how = layout
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", **options) as file:
        file.create_dataset("x", data=values, **how)
    _, found = locate_in(path)
    if found.reason:
        assert "at its edges" in found.reason
        return
    check(path)


def test_skipped_filters_are_kept(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        made = file.create_dataset("x", (8,), "u1", chunks=(4,), compression="gzip")
        made.id.write_direct_chunk((0,), b"abcd", filter_mask=1)
        made[4:] = 1
    check(path)
    _, found = locate_in(path)
    assert found.masks.tolist() == [1, 0]
    assert found.filters == ((1, (4,)),)


def test_unfiltered_chunks_need_no_sizes(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.arange(100), chunks=(7,))
    _, found = locate_in(path)
    assert found.numbers.shape == (1, 15)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (np.zeros((0, 3)), ""),
        (np.zeros((3, 0)), ""),
        (np.zeros((3, 0), [("a", "<f4"), ("b", "<i8")]), ""),
        (h5py.Empty("<f8"), "holds no values"),
    ],
    ids=["no rows", "empty rows", "empty rows of a table", "null"],
)
def test_reasons(tmp_path, value, reason):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = value
    _, found = locate_in(tmp_path / "a.h5")
    assert found.reason == reason
    assert found.offsets.size == 0 or found.reason


def test_scalar(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = 2.5
    check(tmp_path / "a.h5")


# ── what makes no sense ──────────────────────────────────────────────────────────────────────────────


def keys_of_chunks(data, coordinates):
    """Where the keys of an index without checksums hold these coordinates (of a dataset of one axis)."""
    key = b"".join(number.to_bytes(8, "little") for number in (coordinates, 0))
    return [offset for offset in range(len(data)) if data.startswith(key, offset)]


@pytest.mark.parametrize(
    ("moved", "words"),
    [(102100, "outside of its chunk grid"), (1021, "more than one chunk at the same place")],
    ids=["outside", "twice"],
)
@pytest.mark.parametrize("dtype", ["<f8", "<i2"], ids=["plain", "converted"])
def test_chunks_at_wrong_places(moved, words, dtype, tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        # Integers of 9 bits are left to HDF5, whose map must be in order nevertheless.
        tid = h5py.h5t.py_create(np.dtype(dtype)).copy()
        if dtype == "<i2":
            tid.set_precision(9)
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((1021,))
        did = h5py.h5d.create(file.id, b"x", tid, h5py.h5s.create_simple((3063,)), plist)
        for start in (0, 1021, 2042):
            did.write_direct_chunk((start,), bytes(1021 * tid.get_size()))
    data = path.read_bytes()
    for offset in keys_of_chunks(data, 2042):
        data = data[:offset] + moved.to_bytes(8, "little") + data[offset + 8 :]
    path.write_bytes(data)
    with pytest.raises(DamageError, match=words):
        locate_in(path)


def test_a_shuffle_of_other_elements(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.arange(100.0), chunks=(10,), shuffle=True)
    data = path.read_bytes()
    offset = data.index(b"shuffle\0") + 8
    assert data[offset : offset + 4] == (8).to_bytes(4, "little")
    path.write_bytes(data[:offset] + (2**23).to_bytes(4, "little") + data[offset + 4 :])
    with pytest.raises(DamageError, match=r"its shuffle filter has the values \(8388608,\), expected \(8,\)"):
        locate_in(path)


def test_a_map_of_a_table_is_checked_too(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        table = np.zeros(12, [("a", "<f4"), ("b", "<i8")])
        file.create_dataset("x", data=table, chunks=(4,), compression="gzip")
    assert locate_in(path)[1].record.itemsize == 12
    with (
        h5py.File(path, "r") as file,
        pytest.raises(DamageError, match="past the end of the file, at byte 2000"),
    ):
        locate(DatasetInfo.of(file["x"].id), str(path), 2000)


@pytest.mark.parametrize("libver", ["earliest", "v108", "v110", "latest"])
@pytest.mark.parametrize("maxshape", [(4, None, 4), (4, 6, None), (None, 6, 4), (None, None, 4), (4, 6, 4)])
def test_where_chunks_lie_is_known_or_left_to_hdf5_whatever_axis_grows(tmp_path, libver, maxshape):
    values = np.arange(96).reshape(4, 6, 4)
    with h5py.File(tmp_path / "a.h5", "w", libver=(libver, "latest")) as file:
        file.create_dataset("x", data=values, chunks=(2, 3, 2), maxshape=maxshape, compression="gzip")
    _, found = locate_in(tmp_path / "a.h5")
    is_left = libver in ("v110", "latest") and maxshape in ((4, None, 4), (4, 6, None))
    assert bool(found.reason) == is_left
    if not is_left:
        check(tmp_path / "a.h5")


DAMAGE = {
    "whole": (extents_of([90, 0, 40]), ""),
    "one": (extents_of([90]), ""),
    "adjacent": (extents_of([10, 0, 20]), ""),
    "one-past-the-end": (extents_of([91]), "past the end of the file, at byte 100"),
    "one-before-the-start": (extents_of([-1]), "past the end"),
    "past-the-end": (extents_of([0, 95]), "past the end of the file, at byte 100"),
    "before-the-start": (extents_of([-20, 50]), "past the end"),
    "no-bytes": (extents_of([0, 50], [10, 0], filters=FILTERS), "past the end"),
    "overlap": (extents_of([0, 9]), "two of its chunks overlap"),
    "twice": (extents_of([20, 20]), "two of its chunks overlap"),
    "other-size": (extents_of([0, 50], [10, 7]), "a chunk has 7 bytes, expected 10"),
    "filtered": (extents_of([0, 50], [10, 7], filters=FILTERS), ""),
}


@pytest.mark.parametrize(("extents", "damage"), DAMAGE.values(), ids=DAMAGE)
def test_damage(extents, damage):
    found = find_damage(extents, chunk_bytes=10, file_bytes=100)
    assert damage in found
    assert bool(found) == bool(damage)


SHUFFLED, SUMMED, DEFLATED, ZSTD = (2, (4,)), (3, ()), (1, (6,)), (32015, ())
SIZES = {
    "deflate, smallest": ((DEFLATED,), 100_000, 96, ""),
    "deflate, too small": (
        (DEFLATED,),
        100_000,
        95,
        "a chunk of 100000 bytes is stored in 95, expected 96 to",
    ),
    "deflate and checksum": ((DEFLATED, SUMMED), 100_000, 99, "expected 100 to"),
    "twice deflate": ((DEFLATED, DEFLATED), 100_000, 20, ""),
    "zstd": ((ZSTD,), 100_000, 20, ""),
    "zstd, too large": ((ZSTD,), 100_000, 200_000, "expected 1 to 116596 after its filters"),
    "checksum": ((SHUFFLED, SUMMED), 100, 104, ""),
    "checksum left out at an edge": ((SUMMED,), 100, 100, ""),
    "checksum of no data": ((SUMMED,), 100, 3, "a chunk has 3 bytes, expected 104"),
    "shuffle alone": ((SHUFFLED,), 100, 90, "a chunk has 90 bytes, expected 100"),
}


@pytest.mark.parametrize(("filters", "chunk_bytes", "size", "damage"), SIZES.values(), ids=SIZES)
def test_sizes_that_filters_cannot_make(filters, chunk_bytes, size, damage):
    sizes = [size, chunk_bytes + (4 if SUMMED in filters else 0)]
    extents = extents_of([0, 500_000], sizes, chunk_bytes=chunk_bytes, filters=filters)
    found = find_damage(extents, chunk_bytes, file_bytes=10**6)
    assert damage in found
    assert bool(found) == bool(damage)


def test_sizes_of_chunks_that_were_not_filtered():
    extents = extents_of([0, 500], [100, 104], masks=[1, 0], chunk_bytes=100, filters=(SUMMED,))
    assert find_damage(extents, 100, file_bytes=1000) == ""


@pytest.mark.parametrize("storage", [{}, {"chunks": (4,), "compression": "gzip"}], ids=["contiguous", "gzip"])
def test_where_the_columns_of_a_table_lie_is_found(tmp_path, storage):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.zeros(10, [("a", "f4"), ("b", "f8")]), **storage)
    with h5py.File(path, "r") as file:
        opened = DatasetInfo.of(file["x"].id)
        extents = stored_extents(opened, os.path.getsize(path))
        assert int(extents.sizes(opened.chunk_bytes).sum()) == file["x"].id.get_storage_size()
        columns = (RecordColumn("a", "<f4", (), 0), RecordColumn("b", "<f8", (), 4))
        assert locate(opened, str(path), os.path.getsize(path)).record == RecordLayout(12, columns)
