"""Stored numbers of a field → delivered values: converted, and decoded on request.

Scaling is computed in float64 and rounded once. An encoding that only marks missing values needs no arithmetic; then
the delivered type must hold each integer exactly, as in any other conversion.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray, Float64Array, Int64Array
from h5lightning.planning.catalog.annotations import Encoding
from h5lightning.planning.values.conversions import LostValueError, ValueAtError, converted, delivery_dtype
from h5lightning.planning.values.encoded_values import as_read, is_missing

__all__ = ["MissingValueError", "ValueDecoder"]

Array = npt.NDArray[Any]

_BLOCK_BYTES = 1024 * 1024  # so that float64 intermediates fit the processor's cache
_IDENTITY = Encoding("cf")


class MissingValueError(ValueAtError):
    """A stored number stands for a missing value, and decoding was not requested."""


class ValueDecoder:
    """Makes the values of a field from its stored numbers.

    Args:
        encodings: the distinct encodings of the field; None for numbers that are the values.
        delivered: name of the delivered type.
        is_decoded: whether to decode the numbers, with NaN for missing values.
    """

    def __init__(self, encodings: Sequence[Encoding | None], delivered: str, *, is_decoded: bool) -> None:
        listed = [encoding or _IDENTITY for encoding in encodings]
        self._scales = np.asarray([encoding.scale for encoding in listed])
        self._offsets = np.asarray([encoding.offset for encoding in listed])
        # Encodings of one kind differ only in scale and offset: their rows are decoded together.
        kinds: dict[Encoding, int] = {}
        bare = (replace(encoding, scale=1.0, offset=0.0, said_by=()) for encoding in listed)
        self._kind_of = np.asarray([kinds.setdefault(encoding, len(kinds)) for encoding in bare])
        self._kinds = tuple(kinds)
        self._delivered = delivered
        self._is_decoded = is_decoded

    def of(self, stored: Array, which: Int64Array) -> Array:
        """The delivered values of rows.

        Args:
            stored: rows of one stored type in native byte order, ``(N, …)``.
            which: number of the encoding of each row, ``(N,)``.

        Raises:
            MissingValueError: a number stands for a missing value, and numbers are not decoded.
            LostValueError: the delivered type cannot hold a value.
        """
        out = np.empty(stored.shape, delivery_dtype(self._delivered))
        step = max(1, _BLOCK_BYTES // max(1, stored[:1].nbytes))
        for encoding, rows in self._rows_by_kind(which):
            for start in range(0, len(rows), step):
                block = rows[start : start + step]
                is_run = block[-1] - block[0] == len(block) - 1
                index: Any = slice(block[0], block[-1] + 1) if is_run else block
                try:
                    out[index] = self._block(stored[index], encoding, which[block])
                except ValueAtError as error:
                    raise type(error)((int(block[error.place[0]]), *error.place[1:])) from None
        return out

    def _rows_by_kind(self, which: Int64Array) -> Iterator[tuple[Encoding, Int64Array]]:
        """The rows of each kind of encoding, ascending."""
        if len(self._kinds) == 1:
            yield self._kinds[0], np.arange(len(which))
            return
        kind_of_row = self._kind_of[which]
        for kind in np.unique(kind_of_row).tolist():
            yield self._kinds[kind], np.flatnonzero(kind_of_row == kind)

    def _block(self, values: Array, encoding: Encoding, which: Int64Array) -> Array:
        missing = is_missing(values, encoding) if encoding.is_masking else None
        if missing is not None and not missing.any():
            missing = None
        if not self._is_decoded:
            if missing is not None:
                raise MissingValueError(_first(missing))
            return converted(values, self._delivered)
        read = as_read(values, encoding)
        scales, offsets = self._scales[which], self._offsets[which]
        if (scales != 1).any() or (offsets != 0).any():
            shape = (-1, *(1,) * (values.ndim - 1))
            read = _computed(read, scales.reshape(shape), offsets.reshape(shape), missing)
        elif missing is not None:
            read = read.copy()
        if missing is None:
            return converted(read, self._delivered)
        read[missing] = 0
        return _with_nan(converted(read, self._delivered), missing)


def _computed(read: Array, scales: Float64Array, offsets: Float64Array, missing: BoolArray | None) -> Array:
    work = read.astype(np.float64)
    if missing is not None:
        work[missing] = 0  # a fill value may be the largest float
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        work *= scales
        work += offsets
    lost = np.isfinite(read) & ~np.isfinite(work) if read.dtype.kind == "f" else ~np.isfinite(work)
    if missing is not None:
        lost &= ~missing
    if lost.any():
        raise LostValueError(_first(lost))
    return work


def _with_nan(values: Array, missing: BoolArray) -> Array:
    if values.dtype.kind not in "fc":
        raise LostValueError(_first(missing))
    values[missing] = np.nan
    return values


def _first(where: BoolArray) -> tuple[int, ...]:
    return tuple(np.argwhere(where)[0].tolist())
