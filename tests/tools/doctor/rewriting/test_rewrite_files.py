"""Rewritten files keep the content of the originals; what cannot be kept is refused, and the originals stay."""

import glob
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import h5py
import hdf5plugin
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t

from h5lightning.errors import BadFileError, OptionError, ResourceError
from h5lightning.options import Field
from h5lightning.storage.discovery import discover
from h5lightning.tools.doctor import diagnose_files, rewrite_files
from h5lightning.tools.overview.scan import scan_readable
from tests.support.described_files import described

pytestmark = pytest.mark.timeout(60)

GZIP = {"compression": "gzip", "shuffle": True}
AGAIN = {"x": {"chunk_rows": 10, "filter": "deflate"}}


def numbers(*shape, dtype="f8"):
    return np.random.default_rng(0).integers(0, 9, shape).astype(dtype)


def slow(file, name="x", **options):
    """A dataset whose chunks split rows."""
    options = {"data": numbers(60, 8), "chunks": (20, 2), **GZIP, **options}
    return file.create_dataset(name, **options)


def with_scales(file):
    for name, size in (("time", 60), ("lat", 8)):
        file[name] = np.arange(float(size))
        file[name].make_scale(name)
    x, other = slow(file), file.create_dataset("other", data=numbers(60, 8))
    for data in (x, other):
        data.dims[0].attach_scale(file["time"])
        data.dims[1].attach_scale(file["lat"])
        data.dims[0].label = "t"


def with_a_scale_that_is_written_again(file):
    slow(file)
    slow(file, "y", data=numbers(60), chunks=(7,))
    file["y"].make_scale("y")
    file["x"].dims[0].attach_scale(file["y"])


def with_references(file):
    x = slow(file)
    file["group/z"] = numbers(3)
    file.attrs["one"], file.attrs["region"] = x.ref, x.regionref[2:5, 1:3]
    file["group"].attrs.create("many", [x.ref, file["group/z"].ref, x.ref], dtype=h5py.ref_dtype)
    file["group"].attrs.create("none", h5py.Reference(), dtype=h5py.ref_dtype)
    x.attrs["self"] = x.ref
    file.create_dataset("cells", data=np.array([[x.ref, file["group"].ref]]), dtype=h5py.ref_dtype)
    file.create_dataset("regions", data=np.array([x.regionref[:2]]), dtype=h5py.regionref_dtype)
    table = np.zeros(2, [("start", "i4"), ("series", h5py.ref_dtype), ("name", h5py.string_dtype())])
    table["series"], table["name"] = [x.ref, file["group/z"].ref], ["a", "b"]
    file["table"] = table
    ragged = file.create_dataset("ragged", (2,), h5py.vlen_dtype(h5py.ref_dtype))
    ragged[0] = np.array([x.ref, x.ref], dtype=h5py.ref_dtype)


def with_links(file):
    slow(file, "deep/down/x")
    file["x"], file["hard"], file["deep/other"] = (file["deep/down/x"],) * 3
    file["soft"], file["dangling"] = h5py.SoftLink("/x"), h5py.SoftLink("/no")
    file["elsewhere"] = h5py.ExternalLink("other.h5", "/x")
    file["loop"] = file["deep"]


def with_all_kinds_of_attributes(file):
    x = slow(file)
    for number, value in enumerate(
        ["tëxt", np.bytes_(b"fixed"), h5py.Empty("f4"), h5py.Empty("S3"), 1 + 2j, True, [1, 2], np.float16(3)]
    ):
        x.attrs[f"a{number}"] = value
    x.attrs["list"] = ["a", "b\u202ec"]
    x.attrs["large"] = np.arange(30_000.0)
    x.attrs.create("enum", 1, dtype=h5py.enum_dtype({"RED": 0, "BLUE": 1}))
    x.attrs.create("ragged", [np.arange(2), np.arange(3)], (2,), h5py.vlen_dtype("i4"))
    x.attrs["row"] = np.array([(1, b"ab")], [("n", "i4"), ("s", "S5")])
    padded = h5t.C_S1.copy()
    padded.set_size(7)
    padded.set_strpad(h5t.STR_SPACEPAD)
    h5py.h5a.create(x.id, b"padded", padded, h5s.create(h5s.SCALAR)).write(np.array(b"ab     ", "S7"))
    bits = h5py.h5a.create(x.id, b"bits", h5t.STD_B16LE, h5s.create(h5s.SCALAR))
    bits.write(np.array(77, "u2"))


