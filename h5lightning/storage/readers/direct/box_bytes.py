"""The bytes of a box of an array that is stored as it is: where its runs begin, and how they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.storage.files.coalescing import MAX_GAP_BYTES, MAX_RUN_BYTES
from h5lightning.storage.files.raw_file import ByteReader

__all__ = ["byte_strides", "read_box", "run_starts"]


def byte_strides(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """Bytes from one entry along each axis to the next, in C order.

    Example:
        >>> byte_strides((3, 5), 4)
        (20, 4)
    """
    strides = [itemsize]
    for length in reversed(shape[1:]):
        strides.append(strides[-1] * length)
    return tuple(reversed(strides))[-len(shape) :] if shape else ()


def run_starts(shape: Sequence[int], itemsize: int, start: Sequence[int], sizes: Sequence[int]) -> Int64Array:
    """Where the runs of a box along the last axis begin, in bytes from the start of the array, ``(runs,)``.

    Example:
        >>> run_starts((3, 5), 4, (1, 2), (2, 3)).tolist()
        [28, 48]
    """
    strides = byte_strides(shape, itemsize)
    starts = np.zeros(1, np.int64)
    for axis, stride in enumerate(strides):
        count = sizes[axis] if axis < len(strides) - 1 else 1
        starts = (starts[:, None] + (start[axis] + np.arange(count)) * stride).ravel()
    return starts


def read_box(
    file: ByteReader,
    offset: int,
    shape: Sequence[int],
    start: Sequence[int],
    out: npt.NDArray[Any],
    scratch: Callable[[], Bytes],
) -> None:
    """Read a box of an array by system calls; gaps that cost less than a call are read too.

    Args:
        file: where it lies.
        offset: its first byte in the file.
        shape: its shape.
        start: the first element of the box.
        out: the box, of the type of the stored elements, with the same number of axes.
        scratch: see `DecodePool.scratch`.
    """
    strides, sizes = byte_strides(shape, out.itemsize), out.shape
    axis, hull = _joined(strides, sizes, out.itemsize)
    offset += sum(map(int.__mul__, map(int, start), strides))
    if axis < 0:
        data = file.read(offset, hull, scratch())
        out[...] = np.ndarray(sizes, out.dtype, data, 0, strides)
        return
    # Entries along the axis that are read together.
    is_near = strides[axis] - hull <= MAX_GAP_BYTES
    step = max(1, MAX_RUN_BYTES // strides[axis]) if is_near else 1
    outer = [range(size) for size in sizes[:axis]]
    for *lead, first in product(*outer, range(0, sizes[axis], step)):
        count = min(step, sizes[axis] - first)
        at = offset + sum(map(int.__mul__, (*lead, first), strides))
        data = file.read(at, strides[axis] * (count - 1) + hull, scratch())
        part = np.ndarray((count, *sizes[axis + 1 :]), out.dtype, data, 0, strides[axis:])
        where: tuple[int | slice, ...] = (*lead, slice(first, first + count))
        out[where] = part


def _joined(strides: Sequence[int], sizes: Sequence[int], itemsize: int) -> tuple[int, int]:
    """The last axis whose entries are read one by one, or a few together, and the bytes of an entry.

    The axis is -1 if the whole box is one read.
    """
    hull = itemsize
    for axis in reversed(range(len(sizes))):
        gap, whole = strides[axis] - hull, strides[axis] * (sizes[axis] - 1) + hull
        if sizes[axis] > 1 and gap and (gap > MAX_GAP_BYTES or whole > MAX_RUN_BYTES):
            return axis, hull
        hull = whole
    return -1, hull
