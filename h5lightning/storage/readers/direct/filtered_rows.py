"""Reads and decodes filtered chunks: chunks that lie side by side in one call, all of them in several threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.core.boxes import box_parts, with_larger_elements
from h5lightning.errors import BadFileError, ChecksumError
from h5lightning.storage.codecs import CodecError, FilterPipeline
from h5lightning.storage.files.coalescing import MAX_GAP_BYTES, MAX_RUN_BYTES
from h5lightning.storage.files.raw_file import ByteReader
from h5lightning.storage.files.verified_blocks import DamagedBlockError
from h5lightning.storage.readers.checks import damaged_chunk, name_of
from h5lightning.storage.readers.decoded.chunk_cache import ChunkRowCache, ChunkRowSlots
from h5lightning.storage.readers.decoded.decode_pool import Task
from h5lightning.storage.readers.direct.chunk_map import ChunkMap
from h5lightning.storage.readers.protocol import DatasetColumn
from h5lightning.storage.readers.stored_table import StoredTable

__all__ = ["FilteredRows"]


class _Chunk(NamedTuple):
    """A stored chunk, and the buffer of its chunk row."""

    number: int
    start: int
    size: int
    mask: int
    buffer: Bytes


class _Read(NamedTuple):
    """One read of the file, and the chunks in it."""

    start: int
    stop: int
    chunks: list[_Chunk]


@dataclass(frozen=True, slots=True, eq=False)
class FilteredRows:
    """A dataset of one file whose chunks are decoded whole; see `ChunkRowDecoder` and `DecodePool.scratch`.

    Of a table, only the columns that are read are kept.
    """

    file: ByteReader
    source: DatasetColumn
    chunk_map: ChunkMap
    slots: ChunkRowSlots
    cache: ChunkRowCache
    scratch: Callable[[], Bytes]
    table: StoredTable | None = None

    def tasks(self, chunk_rows: Sequence[tuple[int, Bytes]], parts: int) -> list[Task]:
        """See `ChunkRowDecoder.tasks`."""
        columns = len(self.chunk_map.offsets) // len(self.slots)  # chunks of a chunk row
        numbers = [number * columns + column for number, _ in chunk_rows for column in range(columns)]
        buffers = [buffer for _, buffer in chunk_rows for _ in range(columns)]
        return [partial(self._decode, read) for read in _reads(self.chunk_map, numbers, buffers, parts)]

    def lacking(self, rows: Int64Array) -> Int64Array:
        """Those of some rows whose chunk row was not decoded yet."""
        return rows[self.slots.is_lacking(rows // self.chunk_map.chunk_rows)]

    def _decode(self, read: _Read) -> None:
        """Read some chunks, and decode them into the buffers of their chunk rows."""
        try:
            stored = self.file.read(read.start, read.stop - read.start, self.scratch())
        except DamagedBlockError as error:
            raise self._not_verified(read, error) from error
        for chunk in read.chunks:
            start = chunk.start - read.start
            try:
                self._decode_chunk(chunk, stored[start : start + chunk.size])
            except CodecError as error:
                raise self._damaged(chunk, error) from error

    def _decode_chunk(self, chunk: _Chunk, stored: Bytes) -> None:
        chunk_map = self.chunk_map
        if chunk_map.holds_whole_rows and self.table is None:
            self._pipeline.decode(stored, chunk.buffer, chunk.mask)
            return
        shapes = chunk_map.row_shape, chunk_map.chunks[1:], chunk_map.itemsize
        if self.table is None:
            row_shape, box, element = with_larger_elements(*shapes)
        else:
            row_shape, box, element = *shapes[:2], np.dtype((np.void, chunk_map.itemsize))
        parts = box_parts(row_shape, box)
        part, inside = parts[chunk.number % len(parts)]
        into, values = (slice(None), *part), (slice(None), *inside)
        decoded = self._pipeline.make(stored, chunk.mask).view(element).reshape(chunk_map.chunk_rows, *box)
        if self.table is None:
            chunk.buffer.view(element).reshape(chunk_map.chunk_rows, *row_shape)[into] = decoded[values]
        else:
            self.table.pack(decoded[values], chunk.buffer, into)

    @property
    def _pipeline(self) -> FilterPipeline:
        return self.chunk_map.pipeline  # type: ignore[return-value] # filtered rows have one

    def _damaged(self, chunk: _Chunk, error: CodecError) -> BadFileError:
        where, origin = name_of(self.file.path, self.source), self.chunk_map.origin(chunk.number)
        return damaged_chunk(where, origin, chunk.size, chunk.start, self._pipeline.names, error)

    def _not_verified(self, read: _Read, error: DamagedBlockError) -> ChecksumError:
        """The error that names the first chunk of a read that lies in a damaged block, which may hold several."""
        damaged = [chunk for chunk in read.chunks if chunk.start + chunk.size > error.start]
        chunk = f"the chunk at {self.chunk_map.origin((damaged or read.chunks)[0].number)}, or one beside it"
        return error.of(f"{name_of(self.file.path, self.source)}: {chunk}")


def _reads(chunk_map: ChunkMap, numbers: Sequence[int], buffers: Sequence[Bytes], parts: int) -> list[_Read]:
    """Reads of the file that together hold some chunks; at least about ``parts`` of them."""
    offsets, sizes, masks = chunk_map.offsets[numbers], chunk_map.sizes[numbers], chunk_map.masks[numbers]
    most_bytes = min(MAX_RUN_BYTES, int(sizes.sum()) // parts)
    columns = zip(numbers, offsets.tolist(), sizes.tolist(), masks.tolist(), buffers, strict=True)
    reads: list[_Read] = []
    for chunk in sorted(map(_Chunk._make, columns), key=attrgetter("start")):
        stop = chunk.start + chunk.size
        last = reads[-1] if reads else None
        if last is not None and chunk.start - last.stop <= MAX_GAP_BYTES and stop - last.start <= most_bytes:
            last.chunks.append(chunk)
            reads[-1] = _Read(last.start, stop, last.chunks)
        else:
            reads.append(_Read(chunk.start, stop, [chunk]))
    return reads
