"""Whole rows that are stored as they are: gathered from maps of their files, or read by system calls.

The memory maps of all files lie in one address space, so that NumPy can take rows of any number of files as if they
were one array. Over 20 files this reached 0.9 of the speed of RAM, one call for each file 0.2. All addresses must have
been checked: they must be rows of datasets that lie inside of maps, and these maps must be held.

On a network file system another host may delete a file: a process that looks at a map of it is killed (SIGBUS), while
a system call returns an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.storage.files.coalescing import coalesce
from h5lightning.storage.readers.direct.chunk_map import ChunkMap
from h5lightning.storage.readers.direct.chunk_starts import ChunkStarts
from h5lightning.storage.readers.direct.gather import items_at
from h5lightning.storage.readers.direct.open_source import OpenSource
from h5lightning.storage.readers.protocol import ReadRequest
from h5lightning.storage.readers.row_group import RowGroup
from h5lightning.storage.readers.row_writer import RowWriter

__all__ = [
    "FAR_APART_BYTES",
    "LONG_BYTES",
    "MOST_PIECES",
    "MappedRows",
    "PreadRows",
    "table_at",
    "table_over",
]

MOST_PIECES = 64  # of a row: index arithmetic then takes as long as the copy
LONG_BYTES = 64 * 1024  # of a row or run: 64 KiB take 3.9 µs in one copy, 4.2 µs in pieces of 4 KiB
FAR_APART_BYTES = 1 << 44  # more than any file has


class _RowAddresses:
    """Where whole rows of several datasets begin; its owner holds the memory that the addresses lie in.

    Args:
        starts: where each dataset begins, ``(datasets,)``; with ``chunks``, what is added to the starts of its chunks.
        row_bytes: bytes of a row.
        chunks: where the chunks of each dataset begin, one in a chunk row; None if each dataset has one chunk.
        chunk_rows: rows of a chunk of each dataset, ``(datasets,)``; None if each has one chunk.
    """

    def __init__(
        self,
        starts: Int64Array,
        row_bytes: int,
        chunks: ChunkStarts | None = None,
        chunk_rows: Int64Array | None = None,
    ) -> None:
        self._starts, self._row_bytes = starts, row_bytes
        self._chunks, self._chunk_rows = chunks, chunk_rows

    @classmethod
    def of_chunks(cls, bases: Sequence[int], chunk_maps: Sequence[ChunkMap]) -> _RowAddresses:
        """The addresses of the rows of several datasets, whose files begin at some bases, ``(datasets,)``."""
        offsets, row_bytes = [chunk_map.offsets for chunk_map in chunk_maps], chunk_maps[0].row_bytes
        starts = np.asarray(bases, np.int64)
        if all(len(one) == 1 for one in offsets):
            return cls(starts + np.concatenate(offsets), row_bytes)
        chunk_rows = np.asarray([chunk_map.chunk_rows for chunk_map in chunk_maps])
        return cls(starts, row_bytes, ChunkStarts([one[:, None] for one in offsets]), chunk_rows)

    def of(self, request: ReadRequest) -> Int64Array:
        """The address of each entry's first row, ``(N,)``."""
        rows = request.rows
        if self._chunks is None or self._chunk_rows is None:
            return self._starts.repeat(request.sizes) + rows * self._row_bytes
        datasets = np.arange(len(self._starts)).repeat(request.sizes)
        chunk_rows = self._chunk_rows[datasets]
        chunks = rows // chunk_rows
        within = rows - chunks * chunk_rows
        starts: Int64Array = self._starts[datasets] + within * self._row_bytes
        starts += self._chunks.of(datasets, chunks)[:, 0]
        return starts

    def divided(self, request: ReadRequest) -> ReadRequest:
        """The same request if each entry lies in one piece, else one for single rows."""
        if request.run == 1 or self._chunk_rows is None:
            return request
        chunk_rows = self._chunk_rows.repeat(request.sizes)
        fits = request.rows % chunk_rows + request.run <= chunk_rows
        return request if fits.all() else request.by_row()


class MappedRows(RowGroup):
    """Whole rows of mapped files; see `RowGroup`.

    Args:
        addresses: where they begin.
        row_bytes: bytes of a row.
        maps: what the addresses lie in, which is held: an address means nothing without its map.
    """

    def __init__(self, addresses: _RowAddresses, row_bytes: int, maps: Sequence[object]) -> None:
        self._addresses = addresses
        self._row_bytes = row_bytes
        self._maps = maps

    @classmethod
    def of_sources(cls, sources: Sequence[OpenSource]) -> MappedRows:
        """The rows of mapped sources, which may have several chunks."""
        chunk_maps = [source.chunk_map for source in sources]
        addresses = _RowAddresses.of_chunks([source.base for source in sources], chunk_maps)
        return cls(addresses, chunk_maps[0].row_bytes, sources)

    def divided(self, request: ReadRequest) -> ReadRequest:
        """See `RowGroup.divided`."""
        return self._addresses.divided(request)

    def put(self, request: ReadRequest, to: RowWriter) -> None:
        """See `RowGroup.put`."""
        to.put(*table_at(self._addresses.of(request), self._row_bytes * request.run), request.slots)


