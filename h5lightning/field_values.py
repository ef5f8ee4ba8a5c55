"""Stored numbers of a field → the values that are delivered: converted, and decoded where the user asks for that.

What is computed is computed in float64 and rounded once. Where an encoding only marks missing values, nothing is
computed: then an integer must be held exactly, as by any other conversion.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.annotations import Encoding
from h5lightning.conversions import LostValueError, converted
from h5lightning.encoded_values import as_read, is_missing

__all__ = ["MissingValueError", "delivered_values", "delivery_dtype"]

Int64Array = npt.NDArray[np.int64]
Array = npt.NDArray[Any]

_BLOCK_BYTES = 1024 * 1024  # what is computed in float64 stays in the processor's cache
_IDENTITY = Encoding("cf")


class MissingValueError(Exception):
    """A stored number stands for a missing value, and nobody asked to decode it.

    Args:
        place: its index in the array.
    """

    def __init__(self, place: tuple[int, ...]) -> None:
        super().__init__(place)
        self.place = place


def delivery_dtype(delivered: str) -> np.dtype[Any]:
    """The NumPy type on the way to a delivered one: float32 for bfloat16, which NumPy lacks."""
    return np.dtype("float32" if delivered == "bfloat16" else delivered)


def delivered_values(
    values: Array,
    encodings: Sequence[Encoding | None],
    which: Int64Array,
    delivered: str,
    *,
    is_decoded: bool,
) -> Array:
    """Rows as they are delivered.

    Args:
        values: rows of one stored type in native byte order, ``(N, …)``.
        encodings: how they stand for values.
        which: the encoding of each row, ``(N,)``.
        delivered: name of the type.
        is_decoded: whether the values that they stand for are wanted, NaN for missing ones.

    Raises:
        MissingValueError: a number that stands for a missing value, where they are not decoded.
        LostValueError: a value that the delivered type cannot hold.
    """
    out = np.empty(values.shape, delivery_dtype(delivered))
    row_bytes = max(1, values[:1].nbytes)
    step = max(1, _BLOCK_BYTES // row_bytes)
    for rows, own in _alike(encodings, which):
        for start in range(0, len(rows), step):
            some, these = rows[start : start + step], own[start : start + step]
            place: Any = slice(some[0], some[-1] + 1) if some[-1] - some[0] == len(some) - 1 else some
            try:
                out[place] = _block(values[place], encodings, these, delivered, is_decoded=is_decoded)
            except (MissingValueError, LostValueError) as error:
                raise type(error)((int(some[error.place[0]]), *error.place[1:])) from None
    return out


def _alike(
    encodings: Sequence[Encoding | None], which: Int64Array
) -> Iterator[tuple[Int64Array, Int64Array]]:
    """Rows whose encodings differ in scale and offset alone, ascending, and the encoding of each."""
    if len(encodings) == 1:
        yield np.arange(len(which)), which
        return
    kinds: dict[Encoding, list[int]] = {}
    for number, encoding in enumerate(encodings):
        bare = replace(encoding or _IDENTITY, scale=1.0, offset=0.0, said_by=())
        kinds.setdefault(bare, []).append(number)
    for numbers in kinds.values():
        rows = np.flatnonzero(np.isin(which, numbers)) if len(kinds) > 1 else np.arange(len(which))
        if rows.size:
            yield rows, which[rows]


def _block(
    values: Array,
    encodings: Sequence[Encoding | None],
    which: Int64Array,
    delivered: str,
    *,
    is_decoded: bool,
) -> Array:
    encoding = encodings[int(which[0])] or _IDENTITY
    missing = is_missing(values, encoding) if encoding.is_masking else None
    if missing is not None and not missing.any():
        missing = None
    if not is_decoded:
        if missing is not None:
            raise MissingValueError(_first(missing))
        return converted(values, delivered)
    read = as_read(values, encoding)
    scales, offsets = _factors(encodings, which, values.ndim)
    if (scales != 1).any() or (offsets != 0).any():
        read = _computed(read, scales, offsets, missing)
    elif missing is not None:
        read = read.copy()
    if missing is None:
        return converted(read, delivered)
    read[missing] = 0
    return _with_nan(converted(read, delivered), missing)


def _factors(
    encodings: Sequence[Encoding | None], which: Int64Array, ndim: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Scale and offset of each row, to be multiplied with all of it."""
    known = [encoding or _IDENTITY for encoding in encodings]
    scales = np.asarray([encoding.scale for encoding in known])
    offsets = np.asarray([encoding.offset for encoding in known])
    if len(known) > 1:
        scales, offsets = scales[which], offsets[which]
    shape = (-1, *(1,) * (ndim - 1))
    return scales.reshape(shape), offsets.reshape(shape)


def _computed(
    read: Array,
    scales: npt.NDArray[np.float64],
    offsets: npt.NDArray[np.float64],
    missing: npt.NDArray[np.bool_] | None,
) -> Array:
    work = read.astype(np.float64)
    if missing is not None:
        work[missing] = 0  # a fill value may be the largest number that there is
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        work *= scales
        work += offsets
    lost = np.isfinite(read) & ~np.isfinite(work) if read.dtype.kind == "f" else ~np.isfinite(work)
    if missing is not None:
        lost &= ~missing
    if lost.any():
        raise LostValueError(_first(lost))
    return work


def _with_nan(values: Array, missing: npt.NDArray[np.bool_]) -> Array:
    if values.dtype.kind not in "fc":
        raise LostValueError(_first(missing))
    values[missing] = np.nan
    return values


def _first(where: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(np.argwhere(where)[0].tolist())
