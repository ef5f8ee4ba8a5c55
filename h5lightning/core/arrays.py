"""Types of arrays, and positions in arrays of runs of different lengths."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["BoolArray", "Bytes", "Float64Array", "Int64Array", "flat_positions"]

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
