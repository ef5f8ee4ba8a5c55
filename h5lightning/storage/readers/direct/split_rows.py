"""Rows of unfiltered chunks that hold parts of rows, or reach past their end.

A row of a chunk is one block of bytes. A row of the dataset is made of the blocks of chunks side by side. The blocks of
many rows of any number of files are gathered in one call, and then copied to their places in one strided copy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.core.boxes import box_parts, boxes_along, unpack_boxes, with_larger_elements
from h5lightning.errors import BadFileError
from h5lightning.storage.files.coalescing import MAX_GAP_BYTES, merge_byte_ranges
from h5lightning.storage.readers.checks import name_of
from h5lightning.storage.readers.direct.chunk_starts import ChunkStarts
from h5lightning.storage.readers.direct.gather import address_of, bytes_at, gather
from h5lightning.storage.readers.direct.open_source import OpenSource
from h5lightning.storage.readers.direct.whole_rows import FAR_APART_BYTES
from h5lightning.storage.readers.protocol import ReadRequest
from h5lightning.storage.readers.row_group import RowGroup
from h5lightning.storage.readers.row_writer import RowWriter

__all__ = ["MappedSplitRows", "PreadSplitRows"]

_MOST_BYTES_AT_ONCE = 1 << 18  # of rows: they stay in a cache of the processor between the copies
_MOST_BLOCK_BYTES = 1 << 15  # larger blocks are copied one by one, and only once
_MOST_BLOCKS = 1 << 17  # whose addresses are computed at once
_MOST_BYTES_READ = 1 << 22


class _Blocks:
    """Puts rows together from their blocks in memory.

    Args:
        source: a dataset; those of other files have rows and chunks of the same shape, but perhaps of other lengths.
        scratch: see `DecodePool.scratch`.

    Attributes:
        columns: blocks of a row.
        size: bytes of a block.
    """

    def __init__(self, source: OpenSource, scratch: Callable[[], Bytes]) -> None:
        chunk_map = source.chunk_map
        self._dtype = source.dtype
        self._row_shape, self._box = chunk_map.row_shape, chunk_map.chunks[1:]
        self._grid = boxes_along(self._row_shape, self._box)
        self.columns = math.prod(self._grid)
        self.size = math.prod(self._box) * chunk_map.itemsize
        self._larger = with_larger_elements(self._row_shape, self._box, chunk_map.itemsize)
        self._scratch = scratch

    def put(self, addresses: Int64Array, slots: Int64Array, to: RowWriter) -> None:
        """Write rows into slots.

        Args:
            addresses: where each block of each row begins, ``(N, columns)``; see `gather`.
            slots: the slot of each row, ``(N,)``.
            to: writes them into the batch.
        """
        put = self._put_each if self.size > _MOST_BLOCK_BYTES else self._put_together
        for part in _slices(len(slots), _MOST_BYTES_AT_ONCE // (self.columns * self.size)):
            put(addresses[part], slots[part], to)

    def _put_together(self, addresses: Int64Array, slots: Int64Array, to: RowWriter) -> None:
        count, block_bytes = len(slots), addresses.size * self.size
        row_bytes = count * math.prod(self._row_shape) * self._dtype.itemsize
        scratch = self._scratch()
        if block_bytes + row_bytes > len(scratch):
            scratch = np.empty(block_bytes + row_bytes, np.uint8)
        blocks, rows = scratch[:block_bytes], scratch[block_bytes : block_bytes + row_bytes]
        gather(addresses.ravel(), self.size, blocks)
        row_shape, box, element = self._larger
        boxes = blocks.view(element).reshape(count, *self._grid, 1, *box)
        unpack_boxes(boxes, rows.view(element).reshape(count, *row_shape))
        to.put_values(rows.view(self._dtype).reshape(count, *self._row_shape), slots, ())

    def _put_each(self, addresses: Int64Array, slots: Int64Array, to: RowWriter) -> None:
        parts = box_parts(self._row_shape, self._box)
        for row, starts in enumerate(addresses.tolist()):
            slot = slots[row : row + 1]
            for start, (part, inside) in zip(starts, parts, strict=True):
                block = bytes_at(start, self.size).view(self._dtype).reshape(self._box)
                to.put_values(block[inside][None], slot, part)


def _by_chunk_row(source: OpenSource, columns: int) -> Int64Array:
    """Where the chunks of each chunk row begin in the file, ``(chunk rows, columns)``."""
    starts, chunk_rows = source.chunk_map.offsets, source.chunk_map.rows_of_chunks
    if len(starts) != chunk_rows * columns:
        raise BadFileError(
            f"{name_of(source.raw.path, source.source)}: the index has {len(starts)} chunks, expected "
            f"{chunk_rows * columns}: it was damaged. Start again, which compares the index with its digest"
        )
    return starts.reshape(chunk_rows, columns)


class _Places(NamedTuple):
    """Where requested rows lie: in which file and chunk row, and how far behind the starts of its chunks, ``(N,)``."""

    files: Int64Array
    chunk_rows: Int64Array
    shifts: Int64Array

    def part(self, which: Any) -> _Places:
        """Some of them."""
        return _Places(*(column[which] for column in self))


class _BlockStarts:
    """Where the blocks of rows of several datasets begin.

    Args:
        sources: the datasets.
        bases: where the file of each begins.
        blocks: what their rows are made of.
    """

    def __init__(self, sources: Sequence[OpenSource], bases: Sequence[int], blocks: _Blocks) -> None:
        self._chunks = ChunkStarts([_by_chunk_row(source, blocks.columns) for source in sources])
        self._heights = np.asarray([source.chunk_map.chunk_rows for source in sources])
        self._bases = np.asarray(bases)
        self._size = blocks.size

    def places(self, request: ReadRequest) -> _Places:
        """Where requested rows lie."""
        files = np.arange(len(self._bases)).repeat(request.sizes)
        heights = self._heights[files]
        chunk_rows = request.rows // heights
        within = request.rows - chunk_rows * heights
        return _Places(files, chunk_rows, self._bases[files] + within * self._size)

    def of(self, places: _Places) -> Int64Array:
        """The start of each block of some rows, which ascend by file, ``(N, columns)``."""
        starts = self._chunks.of(places.files, places.chunk_rows)
        starts += places.shifts[:, None]
        return starts


def _slices(count: int, step: int) -> Iterator[slice]:
    return (slice(start, start + max(1, step)) for start in range(0, count, max(1, step)))


class MappedSplitRows(RowGroup):
    """Rows of mapped files; see `RowGroup`."""

    def __init__(self, sources: Sequence[OpenSource], scratch: Callable[[], Bytes]) -> None:
        self._sources = sources  # which hold the maps: an address means nothing without its map
        self._blocks = blocks = _Blocks(sources[0], scratch)
        self._addresses = _BlockStarts(sources, [source.base for source in sources], blocks)

    def put(self, request: ReadRequest, to: RowWriter) -> None:
        """See `RowGroup.put`."""
        places = self._addresses.places(request)
        for part in _slices(len(request.rows), _MOST_BLOCKS // self._blocks.columns):
            self._blocks.put(self._addresses.of(places.part(part)), request.slots[part], to)


class PreadSplitRows(RowGroup):
    """Rows of several files, of which no byte is read twice for a batch; see `RowGroup`.

    Reads are planned as if the files lay far apart in one file.
    """

    def __init__(self, sources: Sequence[OpenSource], scratch: Callable[[], Bytes]) -> None:
        self._blocks = blocks = _Blocks(sources[0], scratch)
        self._files = [source.file for source in sources]
        bases = [number * FAR_APART_BYTES for number in range(len(sources))]
        self._starts = _BlockStarts(sources, bases, blocks)

    def put(self, request: ReadRequest, to: RowWriter) -> None:
        """See `RowGroup.put`."""
        places = self._starts.places(request)
        order = np.lexsort((request.rows, places.files))
        for rows in self._parts(places.part(order), order):
            memory, starts = self._read(self._starts.of(places.part(rows)))
            self._blocks.put(address_of(memory) + starts, request.slots[rows], to)

    def _parts(self, places: _Places, rows: Int64Array) -> list[Int64Array]:
        """Parts of ascending rows that are read at once."""
        step = 1 + _MOST_BYTES_READ // (self._blocks.columns * (self._blocks.size + MAX_GAP_BYTES))
        is_first = (np.diff(places.files, prepend=-1) != 0) | (np.diff(places.chunk_rows, prepend=-1) != 0)
        first = np.flatnonzero(is_first)
        # Rows of one chunk row are read together: what is read between them may be one of them.
        return np.split(rows, first[np.diff(first // step, prepend=0) > 0])

    def _read(self, starts: Int64Array) -> tuple[Bytes, Int64Array]:
        """Memory with some blocks, and where each of them begins in it, ``(N, columns)``."""
        run_starts, run_sizes = merge_byte_ranges(starts.ravel(), np.full(starts.size, self._blocks.size))
        stops = np.cumsum(run_sizes)
        memory = np.empty(int(stops[-1]), np.uint8)
        files, offsets = np.divmod(run_starts, FAR_APART_BYTES)
        for file, offset, size, stop in zip(
            *(column.tolist() for column in (files, offsets, run_sizes, stops)), strict=True
        ):
            self._files[file].read_into(offset, memory[stop - size : stop])
        runs = np.searchsorted(run_starts, starts, side="right") - 1
        return memory, starts + (stops - run_sizes - run_starts)[runs]