class PreadRows(RowGroup):
    """Whole rows of several files; see `RowGroup`. Reads are planned as if the files lay far apart in one file."""

    def __init__(self, sources: Sequence[OpenSource], scratch: Callable[[], Bytes]) -> None:
        chunk_maps = [source.chunk_map for source in sources]
        self._files = [source.file for source in sources]
        self._scratch = scratch
        self._row_bytes = row_bytes = chunk_maps[0].row_bytes
        self._rows_apart = FAR_APART_BYTES // row_bytes + 1
        apart = self._rows_apart * row_bytes
        bases = [number * apart for number in range(len(sources))]
        self._addresses = _RowAddresses.of_chunks(bases, chunk_maps)

    def put(self, request: ReadRequest, to: RowWriter) -> None:
        """See `RowGroup.put`."""
        starts = self._addresses.of(request)
        order = np.argsort(starts, kind="stable")
        slots = request.slots[order]
        # Rows of one run lie whole rows apart from each other; those of different chunks may not.
        rows, shifts = np.divmod(starts[order], self._row_bytes)
        for shift in np.unique(shifts).tolist():
            same = np.flatnonzero(shifts == shift)
            self._put(rows[same], shift, slots[same], to)

    def _put(self, rows: Int64Array, shift: int, slots: Int64Array, to: RowWriter) -> None:
        """Deliver rows that begin ``shift`` bytes behind ``rows``, ascending multiples of their size, ``(N,)``."""
        row_bytes, memory = self._row_bytes, to.memory(slots)
        runs = coalesce(rows, row_bytes=row_bytes)
        files, starts = np.divmod(runs.starts, self._rows_apart)
        counts, firsts = runs.stops - runs.starts, runs.first[:-1]
        columns = (files, starts, counts, firsts, runs.first[1:], slots[firsts])
        for number, start, count, first, last, slot in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            file, offset = self._files[number], start * row_bytes + shift
            is_whole = last - first == 1 or _are_neighbours(rows[first:last], slots[first:last])
            if memory is not None and is_whole:
                file.read_into(offset, memory[slot * row_bytes : (slot + count) * row_bytes])
                continue
            data = file.read(offset, count * row_bytes, self._scratch())
            within = rows[first:last, None] - rows[first]
            to.put(data.reshape(count, row_bytes), within, slots[first:last])


def _are_neighbours(rows: Int64Array, slots: Int64Array) -> bool:
    """Whether rows follow each other as their slots do, none missing between them and none twice."""
    return not ((rows[1:] - rows[:-1] != 1) | (slots[1:] - slots[:-1] != 1)).any()


def table_at(addresses: Int64Array, row_bytes: int) -> tuple[Bytes, Int64Array]:
    """A table over memory, and which of its rows each requested row is made of.

    Args:
        addresses: where each requested row begins, ``(N,)``; nothing else of the table may be read.
        row_bytes: bytes of a requested row.

    Returns:
        The table, ``(any number, unit)``, and for each requested row the rows of the table that make it,
        ``(N, row_bytes / unit)``. The unit is ``row_bytes`` if all distances are multiples of it, else the greatest
        power of two that divides both; if that is too small it is 1, with the first byte of each row, ``(N, 1)``.
    """
    start = int(np.minimum.reduce(addresses))
    distances = addresses - start
    extent = int(np.maximum.reduce(distances)) + row_bytes
    rows = distances // row_bytes
    if not (rows * row_bytes - distances).any():  # `%` takes three times as long as both
        return table_over(start, extent, row_bytes), rows[:, None]
    common = int(np.bitwise_or.reduce(distances)) | row_bytes
    unit = common & -common  # the greatest power of two in all of them
    pieces = row_bytes // unit
    if pieces > MOST_PIECES or (pieces > 1 and row_bytes >= LONG_BYTES):
        return table_over(start, extent, 1), distances[:, None]
    return table_over(start, extent, unit), distances[:, None] // unit + np.arange(pieces)


def table_over(start: int, extent: int, unit: int) -> Bytes:
    """A table over memory, ``(extent / unit, unit)``; the caller holds the memory of all rows that are read."""
    return items_at(start, extent // unit, unit).view(np.uint8).reshape(-1, unit)
