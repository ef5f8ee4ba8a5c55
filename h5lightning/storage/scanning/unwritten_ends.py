"""Find datasets of floats whose last rows hold only the fill value, as after a write that was interrupted.

The check costs one small read, about 2 µs. Only if that row holds equal values is HDF5 asked for the fill value and are
other rows read.
"""

from __future__ import annotations

import math
import os

import numpy as np
from h5py import h5d, h5f

from h5lightning.storage.hdf5.dataset_info import DatasetInfo

__all__ = ["MOST_ROW_BYTES", "ends_with_fill"]

MOST_ROW_BYTES = 64 * 1024
_PROBES = 16


def ends_with_fill(fid: h5f.FileID, info: DatasetInfo) -> bool:
    """Whether the last row holds only the fill value, and the probed rows show values up to one row and none after it.

    False for datasets that are more expensive to check: rows that are large, filtered, in several chunks, or converted.
    """
    element, shape = info.element, info.shape
    if element.dtype[1:2] not in ("f", "c") or element.hdf5_reason or not shape or shape[0] < 2:
        return False
    if info.storage == "contiguous":
        start = info.did.get_offset()
        rows = None if start is None else _Rows(fid, info, start)
    else:
        rows = _rows_in_chunks(fid, info)
    if rows is None or not 0 < rows.size <= MOST_ROW_BYTES:
        return False
    last = rows.read(shape[0] - 1)
    # Almost all datasets leave here; almost all others differ in their first row.
    if not last or last != last[: info.itemsize] * (rows.size // info.itemsize):
        return False
    return rows.read(0) not in (b"", last) and last.startswith(_fill_value(info)) and rows.end_once_in(last)


class _Rows:
    """The stored bytes of contiguous rows, from the offset of the first one, each read by one system call."""

    __slots__ = ("_count", "_descriptor", "_start", "size")

    def __init__(self, fid: h5f.FileID, info: DatasetInfo, start: int) -> None:
        self._count, *row_shape = info.shape or (0,)
        self.size = math.prod(row_shape) * info.itemsize
        self._start = start
        self._descriptor = fid.get_vfd_handle()

    def offset(self, row: int) -> int | None:
        """Offset of a row in the file; None if it was never written."""
        return self._start + row * self.size

    def read(self, row: int) -> bytes:
        """The bytes of a row; empty if the file ends before its end."""
        offset = self.offset(row)
        stored = b"" if offset is None else os.pread(self._descriptor, self.size, offset)
        return stored if len(stored) == self.size else b""

    def end_once_in(self, last: bytes) -> bool:
        """Whether the probed rows equal ``last`` from one row on, and none before it does."""
        probes = np.unique(np.linspace(0, self._count - 1, _PROBES).astype(np.int64)).tolist()
        is_fill = [self.read(row) == last for row in probes]
        return is_fill == sorted(is_fill)


class _RowsInChunks(_Rows):
    """Rows in chunks without filters; each row lies in one chunk."""

    __slots__ = ("_did", "_height", "_origin")

    def __init__(self, fid: h5f.FileID, info: DatasetInfo, chunks: tuple[int, ...]) -> None:
        super().__init__(fid, info, 0)
        self._did, self._height, self._origin = info.did, chunks[0], (0,) * (len(chunks) - 1)

    def offset(self, row: int) -> int | None:
        first = row // self._height * self._height
        chunk = self._did.get_chunk_info_by_coord((first, *self._origin))
        return None if chunk.byte_offset is None else int(chunk.byte_offset) + (row - first) * self.size


def _rows_in_chunks(fid: h5f.FileID, info: DatasetInfo) -> _RowsInChunks | None:
    chunks = info.chunks
    if chunks is None or info.filters or chunks[1:] != (info.shape or ())[1:]:
        return None
    # Some versions of HDF5 count the offsets of chunks from the end of the user block.
    return None if fid.get_create_plist().get_userblock() else _RowsInChunks(fid, info, chunks)


def _fill_value(info: DatasetInfo) -> bytes:
    """The stored bytes of the fill value; zeros if none is defined."""
    plist = info.did.get_create_plist()
    value = np.zeros((), info.element.dtype)
    if plist.fill_value_defined() == h5d.FILL_VALUE_USER_DEFINED:
        plist.get_fill_value(value)
    return value.tobytes()
