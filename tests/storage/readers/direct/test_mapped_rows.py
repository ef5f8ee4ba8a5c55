"""Rows of mapped files: a group of rows holds the maps that its addresses lie in."""

import gc
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from h5lightning.storage.files.raw_file import RawFile
from h5lightning.storage.files.verified_blocks import VerifiedBlocks
from h5lightning.storage.readers.decoded.chunk_cache import ChunkRowSlots
from h5lightning.storage.readers.decoded.decode_pool import DecodePool
from h5lightning.storage.readers.direct.chunk_map import map_chunks
from h5lightning.storage.readers.direct.open_source import OpenSource
from h5lightning.storage.readers.direct.source_group import row_group
from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest
from h5lightning.storage.readers.row_writer import RowWriter

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what is mapped")

LAYOUTS = {"rows": {}, "chunks": {"chunks": (3, 5)}, "columns": {"chunks": (3, 2)}}


class Anything(VerifiedBlocks):
    """Checksums that any bytes have."""

    def __init__(self):
        self.is_whole = False

    def check_in(self, view, starts, size):
        assert len(view)


def is_mapped(path):
    return path in Path("/proc/self/maps").read_text(encoding="utf-8")


@pytest.mark.parametrize("is_verified", [False, True], ids=["plain", "verified"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_group_of_rows_holds_its_map(layout, is_verified, tmp_path):
    path, values = str(tmp_path / "a.h5"), np.arange(60.0).reshape(12, 5)
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=values, **LAYOUTS[layout])
    raw, source = RawFile(path), DatasetColumn("x", None, "<f8", (5,))
    with h5py.File(path) as file:
        chunk_map = map_chunks(file["x"].id, source, raw)
    blocks, pool = Anything() if is_verified else None, DecodePool(0, 1)
    opened = OpenSource(raw, source, chunk_map, ChunkRowSlots(0), blocks=blocks, pool=pool, memory_map=True)
    group = row_group([opened], pool)
    raw.close()
    del raw, opened
    gc.collect()
    assert is_mapped(path)
    rows, out = np.array([11, 0, 5]), np.empty((3, 5))
    request = ReadRequest(source, np.array([0, 3]), rows, np.arange(3), out)
    group.put(request, RowWriter(out, np.dtype("<f8"), 40))
    assert (out == values[rows]).all()
    del group
    gc.collect()
    assert not is_mapped(path)
