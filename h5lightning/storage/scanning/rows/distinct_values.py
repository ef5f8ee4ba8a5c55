"""Number the distinct values of a dataset while its values come in blocks, in memory for the distinct ones alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.planning.catalog.row_values import code_type

__all__ = ["MOST_VALUES", "DistinctValues", "TooManyValuesError", "renumbered"]

MOST_VALUES = 16 * 1024 * 1024
_MOST_BYTES = 1024 * 1024 * 1024
_STEP = 1024 * 1024


class TooManyValuesError(Exception):
    """A dataset has more distinct values than are kept, as the predicate of a sentence."""


class DistinctValues:
    """The distinct values of blocks, and the code of each value.

    Args:
        keeps: number of all values, to keep the code of each; None to keep only the distinct values.
    """

    def __init__(self, keeps: int | None) -> None:
        self._codes = None if keeps is None else np.empty(keeps, np.int32)
        self._filled = 0
        self._values: npt.NDArray[Any] | None = None  # ascending
        self._number_of = np.zeros(0, np.int32)  # of each, in the order in which they were found
        self._low = 0
        self._is_seen: BoolArray | None = None  # of each number of a small type

    def add(self, block: npt.NDArray[Any], is_missing: BoolArray | None = None) -> None:
        """Add values of one kind: numbers, or text as bytes, ``(values,)``; NaN is missing.

        Raises:
            TooManyValuesError: there are more distinct values than are kept.
        """
        if block.dtype.kind == "f":
            is_nan = np.isnan(block)
            is_missing = is_nan if is_missing is None else is_missing | is_nan
        if is_missing is None or not is_missing.any():
            numbers = self._numbered(block)
        else:
            numbers = np.full(block.size, -1, np.int32)
            numbers[~is_missing] = self._numbered(block[~is_missing])
        if self._codes is not None:
            self._codes[self._filled : self._filled + block.size] = numbers
        self._filled += block.size

    def found(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.signedinteger[Any]] | None]:
        """The distinct values, ascending, and the position among them of each value, -1 for a missing one."""
        if self._is_seen is not None:
            used = np.flatnonzero(self._is_seen)
            values = used + self._low
            position_of = np.full(len(self._is_seen) + 1, -1)
            position_of[used] = np.arange(len(used))
        else:
            values = np.zeros(0, np.int64) if self._values is None else self._values
            position_of = np.full(len(values) + 1, -1)
            position_of[self._number_of] = np.arange(len(values))
        return values, None if self._codes is None else renumbered(self._codes, position_of, len(values))

    def _numbered(self, block: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        """The number of each value; new values get new numbers."""
        if block.dtype.kind == "b" or (block.dtype.kind in "iu" and block.dtype.itemsize <= 2):
            return self._small(block.view(np.uint8) if block.dtype.kind == "b" else block)
        found, which = np.unique(block, return_inverse=True)
        if self._values is None:
            self._values = found[:0]
            self._insert(found, np.zeros(len(found), np.int64))
        if found.dtype.itemsize > self._values.dtype.itemsize:  # longer text
            self._values = self._values.astype(found.dtype)
        found = found.astype(self._values.dtype, copy=False)
        positions = np.searchsorted(self._values, found)
        inside = np.minimum(positions, max(0, len(self._values) - 1))
        is_new = self._values[inside] != found if len(self._values) else np.ones(len(found), bool)
        if is_new.any():
            self._insert(found[is_new], positions[is_new])
            positions = np.searchsorted(self._values, found)
        numbers: npt.NDArray[np.int32] = self._number_of[positions][which.reshape(-1)]
        return numbers

    def _insert(self, values: npt.NDArray[Any], positions: Int64Array) -> None:
        if self._values is None:
            raise RuntimeError("the first block makes the table of values")
        count = len(self._values) + len(values)
        if count > MOST_VALUES:
            raise TooManyValuesError(
                f"has over {MOST_VALUES:,} different values, too many for categories or keys"
            )
        if count * values.dtype.itemsize > _MOST_BYTES:
            raise TooManyValuesError(
                f"has over {len(self._values):,} different values of up to {values.dtype.itemsize:,} bytes, too many "
                "for categories or keys"
            )
        new = np.arange(len(self._values), count, dtype=np.int32)
        self._values = np.insert(self._values, positions, values) if len(self._values) else values
        self._number_of = np.insert(self._number_of, positions, new)

    def _small(self, block: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        if self._is_seen is None:
            limits = np.iinfo(block.dtype)
            self._low = int(limits.min)
            self._is_seen = np.zeros(int(limits.max) - self._low + 1, bool)
        numbers: npt.NDArray[np.int32] = block.astype(np.int32) - np.int32(self._low)
        self._is_seen[numbers] = True
        return numbers


def renumbered(
    codes: npt.NDArray[np.signedinteger[Any]], position_of: Int64Array, count: int
) -> npt.NDArray[np.signedinteger[Any]]:
    """The codes with other numbers, in the smallest type for so many values.

    Args:
        codes: -1 for a missing value.
        position_of: the new number of each code, and -1 at its end.
        count: one more than the largest new number.
    """
    out = np.empty(codes.size, code_type(count))
    table = position_of.astype(out.dtype)
    for start in range(0, codes.size, _STEP):
        out[start : start + _STEP] = table[codes[start : start + _STEP]]
    return out
