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
from h5lightning.storage.readers.direct.gather import address_of
from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest
from h5lightning.storage.readers.row_writer import RowWriter

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
        self.raw, self.source, self.blocks = raw, source, blocks
        self.is_empty = 0 in chunk_map.shape
        self.rows = chunk_map.shape[0] if chunk_map.shape and chunk_map.row_shape == source.row_shape else 0
        self.file: ByteReader = raw if blocks is None else VerifiedFile(raw, blocks)
        self.view: Bytes | None = None
        self.filtered: FilteredRows | None = None
        if chunk_map.pipeline is not None and not self.is_empty:
            cache = pool.cache(chunk_map.chunk_rows, chunk_map.row_bytes)
            self.filtered = FilteredRows(self.file, source, chunk_map, slots, cache, pool.scratch)
        elif not self.is_empty:
            chunk_map = replace(chunk_map, offsets=_checked_offsets(raw.path, raw.stamp[0], chunk_map))
            if raw.may_be_mapped if memory_map is None else memory_map:
                with suppress(BadFileError):  # some file systems cannot map files
                    self.view = raw.view
        if self.view is not None:
            self.addresses = address_of(self.view) + chunk_map.offsets
        self.chunk_map = chunk_map
        cache_of = None if self.filtered is None else self.filtered.cache
        is_split = cache_of is None and not chunk_map.holds_whole_rows
        split = (chunk_map.row_shape, chunk_map.chunks[1:]) if is_split else None
        self.layout: Hashable = self.is_empty, cache_of, split, self.view is None

    def check_rows(self, rows: Int64Array) -> None:
        """Raise unless the dataset has all of some rows, ``(N,)``; see `checks.check_rows`."""
        if rows.size and (rows.min() < 0 or rows.max() >= self.rows):
            check_rows(self.raw.path, self.source, self.chunk_map.shape, int(rows.min()), int(rows.max()))

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
