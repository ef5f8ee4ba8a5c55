"""Types of arrays, and positions in arrays of runs of different lengths."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["BoolArray", "Bytes", "Float64Array", "Int64Array", "distinct", "flat_positions"]

BoolArray: TypeAlias = npt.NDArray[np.bool_]
Bytes: TypeAlias = npt.NDArray[np.uint8]
Float64Array: TypeAlias = npt.NDArray[np.float64]
Int64Array: TypeAlias = npt.NDArray[np.int64]


def flat_positions(starts: Int64Array, lengths: Int64Array) -> Int64Array:
    """The positions of all entries of several runs, run after run.

    Args:
        starts: first position of each run, ``(runs,)``.
        lengths: entries of each run, ``(runs,)``.

    Returns:
        ``(lengths.sum(),)``.

    Example:
        >>> flat_positions(np.array([7, 0]), np.array([2, 3])).tolist()
        [7, 8, 0, 1, 2]
    """
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if ends.size else 0
    offsets: Int64Array = np.repeat(starts - (ends - lengths), lengths)
    return offsets + np.arange(total, dtype=np.int64)


def distinct(numbers: npt.NDArray[np.integer[Any]]) -> tuple[Int64Array, Int64Array, Int64Array]:
    """The distinct numbers, ascending, the first position of each, and the position of each entry among them.

    As `np.unique` does it, but without sorting where the numbers are few, as those of layouts are.

    Example:
        >>> [each.tolist() for each in distinct(np.array([5, -1, 5, 7]))]
        [[-1, 5, 7], [1, 0, 3], [1, 0, 1, 2]]
    """
    low = int(numbers.min(initial=0)) if numbers.size else 0
    span = int(numbers.max()) - low + 1 if numbers.size else 0
    if span > 4 * numbers.size + 1024:
        values, first, which = np.unique(numbers, return_index=True, return_inverse=True)
        return values.astype(np.int64), first, which.reshape(-1)
    shifted = numbers.astype(np.int64) - low
    first = np.full(span, -1, np.int64)
    first[shifted[::-1]] = np.arange(numbers.size - 1, -1, -1)  # the last assignment counts
    used = np.flatnonzero(first >= 0)
    number_of = np.zeros(span, np.int64)
    number_of[used] = np.arange(used.size)
    return used + low, first[used], number_of[shifted]