def with_named_types(file):
    file["type"] = np.dtype("f4")
    file["type"].attrs["of"] = "x"
    tid = file["type"].id
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_chunk((20, 2))
    made = h5d.create(file.id, b"x", tid, h5s.create_simple((60, 8)), plist)
    made.write(h5s.ALL, h5s.ALL, numbers(60, 8, dtype="f4"))
    file["x"].attrs.create("a", 1.0, dtype=file["type"])


def with_an_order(file):
    group = file.create_group("g", track_order=True)
    for name in ("z", "b", "q"):
        group[name] = numbers(3)
    x = slow(group, track_order=True)
    for name in ("last", "first", "middle"):
        x.attrs[name] = name
    group["a"], group["soft"], group["y"] = numbers(2), h5py.SoftLink("/g/x"), x
    group["c"], group["é"] = h5py.ExternalLink("o.h5", "/"), x
    file["x"] = x


def with_a_fill_value(file):
    slow(file, fillvalue=-7.5, maxshape=(None, 8))


def with_text_and_emptiness(file):
    slow(file)
    file["words"], file["nothing"] = ["a", "bé"], h5py.Empty("f4")
    file["fixed"] = np.array([b"a", b"bc"])
    file.create_dataset("ragged", (2,), h5py.vlen_dtype("i4"))[0] = [1, 2]
    file.create_group("empty").attrs["a"] = h5py.Empty("i4")


def with_odd_types(file):
    slow(file, data=numbers(60, 8, dtype=">i2"))
    slow(file, "flags", data=numbers(60, 8) > 4)
    slow(file, "c", data=numbers(60, 8) + 1j)
    slow(file, "half", data=numbers(60, 8, dtype="f2"))
    file.create_dataset("colour", (60, 8), h5py.enum_dtype({"R": 0, "B": 1}, "i1"), chunks=(20, 2))[...] = 1


KINDS = {
    "scales": (with_scales, {}),
    "scales written again": (with_a_scale_that_is_written_again, {"y": {}}),
    "references": (with_references, {}),
    "links": (with_links, {}),
    "attributes": (with_all_kinds_of_attributes, {}),
    "named types": (with_named_types, {}),
    "order": (with_an_order, {}),
    "fill value": (with_a_fill_value, {}),
    "text": (with_text_and_emptiness, {}),
    "types": (with_odd_types, {name: {} for name in ("flags", "c", "half", "colour")}),
}


@pytest.fixture
def data(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path / "data")
    return tmp_path / "data"


def make(write, name="a.h5", **options):
    with h5py.File(name, "w", **options) as file:
        write(file)


def content_of(*names):
    return [Path(name).read_bytes() for name in names]


def missing_chunks(name):
    catalog = scan_readable(discover([name]), processes=None, progress=False)
    return {dataset.path: dataset.missing_chunks for dataset in catalog.schema(0).datasets}


# ── what is kept ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize(("write", "more"), KINDS.values(), ids=KINDS)
def test_everything_else_is_kept(data, write, more, libver):
    if write is with_all_kinds_of_attributes and libver == "earliest":
        libver = "v108"  # larger attributes need it
    make(write, libver=libver)
    before, (raw,) = described("a.h5"), content_of("a.h5")
    rewrite_files("a.h5", "rewritten", {**AGAIN, **more})
    assert content_of("a.h5") == [raw]
    assert described("rewritten/a.h5") == before
    with h5py.File("rewritten/a.h5") as file:
        assert (file["x"].chunks, file["x"].compression) == ((10, 8), "gzip")
        assert all(file[name].chunks is None for name in more)


