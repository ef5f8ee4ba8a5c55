"""Compute the expected values of a field from the stored numbers and the attributes of the file.

This shares no code with the loading of values, so that it finds mistakes there.
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5a, h5t

from h5lightning.core.arrays import BoolArray
from h5lightning.planning.catalog.annotations import Encoding

__all__ = ["decoded_values", "first_wrong", "missing_values"]

Array = npt.NDArray[Any]

# Half a unit in the last place for rounding, and another half for rounding to an intermediate type before.
_ROUNDING = {
    "bfloat16": (2.0**-7, 2.0**-133),
    "float16": (2.0**-10, 2.0**-24),
    "float32": (2.0**-23, 2.0**-149),
}
_ROUNDING |= {"float64": (2.0**-52, 2.0**-1074), "complex64": (2.0**-23, 2.0**-149)}
_ROUNDING |= {"complex128": (2.0**-52, 2.0**-1074)}


def missing_values(dataset: h5py.Dataset, stored: Array, encoding: Encoding) -> BoolArray:
    """Which stored numbers stand for a missing value.

    Args:
        dataset: the dataset with the attributes.
        stored: numbers of its type, in native byte order.
        encoding: the convention, and what is not in its attributes: the fill value of a library, a sign as text, the
            attributes of the sources of a virtual dataset.
    """
    values = _signed(stored, encoding)
    if encoding.kind == "codes":
        low, high = encoding.low, encoding.high
        is_code = np.ones(values.shape, np.bool_) if values.dtype.kind in "iu" else ~np.isnan(values)
        is_code &= (values >= (0 if low is None else low)) & (True if high is None else values <= high)
        return np.asarray(~is_code)
    missing = (
        np.isin(values, np.asarray(encoding.fills)) if encoding.fills else np.zeros(values.shape, np.bool_)
    )
    for name in ("_FillValue", "missing_value"):
        for number in _in_type(dataset, name, values.dtype, encoding):
            missing |= values == number
    low, high = _bounds(dataset, values.dtype, encoding)
    missing |= values < low if low is not None else False
    missing |= values > high if high is not None else False
    return missing


def decoded_values(dataset: h5py.Dataset, stored: Array, encoding: Encoding | None) -> Array:
    """The decoded values in float64, NaN for missing ones; without an encoding, the stored numbers themselves."""
    if encoding is None:
        return stored
    missing = missing_values(dataset, stored, encoding)
    values = _signed(stored, encoding)
    names = ("conversion", "offset") if encoding.kind == "nwb" else ("scale_factor", "add_offset")
    numbers = (_numbers(dataset, name) for name in names)
    scale, offset = (float(values[0]) if values.size else None for values in numbers)
    if dataset.is_virtual and scale is None and offset is None:
        scale, offset = encoding.scale, encoding.offset
    if scale in (None, 1.0) and offset in (None, 0.0) and not missing.any():
        return values
    computed = values.astype(np.float64) * (1.0 if scale is None else scale) + (offset or 0.0)
    return np.where(missing, np.nan, computed)


def first_wrong(values: Array, expected: Array, delivered: str, *, is_exact: bool) -> int | None:
    """The index of the first sample whose delivered values differ from the expected ones by more than rounding.

    Args:
        values: the delivered values, ``(N, …)``; bfloat16 as float32.
        expected: the expected values in any type, ``(N, …)``.
        delivered: name of the type in which values were delivered.
        is_exact: allow no rounding.
    """
    relative, least = (0.0, 0.0) if is_exact else _ROUNDING.get(delivered, (0.0, 0.0))
    wrong = np.zeros(len(values), np.bool_)
    for part, goal in _parts(values, expected):
        with np.errstate(invalid="ignore", over="ignore"):
            is_same = (part == goal) | (np.isnan(part) & np.isnan(goal))
            is_same |= np.abs(part - goal) <= relative * np.abs(goal) + least if relative else False
        wrong |= ~is_same.reshape(len(values), -1).all(axis=1)
    return int(wrong.argmax()) if wrong.any() else None


def _parts(values: Array, expected: Array) -> list[tuple[Array, Array]]:
    """Real and imaginary parts, in a type that represents all 64-bit integers."""
    wide = np.longdouble
    pairs = [(values.real, expected.real)]
    if values.dtype.kind == "c" or expected.dtype.kind == "c":
        pairs.append((values.imag, expected.imag))
    return [(part.astype(wide), goal.astype(wide)) for part, goal in pairs]


def _signed(stored: Array, encoding: Encoding) -> Array:
    if encoding.is_unsigned is None or stored.dtype.kind not in "iu":
        return stored
    return stored.view(f"{'u' if encoding.is_unsigned else 'i'}{stored.dtype.itemsize}")


def _bounds(dataset: h5py.Dataset, dtype: np.dtype[Any], encoding: Encoding) -> tuple[Any, Any]:
    both = _in_type(dataset, "valid_range", dtype, encoding)
    if len(both) == 2:
        return both[0], both[1]
    low, high = (_in_type(dataset, name, dtype, encoding) for name in ("valid_min", "valid_max"))
    if dataset.is_virtual and not low and not high:
        return encoding.low, encoding.high
    return low[0] if low else None, high[0] if high else None


def _in_type(dataset: h5py.Dataset, name: str, dtype: np.dtype[Any], encoding: Encoding) -> list[Any]:
    """The numbers of an attribute that the type of the values can represent, in this type."""
    numbers = []
    for number in _numbers(dataset, name):
        if dtype.kind == "f":
            with np.errstate(over="ignore", under="ignore"):
                value = dtype.type(number)
            # A fill value that overflows is not infinity, and one that underflows is not zero.
            is_lost = np.isinf(value) != np.isinf(number) or (value == 0) != (number == 0)
            if not is_lost or name.startswith("valid_"):
                numbers.append(value)
        elif np.isfinite(number) and number == int(number):
            bits, info = 8 * dtype.itemsize, np.iinfo(dtype)
            if info.min <= int(number) <= info.max:
                numbers.append(dtype.type(int(number)))
            elif encoding.is_unsigned is not None and -(2 ** (bits - 1)) <= int(number) < 2**bits:
                # If the file gives the sign of the values, the attribute may have the same bits with the other sign.
                numbers.append(dtype.type((int(number) - int(info.min)) % 2**bits + int(info.min)))
    return numbers


def _numbers(dataset: h5py.Dataset, name: str) -> Array:
    """The numbers of an attribute; empty if it is text, or absent."""
    key = name.encode()
    if not h5a.exists(dataset.id, key):
        return np.zeros(0)
    attribute = h5a.open(dataset.id, key)
    if attribute.get_type().get_class() not in (h5t.INTEGER, h5t.FLOAT) or attribute.shape is None:
        return np.zeros(0)
    numbers = np.empty(attribute.shape, attribute.dtype.newbyteorder("="))
    attribute.read(numbers)
    return numbers.reshape(-1)
