"""One dataset of one open file, and how its rows are read: from a map of the file, by system calls, or decoded."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

import numpy as np

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.errors import BadFileError
from h5lightning.storage.files.raw_file import ByteReader, RawFile, VerifiedFile
from h5lightning.storage.files.verified_blocks import VerifiedBlocks
from h5lightning.storage.readers.checks import check_rows
from h5lightning.storage.readers.decoded.chunk_cache import ChunkRowSlots
from h5lightning.storage.readers.decoded.decode_pool import DecodePool
from h5lightning.storage.readers.direct.chunk_map import ChunkMap
from h5lightning.storage.readers.direct.filtered_rows import FilteredRows
from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest
from h5lightning.storage.readers.record_writer import make_writer
from h5lightning.storage.readers.records import RecordColumns
from h5lightning.storage.readers.row_writer import RowWriter
from h5lightning.storage.readers.stored_table import StoredTable, columns_in

__all__ = ["OpenSource", "RowGroup"]


class RowGroup(Protocol):
    """Rows of one dataset of several open files, all of which are read in the same way."""

    def put(self, request: ReadRequest, to: RowWriter) -> None:
        """Deliver rows of these files.

        Args:
            request: the rows; none of them lies outside of its dataset.
            to: writes them into the batch.
        """


class OpenSource:
    """One dataset or column of one open file.

    Args:
        raw: the open file.
        source: what is read.
        chunk_map: where its values lie.
        slots: the slots of its chunk rows in a cache of decoded ones.
        blocks: the checksums of the file; None to verify nothing.
        pool: caches decoded chunk rows.
        memory_map: see `Access`.

    Attributes:
        layout: sources of the same layout are read together.
        file: what reads bytes by system calls.
        view: the mapped file, ``(file bytes,)``; None if it is not mapped.
        addresses: where each chunk begins in memory, ``(chunks,)``; valid as long as ``view`` is held.
        filtered: decodes the chunks; None where values are stored as they are.
        dtype: NumPy type of the stored elements; of a table, its records as bytes.
        table: how the columns of a table lie; None if it is no table.
        rows: rows of the dataset; 0 if they do not have the shape that was scanned.
    """

    def __init__(
        self,
        raw: RawFile,
        source: DatasetColumn,
        chunk_map: ChunkMap,
        slots: ChunkRowSlots,
        *,
        blocks: VerifiedBlocks | None,
        pool: DecodePool,
        memory_map: bool | None,
    ) -> None:
        self.raw, self.source, self.blocks, self.chunk_map = raw, source, blocks, chunk_map
        self.is_empty = 0 in chunk_map.shape
        self.dtype, self.table = np.dtype((np.void, chunk_map.itemsize)), None
        if isinstance(source, RecordColumns) and chunk_map.record is not None:
            self.table = StoredTable(source, chunk_map.record, chunk_map.row_shape)
        else:
            self.dtype = np.dtype(source.dtype)
        is_as_scanned = all(
            chunk_map.row_shape + shape == column.row_shape for column, shape in self.columns()
        )
        self.rows = chunk_map.shape[0] if chunk_map.shape and is_as_scanned else 0
        self.file: ByteReader = raw if blocks is None else VerifiedFile(raw, blocks)
        self.view: Bytes | None = None
        self.filtered: FilteredRows | None = None
        if chunk_map.pipeline is not None and not self.is_empty:
            row_bytes = chunk_map.row_bytes if self.table is None else self.table.packed.itemsize
            cache = pool.cache(chunk_map.chunk_rows, row_bytes)
            self.filtered = FilteredRows(self.file, source, chunk_map, slots, cache, pool.scratch, self.table)
        elif not self.is_empty and (raw.may_be_mapped if memory_map is None else memory_map):
            with suppress(BadFileError):  # some file systems cannot map files
                self.view = raw.view
        if self.view is not None:
            chunk_map = replace(chunk_map, offsets=_checked_offsets(raw.path, len(self.view), chunk_map))
            self.addresses = self.view.__array_interface__["data"][0] + chunk_map.offsets
        self.chunk_map = chunk_map
        cache_of = None if self.filtered is None else self.filtered.cache
        self.layout: Hashable = (
            self.is_empty,
            cache_of,
            chunk_map.holds_whole_rows,
            self.view is None,
            self._row_type,
        )

    @property
    def _row_type(self) -> Hashable:
        """How the columns of a table lie in the rows that are divided; None if it is no table."""
        if self.table is None:
            return None
        return (
            self.table.packed if self.filtered is not None else (self.table.record, self.chunk_map.row_shape)
        )

    def columns(self) -> list[tuple[DatasetColumn, tuple[int, ...]]]:
        """Each column that is read, with the shape of one value; the source itself if it is no table."""
        source, record = self.source, self.chunk_map.record
        if not isinstance(source, RecordColumns):
            return [(source, ())]
        found = zip(source.columns, columns_in(source, record), strict=True)
        return [(column, () if stored is None else stored.shape) for column, stored in found]

    def writer(self, request: ReadRequest) -> RowWriter:
        """What writes rows of this source, and of others of the same layout, into the buffers of a request."""
        dtype, row_shape = self.dtype, self.chunk_map.row_shape
        if self.table is not None:
            is_packed = self.filtered is not None
            dtype, row_shape = (self.table.packed, ()) if is_packed else (self.table.record, row_shape)
        return make_writer(request, dtype, row_shape)

    def read(self, offset: int, size: int) -> Bytes:
        """Bytes of the file, ``(size,)``."""
        return self.file.read(offset, size) if self.view is None else self.view[offset : offset + size]

    def check_rows(self, rows: Int64Array) -> None:
        """Raise unless the dataset has all of some rows, ``(N,)``; see `checks.check_rows`."""
        if rows.size and (rows.min() < 0 or rows.max() >= self.rows):
            chunk_map, first, last = self.chunk_map, int(rows.min()), int(rows.max())
            for column, shape in self.columns():
                check_rows(self.raw.path, column, chunk_map.shape, first, last, shape)

    def prefetch(self, rows: Int64Array, *, only_remote: bool, is_probe: bool) -> bool:
        """Ask the system to fetch the bytes of some rows, ``(N,)``; see `Reader.prefetch`."""
        is_local = self.raw.may_be_mapped
        rows = rows[(rows >= 0) & (rows < self.rows)]
        if self.filtered is not None:
            # Not from a local disk: decoding takes longer than reading.
            rows = rows[:0] if is_local else self.filtered.lacking(rows)
        elif self.is_empty or (only_remote and is_local):
            rows = rows[:0]
        if not rows.size:
            return False
        starts, sizes = self.chunk_map.byte_ranges(rows[:1] if is_probe else rows)
        if is_probe:
            return not (is_local and self.raw.is_cached(int(starts[0])))
        self.raw.prefetch(starts, sizes)
        return True


def _checked_offsets(path: str, size: int, chunk_map: ChunkMap) -> Int64Array:
    """A copy of the offsets of all chunks; none of them lies outside of a file of ``size`` bytes."""
    # A large index is mapped, and may be damaged after it was compared with its digest.
    offsets = np.array(chunk_map.offsets)
    # A contiguous dataset has one chunk, and is checked each time its file is opened.
    first, last = (
        (int(offsets[0]),) * 2
        if offsets.size == 1
        else (int(offsets.min(initial=0)), int(offsets.max(initial=0)))
    )
    if first < 0 or last > size - chunk_map.chunk_bytes:
        raise BadFileError(
            f"{path} has {size} bytes, but the index places values beyond them: the file or the index was damaged. "
            "Start again, which compares the index with its digest"
        )
    return offsets
