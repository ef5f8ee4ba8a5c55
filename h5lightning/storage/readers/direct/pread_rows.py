"""Whole rows that system calls read: for files that cannot, or must not, be mapped.

On a network file system another host may delete a file: a process that looks at a map of it is killed (SIGBUS), while
a system call returns an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.storage.files.coalescing import coalesce
from h5lightning.storage.readers.direct.mapped_rows import RowAddresses
from h5lightning.storage.readers.direct.open_source import OpenSource
from h5lightning.storage.readers.protocol import ReadRequest
from h5lightning.storage.readers.row_writer import RowWriter

__all__ = ["PreadRows"]


_FAR_APART_BYTES = 1 << 44  # more than any file has


class PreadRows:
    """Whole rows of several files; see `RowGroup`. Reads are planned as if the files lay far apart in one file."""

    def __init__(self, sources: Sequence[OpenSource], scratch: Callable[[], Bytes]) -> None:
        chunk_maps = [source.chunk_map for source in sources]
        self._files = [source.file for source in sources]
        self._scratch = scratch
        self._row_bytes = row_bytes = chunk_maps[0].row_bytes
        self._rows_apart = _FAR_APART_BYTES // row_bytes + 1
        apart = self._rows_apart * row_bytes
        addresses = [chunk_map.offsets + number * apart for number, chunk_map in enumerate(chunk_maps)]
        self._addresses = RowAddresses(
            addresses, [chunk_map.chunk_rows for chunk_map in chunk_maps], row_bytes
        )

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
        """Deliver rows that begin ``shift`` bytes behind a multiple of their size.

        Args:
            rows: these multiples over all files, ascending, ``(N,)``.
            shift: bytes.
            slots: the slot of each row, ``(N,)``.
            to: writes the rows into the batch.
        """
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
