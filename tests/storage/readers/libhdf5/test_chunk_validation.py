"""Chunks are looked at before HDF5 decodes them: none is missed, and none crashes a plug-in."""

import struct
import zlib

import h5py
import hdf5plugin
import numpy as np
import pytest

from h5lightning.errors import BadFileError
from h5lightning.options import Access
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.libhdf5.chunk_validation import ChunkValidator
from h5lightning.storage.readers.libhdf5.reader import H5pyReader
from h5lightning.storage.readers.protocol import DatasetColumn

ROWS, HEIGHT = 3063, 1021
SOURCE = DatasetColumn("x", None, "<f8", ())


@pytest.fixture
def make(tmp_path):
    def make(libver="earliest", **options):
        path = str(tmp_path / "a.h5")
        with h5py.File(path, "w", libver=libver) as file:
            file.create_dataset("x", data=np.arange(float(ROWS)), chunks=(HEIGHT,), **options)
        return path

    return make


def read(path, rows, **access):
    out = np.zeros(len(rows))
    with HandlePool(Access(**access)) as pool:
        H5pyReader(pool).read_rows(path, SOURCE, np.asarray(rows), out)
    return out


def hide_last_chunk(path):
    """Damage the last key of the index, so that HDF5 does not find what lies before it."""
    with open(path, "rb") as file:
        data = file.read()
    key = struct.pack("<QQ", ROWS, 8)
    assert data.count(key) == 1
    with open(path, "wb") as file:
        file.write(data.replace(key, struct.pack("<QQ", 2 * HEIGHT, 0)))


@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}], ids=["plain", "gzip"])
def test_a_chunk_that_hdf5_misses(options, make):
    path = make(**options)
    rows = [5, ROWS - 1]
    assert read(path, rows).tolist() == rows
    hide_last_chunk(path)
    with h5py.File(path) as file:
        assert file["x"][ROWS - 1] == 0, "HDF5 invents a value"
    assert read(path, [5]).tolist() == [5]
    with pytest.raises(BadFileError, match=rf"'/x' in .*a\.h5: the chunk at \({2 * HEIGHT},\) is not found"):
        read(path, rows)
    out = np.zeros(ROWS)
    with HandlePool(Access()) as pool, pytest.raises(BadFileError, match="is not found"):
        H5pyReader(pool).read_whole(path, DatasetColumn("x", None, "<f8", (ROWS,)), out)


def test_chunks_that_were_never_written_may_be_accepted(tmp_path):
    path = str(tmp_path / "a.h5")
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (ROWS,), "<f8", chunks=(HEIGHT,), fillvalue=7)[:5] = 1
    assert read(path, [0, ROWS - 1], on_missing="fill").tolist() == [1, 7]
    with pytest.raises(BadFileError, match="is not found"):
        read(path, [0, ROWS - 1])


@pytest.mark.parametrize(
    "options",
    [hdf5plugin.LZ4(), hdf5plugin.Bitshuffle(cname="zstd"), hdf5plugin.Zstd(), hdf5plugin.Blosc()],
    ids=["lz4", "bitshuffle", "zstd", "blosc"],
)
@pytest.mark.parametrize(
    "stored", [b"\0" * 12, b"\xff" * 40, bytes(range(100))], ids=["zeros", "ones", "other"]
)
def test_plug_ins_get_no_damaged_chunk(options, stored, make):
    path = make(**options)
    assert read(path, [0, 2000]).tolist() == [0, 2000]
    with h5py.File(path, "r+") as file:
        file["x"].id.write_direct_chunk((HEIGHT,), stored)
        place = file["x"].id.get_chunk_info_by_coord((HEIGHT,)).byte_offset
    message = rf"the chunk at \({HEIGHT},\), {len(stored)} bytes at byte {place} of the file, is not what the filters"
    with pytest.raises(
        BadFileError, match=rf"'/x' in .*a\.h5: {message} \w+ make \(.*\)\. The file is damaged"
    ):
        read(path, [0, 2000])


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_no_memory_of_others_is_delivered(libver, make):
    path = make(libver, compression="gzip")
    with h5py.File(path, "r+") as file:
        file["x"].id.write_direct_chunk((HEIGHT,), zlib.compress(bytes(100)))
    with pytest.raises(BadFileError, match=r"deflate make \(100 bytes, expected 8168\)"):
        read(path, [2000])


@pytest.mark.parametrize(
    ("libver", "options", "is_needed"),
    [
        ("earliest", {}, True),
        ("latest", {}, False),
        ("latest", {"fletcher32": True, "shuffle": True}, False),
        ("latest", {"compression": "gzip"}, True),
        ("latest", dict(hdf5plugin.Zstd()), True),
    ],
    ids=["no checksums", "checksums", "same size", "gzip", "plug-in"],
)
def test_what_hdf5_sees_itself_is_left_to_it(libver, options, is_needed, make):
    with h5py.File(make(libver, **options)) as file:
        assert (ChunkValidator.of("x", file["x"], on_missing="raise") is not None) == is_needed


def test_contiguous_data_have_no_chunks(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        assert ChunkValidator.of("x", file.create_dataset("x", data=np.arange(5)), on_missing="raise") is None


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_chunks_that_were_never_written(libver, tmp_path):
    path = str(tmp_path / "a.h5")
    with h5py.File(path, "w", libver=libver) as file:
        file.create_dataset("x", (ROWS,), "<f8", chunks=(HEIGHT,), compression="gzip", fillvalue=7)
    assert read(path, [0, ROWS - 1], on_missing="fill").tolist() == [7, 7]
