"""Find the first row of a file that was never written, because the job that wrote it was killed."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable

import h5py
import numpy as np
from h5py import h5d, h5s

from h5lightning.errors import H5LightningError
from h5lightning.storage.hdf5.open_file import opened_id

__all__ = ["unwritten_since"]

_UNKNOWN = (H5LightningError, OSError, KeyError, ValueError, RuntimeError, TypeError)
_MOST_CHUNK_ROW_BYTES = 64 * 1024 * 1024


def unwritten_since(path: str, datasets: Iterable[str]) -> str:
    """Name the first row that was not written, and its dataset; empty if there is none, or it cannot be found.

    Args:
        path: the file, which was scanned before.
        datasets: paths of numeric datasets.
    """
    with contextlib.suppress(*_UNKNOWN), opened_id(path) as fid:
        for name in datasets:
            row = _first_unwritten(h5d.open(fid, name.encode("utf-8", "surrogateescape")))
            if row is not None:
                return f"row {row} of '/{name}' is the first that was not written"
    return ""


def _first_unwritten(did: h5d.DatasetID) -> int | None:
    plist, shape = did.get_create_plist(), did.shape or ()
    if not math.prod(shape) or plist.get_layout() not in (h5d.CONTIGUOUS, h5d.CHUNKED):
        return None
    if plist.get_layout() == h5d.CONTIGUOUS:
        return None if did.get_storage_size() or plist.get_external_count() else 0
    if h5s.UNLIMITED in did.get_space().get_simple_extent_dims(True)[1:]:
        return None  # HDF5 may list wrong coordinates of such chunks
    chunks: tuple[int, ...] = plist.get_chunk()
    height, *across = (-(-length // chunk) for length, chunk in zip(shape, chunks, strict=True))
    counts = np.zeros(height, np.int64)
    did.chunk_iter(lambda chunk: np.add.at(counts, chunk.chunk_offset[0] // chunks[0], 1))
    missing = np.flatnonzero(counts < math.prod(across))
    if not missing.size:
        return None
    row = int(missing[0]) * chunks[0]
    return row - _fill_rows(h5py.Dataset(did), row - chunks[0], row)


def _fill_rows(dataset: h5py.Dataset, start: int, stop: int) -> int:
    """Rows before ``stop`` that hold nothing but the fill value, because HDF5 always writes whole chunks."""
    chunk_row_bytes = (stop - start) * math.prod(dataset.shape[1:]) * dataset.dtype.itemsize
    if start < 0 or chunk_row_bytes > _MOST_CHUNK_ROW_BYTES:
        return 0
    fill = np.full(dataset.shape[1:], dataset.fillvalue, dataset.dtype).tobytes()
    rows = dataset[start:stop]
    is_fill = [row.tobytes() == fill for row in rows[::-1]]
    return is_fill.index(False) if False in is_fill else len(is_fill)
