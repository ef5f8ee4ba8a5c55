"""Chunks of Blosc that lie about sizes; frames of Blosc2 as its filter writes them, and what it never writes."""

import struct

import hdf5plugin
import numpy as np
import pytest
from stored_chunks import OPTIONS, decoded, stored_chunk, stored_chunks

from h5lightning.storage.codecs import CodecError

VALUES = (np.arange(5000) // 7 % 50).astype("<f4")


@pytest.mark.parametrize("options", ["blosc", "blosc-blosclz", "blosc-zlib"])
@pytest.mark.parametrize(
    ("place", "value"),
    [(4, 19_996), (4, 20_004), (4, 2**31), (8, 0), (8, 2**31), (12, 16), (12, 2**31)],
    ids=["shorter", "longer", "huge", "no-block", "huge-block", "stored-less", "stored-more"],
)
def test_blosc_lies_about_sizes(place, value, options):
    pipeline, stored, _ = stored_chunk(VALUES, OPTIONS[options])
    damaged = stored.copy()
    struct.pack_into("<I", damaged.data, place, value)
    with pytest.raises(CodecError, match="blosc: "):
        decoded(pipeline, damaged, VALUES.nbytes)


COMPRESSORS = ["blosclz", "lz4", "lz4hc", "zlib", "zstd"]
FILTERS = {"none": 0, "shuffle": 1, "bits": 2, "delta": 3}
SHAPES = {
    "line": ((1000,), (300,)),
    "rows": ((64, 128), (32, 128)),
    "boxes": ((300, 300), (257, 131)),
    "cube": ((40, 50, 60), (13, 50, 17)),
    "images": ((20, 3, 32, 32), (16, 3, 32, 32)),
    "ones": ((50, 1, 3), (7, 1, 3)),
}


def check(values, chunks, options):
    pipeline, stored = stored_chunks(values, options, chunks)
    for place, (data, mask) in stored.items():
        expected = np.zeros(chunks, values.dtype)
        part = values[tuple(slice(start, start + size) for start, size in zip(place, chunks, strict=True))]
        expected[tuple(slice(0, size) for size in part.shape)] = part
        assert decoded(pipeline, data, expected.nbytes, mask).tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", ["u1", "<f4", ">f8", "<c16", "S3"])
@pytest.mark.parametrize("shape", list(SHAPES))
def test_shapes_and_types(shape, dtype):
    shape, chunks = SHAPES[shape]
    values = np.random.default_rng(0).integers(0, 99, shape).astype(dtype)
    for level in (0, 1, 5):  # each has its own size of blocks
        check(values, chunks, hdf5plugin.Blosc2(cname="lz4", clevel=level))


@pytest.mark.parametrize("filters", list(FILTERS))
@pytest.mark.parametrize("compressor", COMPRESSORS)
def test_compressors_and_filters(compressor, filters):
    values = (np.arange(300 * 300) // 7 % 1000).reshape(300, 300).astype("<i4")
    options = hdf5plugin.Blosc2(cname=compressor, clevel=1, filters=FILTERS[filters])
    check(values, (257, 131), options)


@pytest.mark.parametrize("fill", [0, 7, np.nan, -1], ids=str)
@pytest.mark.parametrize("shape", [(1000,), (20, 50)], ids=["line", "array"])
def test_runs(shape, fill):
    check(np.full(shape, fill, "<f4"), shape, hdf5plugin.Blosc2())


def test_elements_longer_than_blosc_knows():
    check(np.arange(1000).astype("S300"), (100,), hdf5plugin.Blosc2())
    check(np.arange(1000).astype("S300").reshape(20, 50), (20, 50), hdf5plugin.Blosc2())


def test_a_checksum_before(tmp_path):
    values = np.arange(1200, dtype="<i4").reshape(30, 40)
    check(values, (30, 40), {**hdf5plugin.Blosc2(), "fletcher32": True})


# ── what the filter never writes ─────────────────────────────────────────────────────────────────────

FRAME, CHUNK = 0, 165  # where the frame starts, and the chunk in a frame of two axes
LEFT = "which only HDF5 reads: use reader='h5py'"
CHANGES = {
    "magic": (2, "B", 0, "blosc2: no frame"),
    "sparse": (26, "B", 1, "blosc2: no frame"),
    "header": (11, ">i", 80, "blosc2: says .* 80 of them header"),
    "negative-header": (11, ">i", -1, "-1 of them header"),
    "frame": (16, ">Q", 2**40, f"says {2**40} bytes"),
    "negative-data": (39, ">q", -1, "-1 data"),
    "decoded": (30, ">q", 4804, f"a frame of 4804 bytes in chunks of 4800, {LEFT}"),
    "layers": (92, ">H", 2, f"a frame with unknown layers, {LEFT}"),
    "axes": (114, "B", 16, "an array of 16 axes"),
    "shape": (124, "B", 1, rf"an array .* in chunks .*, {LEFT}"),
    "chunk-version": (CHUNK, "B", 4, f"a chunk of version 4 .*, {LEFT}"),
    "old-header": (CHUNK + 2, "B", 0x04, f"a chunk of version 5 with flags 0x04, {LEFT}"),
    "codec-of-a-plug-in": (CHUNK + 2, "B", 0xC5, f"compressor 6 .*, {LEFT}"),
    "nbytes": (CHUNK + 4, "<i", 4796, "says .* bytes that decode to 4796"),
    "no-block": (CHUNK + 8, "<i", 0, "in blocks of 0"),
    "negative-block": (CHUNK + 8, "<i", -1, "in blocks of "),
    "cbytes": (CHUNK + 12, "<i", 32, "says 32 bytes"),
    "filter-of-a-plug-in": (CHUNK + 21, "B", 35, rf"filters \[0, 0, 0, 0, 0, 35\] .*, {LEFT}"),
    "two-filters": (CHUNK + 20, "B", 3, rf"filters \[0, 0, 0, 0, 3, 1\] .*, {LEFT}"),
    "dictionary": (CHUNK + 31, "B", 0x01, f"flags 0x01, {LEFT}"),
    "lazy": (CHUNK + 31, "B", 0x08, f"flags 0x08, {LEFT}"),
    "left-as-it-was": (CHUNK + 31, "B", 0x40, f"flags 0x40, {LEFT}"),
    "instrumented": (CHUNK + 31, "B", 0x80, f"flags 0x80, {LEFT}"),
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_what_is_refused(change):
    values = (np.arange(1200) // 7).astype("<i4").reshape(30, 40)
    pipeline, stored, _ = stored_chunk(values, hdf5plugin.Blosc2())
    place, form, value, problem = CHANGES[change]
    damaged = stored.copy()
    struct.pack_into(form, damaged.data, place, value)
    with pytest.raises(CodecError, match=problem):
        decoded(pipeline, damaged, 4800)


@pytest.mark.parametrize("mark", [0x00, 0x82, 0x84], ids=["none", "nan", "left-as-it-was"])
def test_an_index_that_marks_something_else(mark):
    pipeline, stored, _ = stored_chunk(np.zeros(1000, "<f4"), hdf5plugin.Blosc2())
    damaged = stored.copy()
    assert damaged[97 + 32 + 7] == 0x81
    damaged[97 + 32 + 7] = mark
    with pytest.raises(CodecError, match=rf"a chunk that is marked {mark:#04x}, {LEFT}"):
        decoded(pipeline, damaged, 4000)


def test_an_array_of_another_shape():
    values = np.arange(1200, dtype="<i4").reshape(30, 40)
    pipeline, _, _ = stored_chunk(values, hdf5plugin.Blosc2())
    _, stored, _ = stored_chunk(values.reshape(40, 30), hdf5plugin.Blosc2())
    with pytest.raises(CodecError, match=r"blosc2: an array \(40, 30\), expected \(30, 40\)"):
        decoded(pipeline, stored, 4800)
