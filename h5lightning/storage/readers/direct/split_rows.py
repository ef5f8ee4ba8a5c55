"""Rows of unfiltered chunks that hold parts of rows, or reach past their end.

A row of a chunk is one block of bytes. A row of the dataset is made of the blocks of chunks side by side. The blocks of
many rows of any number of files are gathered in one call, and then copied to their places in one strided copy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.core.boxes import box_parts, boxes_along, unpack_boxes, with_larger_elements
from h5lightning.errors import BadFileError
from h5lightning.storage.files.coalescing import MAX_GAP_BYTES, merge_byte_ranges
from h5lightning.storage.readers.checks import name_of
from h5lightning.storage.readers.direct.gather import address_of, bytes_at, gather
from h5lightning.storage.readers.direct.open_source import OpenSource
from h5lightning.storage.readers.protocol import ReadRequest
from h5lightning.storage.readers.row_writer import RowWriter

__all__ = ["MappedSplitRows", "PreadSplitRows"]

_MOST_BYTES_AT_ONCE = 1 << 18  # of rows: they stay in a cache of the processor between the copies
_MOST_BLOCK_BYTES = 1 << 15  # larger blocks are copied one by one, and only once
_MOST_BLOCKS = 1 << 17  # whose addresses are computed at once
_MOST_BYTES_READ = 1 << 22
_FAR_APART_BYTES = 1 << 44  # more than any file has


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


def _by_chunk_row(source: OpenSource, starts: Int64Array, columns: int) -> Int64Array:
    """Where the chunks of each chunk row begin, ``(chunk rows, columns)``."""
    chunk_map = source.chunk_map
    chunk_rows = -(-chunk_map.shape[0] // chunk_map.chunk_rows)
    if len(starts) != chunk_rows * columns:
        raise BadFileError(
            f"{name_of(source.raw.path, source.source)}: the index has {len(starts)} chunks, expected "
            f"{chunk_rows * columns}: it was damaged. Start again, which compares the index with its digest"
        )
    return starts.reshape(chunk_rows, columns)


class _BlockStarts:
    """Where the blocks of rows of several datasets begin.

    Args:
        starts: where the chunks of each chunk row of each dataset begin, ``(chunk rows, columns)`` each.
        chunk_rows: rows of a chunk of each dataset.
        size: bytes of a block.
    """

    def __init__(self, starts: Sequence[Int64Array], chunk_rows: Sequence[int], size: int) -> None:
        self._starts = np.concatenate(starts)
        self._chunk_rows = np.asarray(chunk_rows)
        self._firsts = np.cumsum([0, *map(len, starts[:-1])])
        self._size = size

    def of(self, request: ReadRequest) -> tuple[Int64Array, Int64Array]:
        """For each requested row: its number among the chunk rows of all datasets, and its offset in their blocks."""
        chunk_rows = self._chunk_rows.repeat(request.sizes)
        numbers = request.rows // chunk_rows
        offsets = (request.rows - numbers * chunk_rows) * self._size
        return numbers + self._firsts.repeat(request.sizes), offsets

    def at(self, numbers: Int64Array, offsets: Int64Array) -> Int64Array:
        """The start of each block of some rows, see `of`, ``(N, columns)``."""
        starts: Int64Array = self._starts[numbers]
        starts += offsets[:, None]
        return starts


def _slices(count: int, step: int) -> Iterator[slice]:
    return (slice(start, start + max(1, step)) for start in range(0, count, max(1, step)))


class MappedSplitRows:
    """Rows of mapped files; see `RowGroup`."""

    def __init__(self, sources: Sequence[OpenSource], scratch: Callable[[], Bytes]) -> None:
        self._sources = sources  # which hold the maps: an address means nothing without its map
        self._blocks = blocks = _Blocks(sources[0], scratch)
        addresses = [_by_chunk_row(source, source.addresses, blocks.columns) for source in sources]
        chunk_rows = [source.chunk_map.chunk_rows for source in sources]
        self._addresses = _BlockStarts(addresses, chunk_rows, blocks.size)

    def divided(self, request: ReadRequest) -> ReadRequest:
        """See `RowGroup.divided`."""
        return request.by_row()

    def keeps(self, rows: int) -> bool:  # noqa: ARG002
        """See `RowGroup.keeps`."""
        return True

    def put(self, request: ReadRequest, to: RowWriter) -> None:
        """See `RowGroup.put`."""
        numbers, offsets = self._addresses.of(request)
        for part in _slices(len(numbers), _MOST_BLOCKS // self._blocks.columns):
            self._blocks.put(self._addresses.at(numbers[part], offsets[part]), request.slots[part], to)


class PreadSplitRows:
    """Rows of several files, of which no byte is read twice for a batch; see `RowGroup`.

    Reads are planned as if the files lay far apart in one file.
    """

    def __init__(self, sources: Sequence[OpenSource], scratch: Callable[[], Bytes]) -> None:
        self._blocks = blocks = _Blocks(sources[0], scratch)
        self._files = [source.file for source in sources]
        starts = [
            _by_chunk_row(source, source.chunk_map.offsets, blocks.columns) + number * _FAR_APART_BYTES
            for number, source in enumerate(sources)
        ]
        self._starts = _BlockStarts(starts, [source.chunk_map.chunk_rows for source in sources], blocks.size)

    def divided(self, request: ReadRequest) -> ReadRequest:
        """See `RowGroup.divided`."""
        return request.by_row()

    def keeps(self, rows: int) -> bool:  # noqa: ARG002
        """See `RowGroup.keeps`."""
        return True

    def put(self, request: ReadRequest, to: RowWriter) -> None:
        """See `RowGroup.put`."""
        numbers, offsets = self._starts.of(request)
        order = np.lexsort((offsets, numbers))
        step = 1 + _MOST_BYTES_READ // (self._blocks.columns * (self._blocks.size + MAX_GAP_BYTES))
        chunk_rows = np.flatnonzero(np.diff(numbers[order], prepend=-1))
        # Rows of one chunk row are read together: what is read between them may be one of them.
        starts = chunk_rows[np.diff(chunk_rows // step, prepend=-1) > 0]
        for rows in np.split(order, starts[1:]):
            memory, places = self._read(self._starts.at(numbers[rows], offsets[rows]))
            self._blocks.put(address_of(memory) + places, request.slots[rows], to)

    def _read(self, starts: Int64Array) -> tuple[Bytes, Int64Array]:
        """Memory with some blocks, and where each of them begins in it, ``(N, columns)``."""
        run_starts, run_sizes = merge_byte_ranges(starts.ravel(), np.full(starts.size, self._blocks.size))
        stops = np.cumsum(run_sizes)
        memory = np.empty(int(stops[-1]), np.uint8)
        files, offsets = np.divmod(run_starts, _FAR_APART_BYTES)
        for file, offset, size, stop in zip(
            *(column.tolist() for column in (files, offsets, run_sizes, stops)), strict=True
        ):
            self._files[file].read_into(offset, memory[stop - size : stop])
        runs = np.searchsorted(run_starts, starts, side="right") - 1
        return memory, starts + (stops - run_sizes - run_starts)[runs]