def test_the_comparison_finds_what_is_lost(data):
    """The comparison finds what a simple copy with h5py loses."""
    for write in (with_scales, with_references, with_an_order):
        make(write)
        with h5py.File("a.h5") as old, h5py.File("b.h5", "w") as new:
            for name in old.keys() - {"x"}:
                old.copy(name, new)
            new["x"] = old["x"][...]
            new["x"].attrs.update(old["x"].attrs)
        assert described("a.h5") != described("b.h5")
        assert described("a.h5") == described("a.h5")


def test_a_user_block_is_kept(data):
    make(slow, userblock_size=512)
    with open("a.h5", "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file")
    before = described("a.h5")
    rewrite_files("a.h5", "rewritten", AGAIN)
    assert described("rewritten/a.h5") == before
    assert content_of("rewritten/a.h5")[0].startswith(b"MATLAB 7.3 MAT-file")


@pytest.mark.parametrize(
    "storage", [{}, {"chunk_rows": 16}, {"chunk_rows": 64, "filter": "deflate"}], ids=str
)
@pytest.mark.parametrize("height", [8, 12, 5])
def test_rows_that_were_never_written_stay_unwritten(data, storage, height):
    written = np.zeros(96, bool)
    written[2 * height : 3 * height], written[5 * height : 7 * height] = True, True
    with h5py.File("a.h5", "w") as file:
        x = file.create_dataset("x", (96, 8), "f4", chunks=(height, 8), fillvalue=-1, **GZIP)
        for start in range(0, 96, height):
            if written[start]:
                x[start : start + height] = 3
    before = described("a.h5")
    rewrite_files("a.h5", "rewritten", {"x": storage})
    assert described("rewritten/a.h5") == before
    with h5py.File("rewritten/a.h5") as file:
        chunks, x = file["x"].chunks[0], file["x"]
        found = np.zeros(96, bool)
        places = []
        x.id.chunk_iter(lambda chunk: places.append(chunk.chunk_offset[0]))
    for place in places:
        found[place : place + chunks] = True
    np.testing.assert_array_equal(found, written)
    assert missing_chunks("rewritten/a.h5") == {"x": -(-96 // chunks) - len(places)}


def test_a_dataset_that_was_never_written(data):
    with h5py.File("a.h5", "w") as file:
        file.create_dataset("x", (60, 8), "f4", chunks=(20, 2))
        file.create_dataset("y", (60, 8), "f4")
    rewrite_files("a.h5", "rewritten", {"x": {}, "y": {"chunk_rows": 10}})
    with h5py.File("rewritten/a.h5") as file:
        assert [file[name].id.get_storage_size() for name in "xy"] == [0, 0]
    assert missing_chunks("a.h5") == {"x": 12, "y": 1}
    assert missing_chunks("rewritten/a.h5") == {"x": 1, "y": 6}


def test_data_that_may_grow_may_still_grow(data):
    make(lambda file: slow(file, maxshape=(None, None)))
    rewrite_files("a.h5", "rewritten", {"x": {}})
    with h5py.File("rewritten/a.h5", "r+") as file:
        assert (file["x"].maxshape, file["x"].compression) == ((None, None), None)
        file["x"].resize((70, 9))


def test_filters_keep_their_values(data):
    make(lambda file: slow(file, compression_opts=9, fletcher32=True))
    rewrite_files("a.h5", "rewritten", AGAIN)
    with h5py.File("rewritten/a.h5") as file:
        x = file["x"]
        assert (x.compression_opts, x.shuffle, x.fletcher32) == (9, True, True)


def test_checksums_that_are_lost_are_reported(data, capsys):
    make(lambda file: slow(file, fletcher32=True))
    rewrite_files("a.h5", "rewritten", {"x": {}})
    assert "the checksums of '/x' (fletcher32) are lost" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["deflate", "lzf", "blosc", "lz4", "bitshuffle", "zstd", "blosc2"])
@pytest.mark.parametrize(
    "before", [GZIP, dict(hdf5plugin.Bitshuffle()), {"scaleoffset": 0}], ids=["gzip", "bits", "so"]
)
def test_all_compressors(data, name, before):
    with h5py.File("a.h5", "w") as file:
        file.create_dataset("x", data=numbers(60, 64, dtype="i4"), chunks=(20, 2), **before)
    said = described("a.h5")
    rewrite_files("a.h5", "rewritten", {"x": {"chunk_rows": 10, "filter": name}})
    assert described("rewritten/a.h5") == said
    with h5py.File("rewritten/a.h5") as file:
        assert file["x"].chunks == (10, 64)
        assert file["x"].id.get_storage_size() < 60 * 64 * 4


def test_files_grow_no_more_than_they_must(data):
    noise = np.random.default_rng(0).random((600, 8, 32))
    make(lambda file: slow(file, data=noise, chunks=(600, 1, 8)))
    rewrite_files("a.h5", "rewritten", {"x": {"chunk_rows": 50, "filter": "deflate"}})
    assert os.path.getsize("rewritten/a.h5") < 1.1 * os.path.getsize("a.h5")


def places_of(dataset):
    """Which values lie in chunks that were written."""
    found, places = np.zeros(dataset.shape, bool), []
    dataset.id.chunk_iter(lambda chunk: places.append(chunk.chunk_offset))
    for place in places:
        found[
            tuple(slice(start, start + size) for start, size in zip(place, dataset.chunks, strict=True))
        ] = True
    return found


@pytest.mark.parametrize("seed", range(40))
def test_any_written_rows_in_any_chunks(data, seed):
    rng = np.random.default_rng(seed)
    shape = (int(rng.choice([1, 5, 40, 97])), *rng.integers(1, 9, rng.integers(0, 3)).tolist())
    maxshape = (None, *shape[1:]) if rng.random() < 0.4 else shape
    chunks = tuple(int(rng.integers(1, min(length, 50) + 1)) for length in shape)
    filters = [{}, GZIP, {"fletcher32": True}, dict(hdf5plugin.Zstd()), {"compression": "lzf"}][seed % 5]
    with h5py.File("a.h5", "w", libver=["earliest", "latest"][seed % 2]) as file:
        x = file.create_dataset(
            "x", shape, "f4", maxshape=maxshape, chunks=chunks, fillvalue=seed % 3, **filters
        )
        for _ in range(seed % 4):
            first = int(rng.integers(0, shape[0]))
            x[first : first + int(rng.integers(1, 30))] = float(rng.integers(0, 9))
        file.attrs["x"], written = x.ref, places_of(x)
    before = described("a.h5")
    height = int(rng.choice([0, 1, 7, 64, 1000]))
    storage = {"chunk_rows": height, "filter": ["", "deflate", "blosc2"][seed % 3]} if height else {}
    rewrite_files("a.h5", "rewritten", {"x": storage})
    assert described("rewritten/a.h5") == before
    with h5py.File("rewritten/a.h5") as file:
        is_stored = bool(file["x"].id.get_storage_size())
        found = places_of(file["x"]) if file["x"].chunks else np.full(shape, is_stored)
    np.testing.assert_array_equal(found, written)


def test_gaps_are_refused_if_hdf5_reports_wrong_positions_of_chunks(data):
    """If an axis other than the first one may grow, ``H5Dchunk_iter`` reports wrong positions."""
    with h5py.File("a.h5", "w", libver="latest") as file:
        x = file.create_dataset("x", (12, 6), "f4", maxshape=(12, None), chunks=(4, 6))
        x[4:8] = 1
    with pytest.raises(BadFileError, match="HDF5 does not say which chunks"):
        rewrite_files("a.h5", "rewritten", AGAIN)
    with h5py.File("a.h5", "r+") as file:
        file["x"][...] = np.arange(72).reshape(12, 6)
    rewrite_files("a.h5", "rewritten", {"x": {"chunk_rows": 3}})
    assert described("rewritten/a.h5") == described("a.h5")


# ── float32 ──────────────────────────────────────────────────────────────────────────────────────────


def test_float32_is_stored_on_request(data):
    with h5py.File("a.h5", "w") as file:
        x = slow(file, data=(numbers(60, 8) / 3).astype(">f8"), fillvalue=0.1)
        x.attrs["_FillValue"], x.attrs["scale"] = np.array([0.1]), 0.1
        slow(file, "y", data=numbers(60, 8, dtype="i4"))
    rewrite_files("a.h5", "rewritten", {name: {"dtype": "float32"} for name in "xy"})
    with h5py.File("a.h5") as old, h5py.File("rewritten/a.h5") as new:
        assert (new["x"].dtype, new["y"].dtype, new["x"].fillvalue) == (">f4", "i4", np.float32(0.1))
        np.testing.assert_array_equal(new["x"][...], old["x"][...].astype("f4"))
        assert new["x"].attrs["_FillValue"] == np.array([0.1], "f4")
        assert (new["x"].attrs["_FillValue"].dtype, new["x"].attrs["scale"]) == (">f4", 0.1)


def test_float32_that_is_too_small_is_refused(data):
    make(lambda file: slow(file, data=np.full((60, 8), 1e300)))
    with pytest.raises(BadFileError, match=r"'/x' holds 1e\+300, which is too large for float32"):
        rewrite_files("a.h5", "rewritten", {"x": {"dtype": "float32"}})
    assert os.listdir("rewritten") == []


@pytest.mark.parametrize("kind", ["bits", "short"])
def test_types_that_hdf5_must_convert_are_converted_on_request(data, kind):
    tid = h5t.STD_B16BE if kind == "bits" else h5t.STD_I16BE.copy()
    if kind == "short":
        tid.set_precision(12)
    values = numbers(60, 8, dtype=">u2" if kind == "bits" else ">i2")
    written = tid if kind == "bits" else None
    with h5py.File("a.h5", "w") as file:
        made = h5d.create(file.id, b"x", tid, h5s.create_simple((60, 8)))
        made.write(h5s.ALL, h5s.ALL, values.view("V2") if kind == "bits" else values, mtype=written)
    rewrite_files("a.h5", "kept", {"x": {}})
    rewrite_files("a.h5", "plain", {"x": {"dtype": values.dtype.str}})
    with h5py.File("kept/a.h5") as kept, h5py.File("plain/a.h5") as plain:
        assert kept["x"].id.get_type().equal(tid)
        assert plain["x"].id.get_type().equal(h5t.py_create(values.dtype))
        np.testing.assert_array_equal(plain["x"][...], values)
    with pytest.raises(BadFileError, match="expected int64"):
        rewrite_files("a.h5", "other", {"x": {"dtype": "i8"}})


def test_enumerations_stay_what_they_are(data):
    with h5py.File("a.h5", "w") as file:
        kind = h5py.enum_dtype({"R": 0, "B": 1}, ">i2")
        slow(file, data=np.ones((60, 8), kind), dtype=kind)
    before = described("a.h5")
    rewrite_files("a.h5", "rewritten", {"x": {"dtype": ">i2"}})
    assert described("rewritten/a.h5") == before
    with h5py.File("rewritten/a.h5") as file:
        assert h5py.check_enum_dtype(file["x"].dtype) == {"R": 0, "B": 1}


# ── tables ───────────────────────────────────────────────────────────────────────────────────────────


def test_columns_are_written_beside_the_table(data):
    rows = np.zeros(300, [("p x", "f8"), ("charge", ">i4"), ("v", "f4", 3), ("name", "S4")])
    rows["p x"], rows["charge"], rows["v"] = np.arange(300) / 7, np.arange(300) % 3, np.ones((300, 3))
    with h5py.File("a.h5", "w") as file:
        file.create_dataset("runs/events", data=rows, chunks=(64,), **GZIP)
        file["runs/events"].attrs["unit"] = "GeV"
    before = described("a.h5")
    storage = {"p x": {}, "charge": {"chunk_rows": 10, "filter": "deflate"}, "v": {}}
    rewrite_files("a.h5", "rewritten", columns={"runs/events": storage})
    after = described("rewritten/a.h5")
    assert after["/runs/events"] == before["/runs/events"]
    with h5py.File("rewritten/a.h5") as file:
        columns = file["runs/events_columns"]
        for name in storage:
            np.testing.assert_array_equal(columns[name][...], rows[name])
            assert columns[name].dtype.base == rows.dtype[name].base


def test_columns_that_lack_a_name(data):
    with h5py.File("a.h5", "w") as file:
        file["t"] = np.zeros(3, [("a/b", "f4"), ("c", "f4")])
        file["t_columns/c"] = 1
    for column, words in (
        ("a/b", "no column 'a/b'"),
        ("d", "no column 'd'"),
        ("c", "another object has the name"),
    ):
        with pytest.raises(BadFileError, match=words):
            rewrite_files("a.h5", "rewritten", columns={"t": {column: {}}})


# ── other files ──────────────────────────────────────────────────────────────────────────────────────


def write_virtual(parts=2, rows=40):
    os.makedirs("parts")
    layout = h5py.VirtualLayout((rows, 8), "f4", maxshape=(rows, 8))
    for number in range(parts):
        with h5py.File(f"parts/{number}.hdf5", "w") as file:
            file["x"] = numbers(20, 8, dtype="f4")
        layout[20 * number : 20 * number + 20] = h5py.VirtualSource(f"parts/{number}.hdf5", "x", (20, 8))
    with h5py.File("a.h5", "w") as file:
        file.create_virtual_dataset("x", layout, fillvalue=-1)
        slow(file, "y")


def test_virtual_data_become_data_of_the_file(data):
    write_virtual()
    with h5py.File("a.h5") as file:
        expected = file["x"][...]
    rewrite_files("a.h5", "rewritten", AGAIN)
    with h5py.File("rewritten/a.h5") as file:
        assert not file["x"].is_virtual
        np.testing.assert_array_equal(file["x"][...], expected)


def test_virtual_data_with_gaps_are_refused(data):
    write_virtual(rows=60)
    with pytest.raises(BadFileError, match="sources for 320 of its 480 values"):
        rewrite_files("a.h5", "rewritten", AGAIN)
    os.unlink("parts/0.hdf5")
    with pytest.raises(BadFileError, match="which is not there"):
        rewrite_files("a.h5", "rewritten", AGAIN)


def test_other_virtual_datasets_keep_their_sources(data):
    """From another folder, HDF5 would not find them, and would deliver fill values."""
    write_virtual()
    before = described("a.h5")
    with pytest.raises(BadFileError, match=r"also create '\S+/rewritten/parts/0.hdf5', as a copy or a link"):
        rewrite_files("a.h5", "rewritten", {"y": {}})
    os.symlink(data / "parts", "rewritten/parts")
    rewrite_files("a.h5", "rewritten", {"y": {}})
    assert described("rewritten/a.h5") == before


def test_virtual_datasets_whose_sources_are_rewritten_too(data):
    write_virtual()
    rewrite_files(["a.h5", "parts/*.hdf5"], "rewritten", {"y": {}})
    assert described("rewritten/a.h5") == described("a.h5")


def test_external_storage_is_copied_and_not_written_to(data):
    numbers(40, 8, dtype="f4").tofile("x.raw")
    with h5py.File("a.h5", "w") as file:
        file.create_dataset("x", (40, 8), "f4", external=[("x.raw", 0, h5py.h5f.UNLIMITED)])
        file.create_dataset("y", (40, 8), "f4", external=[("x.raw", 0, h5py.h5f.UNLIMITED)])
    raw = content_of("x.raw", "a.h5")
    rewrite_files("a.h5", "rewritten", {"x": {}})
    assert content_of("x.raw", "a.h5") == raw
    with h5py.File("rewritten/a.h5") as file:
        assert (file["x"].external, len(file["y"].external)) == (None, 1)
        np.testing.assert_array_equal(file["x"][...], numbers(40, 8, dtype="f4"))


def test_links_to_files_that_stay_behind_are_reported(data, capsys):
    make(slow, "other.h5")
    with h5py.File("a.h5", "w") as file:
        slow(file)
        file["link"] = h5py.ExternalLink("other.h5", "/x")
    rewrite_files("a.h5", "rewritten", AGAIN)
    assert "has a link to 'other.h5', which lies beside the original" in capsys.readouterr().out
    rewrite_files("*.h5", "both", AGAIN)
    assert "has a link" not in capsys.readouterr().out


# ── what is refused, and left alone ──────────────────────────────────────────────────────────────────


def write_partial_rows(file):
    file.create_dataset("x", (40, 8), "f4", chunks=(20, 4))[:, :4] = 1


def write_words(file):
    file["x"] = ["a", "b"]


def write_scalar(file):
    file["x"] = 1.0


REFUSED = {
    "parts of rows": (write_partial_rows, "some chunks were never written"),
    "words": (write_words, "variable length"),
    "scalar": (write_scalar, "has no rows"),
}


@pytest.mark.parametrize(("write", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_kept_is_refused_and_the_other_files_are_written(data, capsys, write, words):
    make(write, "a.h5")
    make(slow, "b.h5")
    with pytest.raises(BadFileError, match=f"1 of 2 files could not be written: 'a.h5': '/x' .*{words}"):
        rewrite_files("*.h5", "rewritten", AGAIN)
    assert os.listdir("rewritten") == ["b.h5"]
    assert described("rewritten/b.h5") == described("b.h5")


def test_files_without_the_dataset_are_copied(data):
    make(slow, "a.h5")
    make(lambda file: slow(file, "other"), "b.h5")
    with h5py.File("c.h5", "w") as file:
        file["x/y"] = 1
    rewrite_files("*.h5", "rewritten", AGAIN)
    assert content_of("rewritten/b.h5", "rewritten/c.h5") == content_of("b.h5", "c.h5")


def test_datasets_of_other_files_stay_where_they_are(data):
    make(slow, "other.h5")
    with h5py.File("a.h5", "w") as file:
        file["x"], file["y"] = h5py.ExternalLink("other.h5", "/x"), 1
    before = content_of("a.h5", "other.h5")
    rewrite_files("a.h5", "rewritten", AGAIN)
    assert content_of("a.h5", "other.h5") == before
    assert described("rewritten/a.h5") == described("a.h5")


def test_datasets_that_a_soft_link_names(data):
    with h5py.File("a.h5", "w") as file:
        slow(file, "inner/data")
        file["x"] = h5py.SoftLink("/inner/data")
    rewrite_files("a.h5", "rewritten", AGAIN)
    assert described("rewritten/a.h5") == described("a.h5")
    with h5py.File("rewritten/a.h5") as file:
        assert file["inner/data"].chunks == (10, 8)


def test_broken_references_stay_broken(data):
    with h5py.File("a.h5", "w") as file:
        slow(file)
        file["gone"] = 1
        file.attrs["dangling"] = file["gone"].ref
        del file["gone"]
    rewrite_files("a.h5", "rewritten", AGAIN)
    assert described("rewritten/a.h5") == described("a.h5")


def test_a_second_run_skips_existing_files(data, capsys):
    for name in ("a.h5", "b.h5"):
        make(slow, name)
    rewrite_files("a.h5", "rewritten", AGAIN)
    (first,) = content_of("rewritten/a.h5")
    make(with_links, "a.h5")
    rewrite_files("*.h5", "rewritten", AGAIN)
    assert "1 file in " in capsys.readouterr().out
    assert content_of("rewritten/a.h5") == [first]
    assert described("rewritten/b.h5") == described("b.h5")


def test_files_of_the_same_name_in_two_folders(data):
    for folder in ("one", "two"):
        os.makedirs(folder)
        make(slow, f"{folder}/a.h5")
    rewrite_files("*/a.h5", "../rewritten", AGAIN)
    assert sorted(glob.glob("../rewritten/**/*.h5", recursive=True)) == [
        "../rewritten/one/a.h5", "../rewritten/two/a.h5",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "into"),
    [("**/*.h5", "rewritten"), ("*.h5", "."), ("a.h5", "."), ("{a,rewritten/*}.h5", "rewritten")],
)
def test_new_files_are_never_input_of_the_next_run(data, pattern, into):
    make(slow)
    before = content_of("a.h5")
    with pytest.raises(OptionError, match="so that its data would be read twice"):
        rewrite_files(pattern, into, AGAIN)
    assert (content_of("a.h5"), os.listdir()) == (before, ["a.h5"])
    rewrite_files([pattern, "!rewritten/**"], "rewritten", AGAIN)


def test_a_folder_that_cannot_be_made(data):
    make(slow)
    with pytest.raises(OptionError, match=r"/a.h5/deep' cannot be created: Not a directory"):
        rewrite_files("a.h5", "a.h5/deep", AGAIN)


def test_a_disk_that_is_too_small(data, monkeypatch):
    make(slow)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(ResourceError, match=r"has 10 B of free space, and up to .* KiB are needed"):
        rewrite_files("a.h5", "rewritten", AGAIN)
    assert os.listdir("rewritten") == []


def test_a_file_that_is_open_for_writing_is_refused(data):
    make(slow)
    writer = subprocess.Popen(
        [sys.executable, "-c", "import h5py; f = h5py.File('a.h5', 'r+'); print(flush=True); input()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        writer.stdout.readline()
        with pytest.raises(BadFileError, match=r"'a.h5': another program has it open for writing"):
            rewrite_files("a.h5", "rewritten", AGAIN)
    finally:
        writer.communicate(b"\n")
    assert os.listdir("rewritten") == []


def test_a_file_that_changes_meanwhile_is_refused(data, monkeypatch):
    make(slow)

    def copy_and_write(source, target, copy=shutil.copyfile):
        copy(source, target)
        os.utime(source, ns=(1, 1))

    monkeypatch.setattr("shutil.copyfile", copy_and_write)
    with pytest.raises(BadFileError, match=r"was written to .* while it was copied"):
        rewrite_files("a.h5", "rewritten", AGAIN)
    assert os.listdir("rewritten") == []


def test_values_that_differ_after_writing_are_refused(data, monkeypatch):
    make(slow)
    monkeypatch.setattr("h5lightning.tools.doctor.rewriting.replace_datasets.copy_rows", lambda *_: None)
    with pytest.raises(BadFileError, match="row 0 of '/x' differs from the original after writing"):
        rewrite_files("a.h5", "rewritten", AGAIN)
    assert os.listdir("rewritten") == []


KILLED = """
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started the tests without it
import h5lightning.tools.doctor.rewriting.replace_datasets as replacing
copy = replacing.copy_rows
replacing.copy_rows = lambda *args: (copy(*args), os.kill(os.getpid(), signal.{signal}))
from h5lightning.tools.doctor import rewrite_files
rewrite_files("a.h5", "rewritten", {{"x": {{}}}})
"""


@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT"])
def test_a_program_that_is_interrupted_leaves_no_half_file(data, capsys, name):
    make(slow)
    before = content_of("a.h5")
    done = subprocess.run(
        [sys.executable, "-c", KILLED.format(signal=name)], check=False, capture_output=True
    )
    assert done.returncode in (-getattr(signal, name), 1, 130)
    assert [entry for entry in os.listdir("rewritten") if not entry.startswith(".unfinished-")] == []
    assert glob.glob("**/*", root_dir="rewritten", recursive=True) == []
    assert content_of("a.h5") == before
    left = os.listdir("rewritten")
    rewrite_files("a.h5", "rewritten", AGAIN)
    assert described("rewritten/a.h5") == described("a.h5")
    printed = capsys.readouterr().out
    assert all(name in printed for name in left)
    assert ("is from a run that was killed" in printed) == bool(left)


def test_read_only_files_stay_read_only(data):
    make(slow)
    os.chmod("a.h5", 0o440)
    rewrite_files("a.h5", "rewritten", AGAIN)
    assert os.stat("rewritten/a.h5").st_mode & 0o777 == 0o440


@pytest.mark.parametrize(
    "options",
    [{"filter": "gzip", "chunk_rows": 3}, {"filter": "deflate"}],
    ids=["filter", "no chunks"],
)
def test_invalid_storage_options(data, options):
    make(slow)
    with pytest.raises(OptionError):
        rewrite_files("a.h5", "rewritten", {"x": options})


def test_it_is_fast_afterwards(data):
    make(with_scales)
    fields = {"x": Field("x")}
    exec(
        compile(diagnose_files(["a.h5"], fields, progress=False, float32=True).fix.python, "fix", "exec"), {}
    )
    assert not diagnose_files(["a.h5"], fields, progress=False).is_healthy
    assert diagnose_files(["rewritten/a.h5"], fields, progress=False).is_healthy
