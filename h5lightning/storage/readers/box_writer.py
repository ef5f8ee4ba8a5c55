"""Writes boxes, or pieces of them, into the slots of a batch: many small ones in one call, large ones one by one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from h5lightning.core.arrays import Int64Array
from h5lightning.planning.values.conversions import assign
from h5lightning.storage.readers.box_pieces import BoxPieces

__all__ = ["MOST_BYTES", "MOST_BYTES_AT_ONCE", "BoxWriter", "groups_of_size"]

# A copy of its own takes 2.5 µs and the bytes; one of many in a call 1.3 µs and the bytes twice.
MOST_BYTES = 32 * 1024  # of a box that is copied twice
_FEWEST = 4  # boxes that are worth a call for all of them
_FEWEST_OF_ONE = 16  # boxes of one array of a few that are: each of these calls has its own windows
MOST_BYTES_AT_ONCE = 1 << 18  # they stay in a cache of the processor between the copies
_LARGEST = 1 << 62


class BoxWriter:
    """Writes into the buffer of one request.

    Args:
        out: the buffer, ``(M, *sizes, *element_shape)``.
        ndim: axes of a box, without those of an element.
    """

    __slots__ = ("_ndim", "_out")

    def __init__(self, out: npt.NDArray[Any], ndim: int) -> None:
        self._out, self._ndim = out, ndim

    def put_boxes(
        self,
        arrays: Iterable[npt.NDArray[Any]],
        borders: Sequence[int],
        starts: Int64Array,
        slots: Int64Array,
    ) -> None:
        """Write boxes of some arrays into slots.

        Args:
            arrays: stored elements, ``(*shape, *element_shape)`` each, all of one type.
            borders: where the boxes of each array begin, and the last ones end, ascending from 0, ``(arrays + 1,)``.
            starts: the first element of each box, which lies inside of its array, ``(N, ndim)``.
            slots: the slot of each, inside of the buffer, ``(N,)``.

        Raises:
            FloatingPointError: a finite value would become infinite in the type of the buffer.
        """
        out, sizes = self._out, self._out.shape[1 : 1 + self._ndim]
        columns = starts.tolist(), (starts + np.asarray(sizes, np.int64)).tolist(), slots.tolist()
        boxes = [*zip(*columns, strict=True)]
        for array, (first, last) in zip(arrays, pairwise(borders), strict=True):
            are_many = last - first >= _FEWEST_OF_ONE and self._ndim
            if are_many and _may_gather(array, math.prod(out.shape[1:])):
                self._gather(array, starts[first:last], slots[first:last])
                continue
            for start, stop, slot in boxes[first:last]:
                assign(out, slot, array[tuple(map(slice, start, stop))])

    def _gather(self, array: npt.NDArray[Any], starts: Int64Array, slots: Int64Array) -> None:
        """As `put_boxes`, of many short boxes of one array."""
        out = self._out
        windows = _windows(array, 0, out.shape[1 : 1 + self._ndim])
        step = max(1, MOST_BYTES_AT_ONCE // max(1, math.prod(out.shape[1:]) * array.itemsize))
        for first in range(0, len(slots), step):
            part = slice(first, first + step)
            assign(out, slots[part], windows[tuple(starts[part].T)])

    def put_pieces(
        self, table: npt.NDArray[Any], rows: Int64Array, pieces: BoxPieces, slots: Int64Array
    ) -> None:
        """Write pieces of boxes, each of which is a part of an entry of a table.

        Args:
            table: decoded chunks, ``(any number, *chunks, *element_shape)``.
            rows: the entry of the table for each piece, ``(N,)``.
            pieces: the pieces.
            slots: the slot of the box of each piece, inside of the buffer, ``(N,)``.

        Raises:
            FloatingPointError: a finite value would become infinite in the type of the buffer.
        """
        groups, others = groups_of_size(pieces, table.shape[1 : 1 + self._ndim])
        for same in groups:
            self._put_table(table, rows[same], pieces.part(same), slots[same])
        self._put_each(table, rows[others], pieces.part(others), slots[others])

    def put_piece(
        self, values: npt.NDArray[Any], slot: int, into: Sequence[int], sizes: Sequence[int]
    ) -> None:
        """Write one piece of a box: where it begins in the box, and its size, are given along each axis."""
        assign(self._out, (slot, *map(slice, into, map(int.__add__, into, sizes))), values)

    def put_same(self, values: npt.NDArray[Any], pieces: BoxPieces, slots: Int64Array) -> None:
        """Write pieces of one size, ``(N, *size, *element_shape)``, into the slots of their boxes, ``(N,)``."""
        sizes = values.shape[1 : 1 + self._ndim]
        assign(_windows(self._out, 1, sizes, writeable=True), (slots, *pieces.into.T), values)

    def _put_table(
        self, table: npt.NDArray[Any], rows: Int64Array, pieces: BoxPieces, slots: Int64Array
    ) -> None:
        """As `put_pieces`, of pieces of one size."""
        sizes = tuple(pieces.sizes[0].tolist())
        values = math.prod(sizes) * math.prod(self._out.shape[1 + self._ndim :])
        if not self._ndim or not _may_gather(table, values):
            self._put_each(table, rows, pieces, slots)
            return
        windows = _windows(table, 1, sizes)
        step = max(1, MOST_BYTES_AT_ONCE // (values * table.itemsize))
        for first in range(0, len(rows), step):
            part = slice(first, first + step)
            which = (rows[part], *pieces.inside[part].T)
            self.put_same(windows[which], pieces.part(part), slots[part])

    def _put_each(
        self, table: npt.NDArray[Any], rows: Int64Array, pieces: BoxPieces, slots: Int64Array
    ) -> None:
        columns = (
            rows.tolist(),
            slots.tolist(),
            pieces.inside.tolist(),
            (pieces.inside + pieces.sizes).tolist(),
            pieces.into.tolist(),
            (pieces.into + pieces.sizes).tolist(),
        )
        out = self._out
        for row, slot, inside, stop, into, end in zip(*columns, strict=True):
            where = (row, *map(slice, inside, stop))
            assign(out, (slot, *map(slice, into, end)), table[where])


def groups_of_size(pieces: BoxPieces, chunks: tuple[int, ...]) -> tuple[list[Int64Array], Int64Array]:
    """The pieces of each size that has enough of them to be copied together, and all others, as ascending numbers.

    Args:
        pieces: the pieces.
        chunks: shape of a chunk, which no piece exceeds.
    """
    key = np.zeros(len(pieces), np.int64)
    for axis, length in enumerate(chunks):
        key = key * (length + 1) + pieces.sizes[:, axis]
    order = np.argsort(key, kind="stable")
    firsts = np.flatnonzero(np.diff(key[order], prepend=-1))
    counts = np.diff(firsts, append=len(order))
    is_enough = counts >= _FEWEST
    groups = [
        order[first : first + count]
        for first, count in zip(firsts[is_enough].tolist(), counts[is_enough].tolist(), strict=True)
    ]
    return groups, np.sort(order[~is_enough.repeat(counts)])


def _may_gather(array: npt.NDArray[Any], values: int) -> bool:
    """Whether boxes of so many elements are copied together: they are short, and NumPy can count their elements."""
    nbytes = values * array.itemsize
    return nbytes <= MOST_BYTES and array.size * max(1, nbytes) < _LARGEST


def _windows(
    array: npt.NDArray[Any], lead: int, sizes: tuple[int, ...], *, writeable: bool = False
) -> npt.NDArray[Any]:
    """All boxes of a size in an array, by their first elements.

    Args:
        array: ``(*leading axes, *shape, *element_shape)``.
        lead: leading axes.
        sizes: along the axes behind them.
        writeable: whether to write to them.

    Returns:
        ``(*leading axes, *first elements, *sizes, *element_shape)``.
    """
    stop = lead + len(sizes)
    counts = tuple(length - size + 1 for length, size in zip(array.shape[lead:stop], sizes, strict=True))
    shape = (*array.shape[:lead], *counts, *sizes, *array.shape[stop:])
    strides = (*array.strides[:stop], *array.strides[lead:])
    return as_strided(array, shape, strides, writeable=writeable)
