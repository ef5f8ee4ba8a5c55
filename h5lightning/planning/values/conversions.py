"""Conversions from the stored type to the delivered type that keep every value.

A conversion that would change a value is an error, with one exception: floats are rounded if a narrower floating type
was requested. But a finite value never becomes infinite.

NumPy compares an integer with a float as two floats, so that 2**53 + 1 equals 2**53. This module compares integers as
integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray

__all__ = [
    "LostValueError",
    "ValueAtError",
    "assign",
    "buffer_dtype",
    "common_type",
    "converted",
    "delivery_dtype",
    "first_lost",
    "wider_type",
]

# Bits of the significand, including the hidden one.
_PRECISION = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53, "complex64": 24, "complex128": 53}
_ROUNDED = {("f", "f"), ("f", "c"), ("c", "c")}  # kinds of types between which rounding is allowed
_LARGEST_FLOAT16 = 65504
# bfloat16 rounds float32 to infinity from here on: half a step above its largest value.
_TOO_LARGE_FOR_BFLOAT16 = 2.0**128 - 2.0**119


class ValueAtError(Exception):
    """A value of an array that cannot be delivered; ``place`` is its index."""

    def __init__(self, place: tuple[int, ...]) -> None:
        super().__init__(place)
        self.place = place


class LostValueError(ValueAtError):
    """A value that a type cannot hold."""


def delivery_dtype(delivered: str) -> np.dtype[Any]:
    """The NumPy type for a delivered type: float32 for bfloat16, which NumPy lacks."""
    return np.dtype("float32" if delivered == "bfloat16" else delivered)


def converted(values: npt.NDArray[Any], delivered: str) -> npt.NDArray[Any]:
    """Values in native byte order in the delivered type, see `delivery_dtype`; a new array or the same one.

    Raises:
        LostValueError: the type cannot hold a value.
    """
    through = buffer_dtype(values.dtype.str, delivered)
    if through != values.dtype:
        out = np.empty(values.shape, through)
        try:
            assign(out, ..., values)
        except FloatingPointError:
            lost = first_lost(values, through.name)
            raise LostValueError(lost or (0,) * values.ndim) from None
        values = out
    if values.dtype.name != delivered:
        lost = first_lost(values, delivered)
        if lost is not None:
            raise LostValueError(lost)
    with np.errstate(invalid="ignore"):  # a signalling NaN
        return values.astype(delivery_dtype(delivered), copy=False)


def common_type(values: Sequence[npt.NDArray[Any]]) -> np.dtype[Any]:
    """The type for arrays of several types; an integer type for integers, unlike in NumPy.

    It may not hold all values; `converted` checks that.
    """
    types = {value.dtype.newbyteorder("=") for value in values}
    promoted = np.result_type(*types)
    if promoted.kind == "f" and all(kind.kind in "biu" for kind in types):
        # NumPy promotes int64 and uint64 to float64, which rounds both.
        largest = max((int(value.max()) for value in values if value.size), default=0)
        return np.dtype(np.uint64 if largest > np.iinfo(np.int64).max else np.int64)
    return promoted


def wider_type(*types: str) -> str:
    """The name of a type to request for numbers of several stored types: an integer type for integers.

    Example:
        >>> wider_type("<f4", ">f8"), wider_type("<i8", "<u8")
        ('float64', 'int64')
    """
    dtypes = [np.dtype(text) for text in types]
    promoted = np.result_type(*dtypes)
    # NumPy promotes int64 and uint64 to float64, which holds fewer of their values than either.
    return "int64" if promoted.kind == "f" and all(one.kind in "biu" for one in dtypes) else promoted.name


def buffer_dtype(stored: str, delivered: str) -> np.dtype[Any]:
    """The type of the buffer that a field is read into, in native byte order.

    The delivered type if `assign` checks enough; else the stored type, whose values are then checked by `first_lost`.
    For bfloat16, which NumPy lacks, float32 or the stored type.
    """
    native = np.dtype(stored).newbyteorder("=")
    if delivered == "bfloat16":
        return np.dtype("float32") if native.kind == "f" else native
    target = np.dtype(delivered)
    is_rounded = (native.kind, target.kind) in _ROUNDED
    return target if is_rounded or _is_safe(native, target) else native


def _is_safe(stored: np.dtype[Any], delivered: np.dtype[Any]) -> bool:
    """Whether a type holds all values of another type; NumPy calls float64 safe for int64, which it is not."""
    if stored.kind in "iu" and delivered.kind in "fc":
        info, (low, high) = np.iinfo(stored), _whole_numbers(delivered.name)
        return bool(low <= info.min and info.max <= high)
    return np.can_cast(stored, delivered, "safe")


def assign(out: npt.NDArray[Any], where: Any, values: npt.NDArray[Any]) -> None:
    """Put values into a buffer of the same type, or of a type of `buffer_dtype`.

    Floats are rounded. The processor flags a finite value that becomes infinite, so that no second pass is needed.

    Raises:
        FloatingPointError: a finite value would become infinite.
    """
    if out.dtype == values.dtype:
        out[where] = values
        return
    with np.errstate(over="raise", under="ignore", invalid="ignore"):
        out[where] = values


def first_lost(values: npt.NDArray[Any], delivered: str) -> tuple[int, ...] | None:
    """Index of the first value that the delivered type cannot hold; None if it holds all values.

    Args:
        values: values of a stored type in native byte order, or float32 for bfloat16, ``(N, …)``.
        delivered: name of the delivered type.
    """
    if not values.size or _holds_all(values, delivered):
        return None
    lost = _lost(values, delivered)
    return tuple(np.argwhere(lost)[0].tolist()) if lost.any() else None


def _holds_all(values: npt.NDArray[Any], delivered: str) -> bool:
    """Whether the smallest and the largest value show that the type holds all: a quick test that may miss some."""
    if values.dtype.kind not in "biuf":
        return False
    low, high = values.min().item(), values.max().item()
    if values.dtype.kind != "f":
        least, largest = _whole_numbers(delivered)
        return bool(least <= low and high <= largest)
    if delivered == "bfloat16":
        return bool(low > -_TOO_LARGE_FOR_BFLOAT16 and high < _TOO_LARGE_FOR_BFLOAT16)
    if delivered in _PRECISION:
        return False
    least, largest = _whole_numbers(delivered)
    # Python compares an integer with a float exactly, and each comparison with NaN is false.
    return bool(least <= low and high <= largest and (np.trunc(values) == values).all())


def _whole_numbers(delivered: str) -> tuple[int, int]:
    """Ends of a range of integers that a type holds without gaps."""
    if delivered in _PRECISION:
        largest = 2 ** _PRECISION[delivered]
        return -largest, largest
    if delivered == "bool":
        return 0, 1
    info = np.iinfo(delivered)
    return int(info.min), int(info.max)


def _lost(values: npt.NDArray[Any], delivered: str) -> BoolArray:
    kind = values.dtype.kind
    if kind in "fc":
        return _lost_floats(values, delivered)
    if delivered in _PRECISION:
        return _lost_by_floats(values, delivered)
    low, high = _whole_numbers(delivered)
    # NumPy would not compare bounds outside of the stored type as integers.
    info = np.iinfo(values.dtype)
    return np.asarray((values < max(low, info.min)) | (values > min(high, info.max)))


def _lost_by_floats(values: npt.NDArray[Any], delivered: str) -> BoolArray:
    """Integers that a float cannot hold: too many bits from the first to the last one that is set."""
    # np.abs of the smallest integer keeps its bits; read as unsigned, they are its magnitude.
    magnitude = np.abs(values).view(f"u{values.dtype.itemsize}").astype(np.uint64)
    last_bit = magnitude & (~magnitude + np.uint64(1))
    shortest = magnitude // np.maximum(last_bit, np.uint64(1))
    lost = shortest >= np.uint64(2 ** _PRECISION[delivered])
    if delivered == "float16":
        lost |= magnitude > np.uint64(_LARGEST_FLOAT16)
    return np.asarray(lost)


def _lost_floats(values: npt.NDArray[Any], delivered: str) -> BoolArray:
    if delivered == "bfloat16":
        return np.asarray(np.isfinite(values) & (np.abs(values) >= np.float32(_TOO_LARGE_FOR_BFLOAT16)))
    if delivered in _PRECISION:
        return _lost_by_rounding(values, delivered)
    low, high = _whole_numbers(delivered)
    # Both bounds are 0, 2 or a power of two, which a float holds exactly, or infinite if they exceed its range.
    with np.errstate(over="ignore"):
        least, beyond = np.asarray([low, high + 1], np.float64).astype(values.dtype)
    is_held = np.isfinite(values) & (values >= least) & (values < beyond) & (np.trunc(values) == values)
    return np.asarray(~is_held)


def _lost_by_rounding(values: npt.NDArray[Any], delivered: str) -> BoolArray:
    """Floats that become infinite, and complex numbers that lose their imaginary part."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        converted = values.astype(delivered)
    if (values.dtype.kind, converted.dtype.kind) not in _ROUNDED:
        return np.asarray((converted.real != values) & ~np.isnan(values))
    lost = np.isfinite(_parts(values)) & ~np.isfinite(_parts(converted))[..., : _parts(values).shape[-1]]
    return np.asarray(lost.any(axis=-1))


def _parts(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Real and imaginary parts on a new last axis."""
    return np.stack([values.real, values.imag], axis=-1) if values.dtype.kind == "c" else values[..., None]
