"""Whether a dataset of floats ends with rows that hold nothing but the fill value, as one does that was half written.

A look costs one small read of the system, about 2 µs; only where that finds equal values is HDF5 asked for the fill
value, and other rows are looked at.
"""

from __future__ import annotations

import math
import os

import numpy as np
from h5py import h5d, h5f

from h5lightning.storage.hdf5.dataset_info import DatasetInfo

__all__ = ["ends_with_fill"]

_MOST_ROW_BYTES = 64 * 1024
_PROBES = 16


def ends_with_fill(fid: h5f.FileID, opened: DatasetInfo) -> bool:
    """Whether the last row holds nothing but the fill value, and the rows before do not, as far as they are looked at.

    False where that would cost more: of rows that are large, filtered, in several chunks, or in another type.

    Args:
        fid: the open file.
        opened: the dataset.
    """
    element, shape = opened.element, opened.shape
    if element.dtype[1:2] not in ("f", "c") or element.hdf5_reason or not shape or shape[0] < 2:
        return False
    if opened.storage == "contiguous":
        start = opened.did.get_offset()
        rows = None if start is None else _Rows(fid, opened, start)
    else:
        rows = _rows_of_chunks(fid, opened)
    if rows is None or not 0 < rows.size <= _MOST_ROW_BYTES:
        return False
    last = rows.read(shape[0] - 1)
    # Most rows end the look here, most of the others with the first row.
    if not last or last != last[: opened.itemsize] * (rows.size // opened.itemsize):
        return False
    return (
        rows.read(0) not in (b"", last)
        and last.startswith(_fill_value(opened))
        and rows.have_one_border(last)
    )


class _Rows:
    """The stored bytes of rows that lie one after the other, each read by one call of the system.

    Args:
        fid: the open file.
        opened: the dataset.
        start: where the first row lies.
    """

    __slots__ = ("_count", "_descriptor", "_start", "size")

    def __init__(self, fid: h5f.FileID, opened: DatasetInfo, start: int) -> None:
        self._count, *row_shape = opened.shape or (0,)
        self.size = math.prod(row_shape) * opened.itemsize
        self._start = start
        self._descriptor = fid.get_vfd_handle()

    def offset(self, row: int) -> int | None:
        """Where a row lies; None where it was never written."""
        return self._start + row * self.size

    def read(self, row: int) -> bytes:
        """The bytes of a row; empty where the file ends before."""
        offset = self.offset(row)
        found = b"" if offset is None else os.pread(self._descriptor, self.size, offset)
        return found if len(found) == self.size else b""

    def have_one_border(self, last: bytes) -> bool:
        """Whether of some rows the first ones hold values, and all after them what the last one holds."""
        probes = np.unique(np.linspace(0, self._count - 1, _PROBES).astype(np.int64)).tolist()
        is_fill = [self.read(row) == last for row in probes]
        return is_fill == sorted(is_fill)


class _RowsOfChunks(_Rows):
    """Rows in chunks without filters, each of which lies in one of them."""

    __slots__ = ("_did", "_height", "_others")

    def __init__(self, fid: h5f.FileID, opened: DatasetInfo, chunks: tuple[int, ...]) -> None:
        super().__init__(fid, opened, 0)
        self._did, self._height, self._others = opened.did, chunks[0], (0,) * (len(chunks) - 1)

    def offset(self, row: int) -> int | None:
        place = row // self._height * self._height
        chunk = self._did.get_chunk_info_by_coord((place, *self._others))
        return None if chunk.byte_offset is None else int(chunk.byte_offset) + (row - place) * self.size


def _rows_of_chunks(fid: h5f.FileID, opened: DatasetInfo) -> _RowsOfChunks | None:
    chunks = opened.chunks
    if chunks is None or opened.filters or chunks[1:] != (opened.shape or ())[1:]:
        return None
    # Some versions of HDF5 count the bytes of chunks from the end of the user block.
    return None if fid.get_create_plist().get_userblock() else _RowsOfChunks(fid, opened, chunks)


def _fill_value(opened: DatasetInfo) -> bytes:
    """The stored bytes of the fill value; zeros where there is none."""
    plist = opened.did.get_create_plist()
    value = np.zeros((), opened.element.dtype)
    if plist.fill_value_defined() == h5d.FILL_VALUE_USER_DEFINED:
        plist.get_fill_value(value)
    return value.tobytes()
