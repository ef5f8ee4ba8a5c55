"""Divides records of a table into the buffers of its columns, a few records at a time.

Records are gathered into memory that the thread reuses and that fits into the caches of the processor. From there,
one strided copy fills all rows of a column. So the number of columns adds nothing to the reading.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.core.thread_memory import thread_memory
from h5lightning.planning.values.conversions import assign
from h5lightning.storage.readers.protocol import ReadRequest
from h5lightning.storage.readers.records import RecordRequest
from h5lightning.storage.readers.row_writer import RowWriter, checked_slots

__all__ = ["RecordWriter", "make_writer"]

_SLICE_BYTES = 256 * 1024  # of records that are divided at a time


def make_writer(request: ReadRequest, dtype: np.dtype[Any], row_shape: tuple[int, ...]) -> RowWriter:
    """What writes rows into the buffers of a request.

    Args:
        request: the rows.
        dtype: type of a stored element; of a table, see `RecordWriter`.
        row_shape: shape of a row of such elements.
    """
    if isinstance(request, RecordRequest):
        return RecordWriter(request.outs, dtype, row_shape)
    return RowWriter(request.out, dtype, math.prod(row_shape) * dtype.itemsize * request.run)


class RecordWriter(RowWriter):
    """Writes columns of records into their buffers; as `RowWriter`, for several buffers.

    Args:
        outs: the position of a column, and its buffer, ``(M, *row_shape, *value_shape)``.
        dtype: type of a record, with a field for each column, named by its position.
        row_shape: shape of a row of records.
    """

    __slots__ = ("_outs", "_row_shape", "_span")

    def __init__(
        self,
        outs: Sequence[tuple[int, npt.NDArray[Any]]],
        dtype: np.dtype[Any],
        row_shape: tuple[int, ...],
    ) -> None:
        super().__init__(outs[0][1], dtype, math.prod(row_shape) * dtype.itemsize)
        self._outs = [(str(position), out) for position, out in outs]
        self._row_shape = row_shape
        self._span = _span_of(dtype, [name for name, _ in self._outs]) if math.prod(row_shape) == 1 else None

    def put(self, table: Bytes, pieces: Int64Array, slots: Int64Array) -> None:
        """Write rows, each made of one or more rows of a table of bytes, into slots; see `RowWriter.put`."""
        first, last = self._checked(slots)
        is_run = last - first == len(slots) - 1
        if is_run:
            in_order = np.empty_like(pieces)
            in_order[slots - first] = pieces
            pieces = in_order
        step = max(1, _SLICE_BYTES // self._row_bytes)
        for start in range(0, len(pieces), step):
            part = slice(start, start + step)
            into = slice(first + start, min(first + start + step, last + 1)) if is_run else slots[part]
            self._divide(self._gathered(table, pieces[part]), into)

    def memory(self, slots: Int64Array) -> Bytes | None:
        """None: no buffer holds whole records; see `RowWriter.memory`."""
        self._checked(slots)
        return None

    def put_values(self, values: npt.NDArray[Any], slots: Int64Array, part: tuple[slice, ...]) -> None:
        """Write records into a part of each slot; see `RowWriter.put_values`."""
        self._checked(slots)
        self._divide(values.view(self._dtype), (slots, *part))

    def _gathered(self, table: Bytes, pieces: Int64Array) -> npt.NDArray[Any]:
        """Rows of records, ``(N, *row_shape)``, without the bytes around the columns where these are many."""
        unit, dtype = table.shape[1], self._dtype
        is_whole = unit in (1, self._row_bytes) and pieces.shape[1] == 1
        if is_whole and (self._span is not None or unit < self._row_bytes):
            lead, dtype = self._span or (0, dtype)
            span_bytes = dtype.itemsize * math.prod(self._row_shape)
            last = table.size - lead - span_bytes
            spans: Bytes = np.ndarray((last + 1, span_bytes), np.uint8, table, lead, (1, 1))
            gathered: Bytes = spans[pieces[:, 0] * unit]
        else:
            gathered = thread_memory(len(pieces) * self._row_bytes)
            # With any other mode, NumPy gathers into another buffer first.
            table.take(pieces.ravel(), axis=0, out=gathered.reshape(pieces.size, unit), mode="clip")
        return gathered.view(dtype).reshape(len(pieces), *self._row_shape)

    def _divide(self, records: npt.NDArray[Any], where: Any) -> None:
        for name, out in self._outs:
            assign(out, where, records[name])

    def _checked(self, slots: Int64Array) -> tuple[int, int]:
        return checked_slots(slots, min((out for _, out in self._outs), key=len))


def _span_of(dtype: np.dtype[Any], names: Sequence[str]) -> tuple[int, np.dtype[Any]] | None:
    """Where some columns of a record begin, and the type of their bytes; None if they are most of the record."""
    fields = dict(dtype.fields or {})
    kinds = [fields[name][0] for name in names]
    offsets = [fields[name][1] for name in names]
    start = min(offsets)
    span_bytes = max(offset + kind.itemsize for offset, kind in zip(offsets, kinds, strict=True)) - start
    if 2 * span_bytes > dtype.itemsize:
        return None
    distinct = dict(zip(names, zip(kinds, offsets, strict=True), strict=True))
    return start, np.dtype(
        {
            "names": list(distinct),
            "formats": [kind for kind, _ in distinct.values()],
            "offsets": [offset - start for _, offset in distinct.values()],
            "itemsize": span_bytes,
        }
    )
