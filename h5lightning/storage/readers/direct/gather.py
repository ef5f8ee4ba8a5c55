"""Gathers blocks of one size that begin anywhere in memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Bytes, Int64Array

__all__ = ["address_of", "bytes_at", "gather", "items_at"]

# An item of `take` costs 8 ns, one of an index over any addresses 30 ns.
_MOST_PIECES = 4
_MOST_BYTES_AT_ONCE = 1 << 16  # for more, the allocator may ask the system for new pages each time


def gather(addresses: Int64Array, size: int, out: Bytes) -> None:
    """Copy some blocks of memory.

    Args:
        addresses: where each block begins, at least one, ``(N,)``. The caller checked that all bytes of each block may
            be read, and holds the memory that they lie in.
        size: bytes of a block, ``1 << 15`` at most.
        out: the copies, ``(N * size,)``.
    """
    start = int(np.minimum.reduce(addresses))
    distances = addresses - start
    extent = int(np.maximum.reduce(distances)) + size
    common = int(np.bitwise_or.reduce(distances)) | size
    unit = common & -common  # the greatest power of two that divides all of them
    pieces = size // unit
    if pieces > _MOST_PIECES:
        _gather_anywhere(items_at(start, extent - size + 1, size, 1), distances, out)
        return
    numbers = distances // unit
    if pieces > 1:
        numbers = (numbers[:, None] + np.arange(pieces)).ravel()
    table = items_at(start, extent // unit, unit)
    # With any other mode, NumPy gathers into another buffer first.
    table.take(numbers, out=out.view(table.dtype), mode="clip")


def _gather_anywhere(table: npt.NDArray[np.void], numbers: Int64Array, out: Bytes) -> None:
    """Gather items of a table whose items overlap: they may begin at any byte."""
    items = out.view(table.dtype)
    step = max(1, _MOST_BYTES_AT_ONCE // table.itemsize)
    for start in range(0, len(numbers), step):
        items[start : start + step] = table[numbers[start : start + step]]


def address_of(memory: Bytes) -> int:
    """Where an array begins in memory."""
    address: int = memory.__array_interface__["data"][0]
    return address


def bytes_at(address: int, size: int) -> Bytes:
    """Bytes of memory, ``(size,)``, which nobody may write to; the caller holds the memory and checked its bounds."""
    return items_at(address, 1, size).view(np.uint8)


def items_at(start: int, count: int, size: int, step: int | None = None) -> npt.NDArray[np.void]:
    """Items of memory, ``(count,)``, which nobody may write to; the caller holds the memory and checked their bounds.

    Args:
        start: address of the first item.
        count: number of items.
        size: bytes of an item.
        step: bytes from one item to the next; None for ``size``. If it is less, items overlap.
    """
    return np.asarray(_Memory(start, count, size, size if step is None else step))


class _Memory:
    """Memory that NumPy may read, and does not own: items of ``size`` bytes, one every ``step`` bytes."""

    __slots__ = ("__array_interface__",)

    def __init__(self, start: int, items: int, size: int, step: int) -> None:
        self.__array_interface__ = {
            "data": (start, True),
            "shape": (items,),
            "strides": (step,),
            "typestr": f"|V{size}",
            "version": 3,
        }
