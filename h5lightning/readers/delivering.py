"""Rows of a table of bytes → the slots of a batch: as few copies as their order and type allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Delivery"]

Bytes = npt.NDArray[np.uint8]
Int64Array = npt.NDArray[np.int64]

# Copying row by row takes 0.4 µs a row, copying all of them twice 5 µs and 0.1 µs for each KiB.
_LEAST_ROW_BYTES = 1024


class Delivery:
    """Batches that take rows.

    Args:
        outs: neighbouring batches, ``(M, *row_shape)`` each, the last one maybe shorter; slots are counted over all.
        dtype: type of the stored elements.
        row_bytes: bytes of a stored row.
    """

    __slots__ = ("_batches", "_length", "_size")

    def __init__(self, outs: Sequence[npt.NDArray[Any]], dtype: np.dtype[Any], row_bytes: int) -> None:
        self._size = max(1, len(outs[0]))
        self._length = sum(map(len, outs))
        self._batches = [_Batch(out, dtype, row_bytes) for out in outs]

    def put(self, table: Bytes, pieces: Int64Array, slots: Int64Array) -> None:
        """Put rows that are made of rows of a table into slots.

        Args:
            table: C-contiguous rows of bytes, ``(R, unit)``.
            pieces: rows of the table, none outside, that make each row, ``(N, row_bytes / unit)``; with a unit of
                1, ``(N, 1)`` is the first byte of each row.
            slots: where they belong, no slot twice, ``(N,)``.

        Raises:
            IndexError: a slot outside of the batches.
        """
        first, last = self._checked(slots)
        if last - first < len(slots):
            in_order = np.empty_like(pieces)
            in_order[slots - first] = pieces
            for batch, start, stop in self._parts(first, last + 1):
                begin = max(first, start)
                batch.put_run(table, in_order[begin - first : stop - first], begin - start)
        else:
            for batch, here, places in self._spread(slots):
                batch.put(table, pieces[here], places)

    def put_values(self, values: npt.NDArray[Any], slots: Int64Array, part: tuple[slice, ...]) -> None:
        """Put stored elements into a part of each slot.

        Args:
            values: elements, ``(N, ...)``.
            slots: where they belong, ``(N,)``.
            part: which part of a row they are.
        """
        self._checked(slots)
        for batch, here, places in self._spread(slots):
            index: Any = (places, *part)
            batch.out[index] = values[here]

    def _parts(self, first: int, stop: int) -> Iterator[tuple[_Batch, int, int]]:
        """The batches that hold some slots, with the first slot of each and the end of those wanted."""
        for number in range(first // self._size, -(-stop // self._size)):
            start = number * self._size
            yield self._batches[number], start, min(start + self._size, stop)

    def _spread(self, slots: Int64Array) -> Iterator[tuple[_Batch, Any, Int64Array]]:
        """The batches that hold some slots, which of the slots those are, and their places there."""
        if len(self._batches) == 1:
            yield self._batches[0], slice(None), slots
            return
        numbers = slots // self._size
        for number in np.unique(numbers).tolist():
            here = np.flatnonzero(numbers == number)
            yield self._batches[number], here, slots[here] - number * self._size

    def _checked(self, slots: Int64Array) -> tuple[int, int]:
        """The first and the last slot; NumPy would count a negative one from the end."""
        first, last = int(np.minimum.reduce(slots)), int(np.maximum.reduce(slots))
        if first < 0 or last >= self._length:
            shape = (self._length, *self._batches[0].out.shape[1:])
            raise IndexError(f"slots {first} to {last} are out of bounds of a buffer {shape}")
        return first, last


class _Batch:
    """One batch that takes rows; see `Delivery`."""

    __slots__ = ("_dtype", "_row_bytes", "_target", "out")

    def __init__(self, out: npt.NDArray[Any], dtype: np.dtype[Any], row_bytes: int) -> None:
        self.out = out
        self._dtype = dtype
        self._row_bytes = row_bytes
        # Its bytes, unless rows must be converted.
        self._target: Bytes | None = None
        if out.flags.c_contiguous and out.dtype == (dtype if dtype.isnative else dtype.newbyteorder("=")):
            self._target = out.view(np.uint8).reshape(len(out), row_bytes)

    def put_run(self, table: Bytes, pieces: Int64Array, first: int) -> None:
        """Put rows into neighbouring slots."""
        if self._target is None or table.shape[1] * pieces.shape[1] != self._row_bytes:
            self.put(table, pieces, np.arange(first, first + len(pieces)))
            return
        target = self._target[first : first + len(pieces)]
        # With any other mode, NumPy gathers into a buffer of its own first.
        table.take(pieces.reshape(-1), axis=0, out=target.reshape(pieces.size, -1), mode="clip")
        self._make_native(slice(first, first + len(pieces)))

    def put(self, table: Bytes, pieces: Int64Array, slots: Int64Array) -> None:
        """Put rows into any slots."""
        if table.shape[1] * pieces.shape[1] != self._row_bytes:
            self._put_each(table.reshape(-1), pieces[:, 0], slots)
        elif self._target is None:
            values = table.take(pieces.ravel(), axis=0).reshape(len(slots), -1)
            self.out[slots] = values.view(self._dtype).reshape(len(slots), *self.out.shape[1:])
        else:
            self._scatter(self._target, table, pieces, slots)
            self._make_native(slots)

    def _scatter(self, target: Bytes, table: Bytes, pieces: Int64Array, slots: Int64Array) -> None:
        if pieces.shape[1] > 1 or self._row_bytes < _LEAST_ROW_BYTES:
            target[slots] = table.take(pieces.ravel(), axis=0).reshape(len(slots), -1)
            return
        for row, slot in zip(pieces[:, 0].tolist(), slots.tolist(), strict=True):
            target[slot] = table[row]

    def _put_each(self, memory: Bytes, starts: Int64Array, slots: Int64Array) -> None:
        """Put rows that begin anywhere in memory into slots, one by one."""
        shape = self.out.shape[1:]
        for start, slot in zip(starts.tolist(), slots.tolist(), strict=True):
            row = memory[start : start + self._row_bytes]
            if self._target is None:
                self.out[slot] = row.view(self._dtype).reshape(shape)
            else:
                self._target[slot] = row
        if self._target is not None:
            self._make_native(slots)

    def _make_native(self, slots: Int64Array | slice) -> None:
        if not self._dtype.isnative:
            self.out[slots] = self.out[slots].byteswap()
