"""Rows of mapped datasets that lie in one piece each: taken from one table over the memory of all of them.

Where the datasets lie whole rows apart, which is usual, the table and the place of each dataset in it are computed once
for all batches of the same files.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.storage.readers.direct.gather import bytes_at
from h5lightning.storage.readers.direct.whole_rows import LONG_BYTES, MOST_PIECES, table_at, table_over
from h5lightning.storage.readers.protocol import ReadRequest
from h5lightning.storage.readers.row_group import RowGroup
from h5lightning.storage.readers.row_writer import RowWriter
from h5lightning.storage.readers.runs_request import RunsRequest

__all__ = ["PlainRows"]

_JOINED_BYTES = 64 * 1024  # at a time: for more, the allocator may ask the system for new pages each time
_LEAST_RUN_BYTES = 256  # on average: below, a gather of rows takes less time than a copy of each run


class PlainRows(RowGroup):
    """Rows of datasets that lie in one piece each; see `RowGroup`.

    Args:
        starts: address of the first row of each dataset, ``(datasets,)``.
        rows: rows of each, all of which lie in the maps, ``(datasets,)``.
        row_bytes: bytes of a row.
        maps: what the addresses lie in, which is held: an address means nothing without its map.
    """

    takes_runs = True

    def __init__(self, starts: Int64Array, rows: Int64Array, row_bytes: int, maps: Sequence[object]) -> None:
        self._starts, self._row_bytes, self._maps = starts, row_bytes, maps
        start = int(starts.min())
        firsts, shifts = np.divmod(starts - start, row_bytes)
        self._firsts: Int64Array | None = None
        if not shifts.any():
            self._firsts = firsts
            self._table = table_over(start, int((firsts + rows).max()) * row_bytes, row_bytes)

    def divided(self, request: ReadRequest) -> ReadRequest:
        """See `RowGroup.divided`."""
        return request

    def put(self, request: ReadRequest, to: RowWriter) -> None:
        """See `RowGroup.put`."""
        if isinstance(request, RunsRequest):
            if self._put_runs(request, to):
                return
            request = request.by_row()
        to.put(*self._pieces(request), request.slots)

    def _put_runs(self, request: RunsRequest, to: RowWriter) -> bool:
        """Copy each run in one piece; False if rows must be converted, or are better gathered one by one."""
        row_bytes, counts, slots = self._row_bytes, request.counts, request.slots
        if request.row_count * row_bytes < _LEAST_RUN_BYTES * len(counts):
            return False
        stops = slots + counts
        memory = to.memory(np.concatenate([slots, stops - 1]))
        if memory is None:
            return False
        begins = self._starts.repeat(request.sizes) + request.rows * row_bytes
        start = int(begins.min())
        begins -= start
        ends = begins + counts * row_bytes
        # Slices of a memoryview take half the time of those of an array.
        table = bytes_at(start, int(ends.max())).data
        order = np.argsort(slots)
        slots, stops = slots[order], stops[order]
        runs = map(table.__getitem__, map(slice, begins[order].tolist(), ends[order].tolist()))
        if (slots[1:] == stops[:-1]).all():
            first = int(slots[0]) * row_bytes
            step = max(1, _JOINED_BYTES * len(counts) // (request.row_count * row_bytes))
            while some := b"".join(islice(runs, step)):
                memory[first : first + len(some)] = np.frombuffer(some, np.uint8)
                first += len(some)
            return True
        slots, stops = slots * row_bytes, stops * row_bytes
        into = memory.data
        for run, slot, stop in zip(runs, slots.tolist(), stops.tolist(), strict=True):
            into[slot:stop] = run
        return True

    def _pieces(self, request: ReadRequest) -> tuple[Bytes, Int64Array]:
        """A table, and the rows of it that make each entry; see `table_at`."""
        run, row_bytes = request.run, self._row_bytes
        if self._firsts is None:
            addresses = self._starts.repeat(request.sizes) + request.rows * row_bytes
            return table_at(addresses, run * row_bytes)
        rows = self._firsts.repeat(request.sizes)
        rows += request.rows
        if run == 1:
            return self._table, rows[:, None]
        if run > MOST_PIECES or run * row_bytes >= LONG_BYTES:
            return self._table.reshape(-1, 1), rows[:, None] * row_bytes
        return self._table, rows[:, None] + np.arange(run)
