"""Which stored numbers stand for missing values: the same functions decide for the scan and for reading.

Numbers are compared in the stored type, in native byte order and of any shape.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray
from h5lightning.planning.catalog.annotations import Encoding, Number

__all__ = ["DEFAULT", "as_read", "first_missing", "is_missing", "missing_text"]

# Ends an entry of `Encoding.said_by` that is not in the file, but a default of the library that wrote it.
DEFAULT = "(the default of netCDF)"

Array = npt.NDArray[Any]

_BLOCK_BYTES = 1024 * 1024  # so that intermediate results fit the processor's cache


def as_read(values: Array, encoding: Encoding) -> Array:
    """The stored integers as signed or unsigned, as their encoding says; a view."""
    if encoding.is_unsigned is None or values.dtype.kind not in "iu":
        return values
    kind = "u" if encoding.is_unsigned else "i"
    return values.view(f"{kind}{values.dtype.itemsize}")


def is_missing(values: Array, encoding: Encoding) -> BoolArray:
    """Whether each stored number stands for a missing value."""
    found = np.zeros(values.shape, np.bool_)
    if _masks(encoding):
        flat = found.reshape(-1)
        for start, block in _blocks(values, encoding):
            flat[start : start + block.size] = _missing(block, encoding)
    return found


def first_missing(values: Array, encoding: Encoding) -> tuple[int, ...] | None:
    """Index of the first number that stands for a missing value; None if there is none."""
    if not _masks(encoding):
        return None
    for start, block in _blocks(values, encoding):
        missing = _missing(block, encoding)
        if missing.any():
            first = start + int(missing.argmax())
            return tuple(int(number) for number in np.unravel_index(first, values.shape))
    return None


def missing_text(number: Any, encoding: Encoding) -> str:
    """Text about a NumPy scalar that stands for a missing value: ``holds 1e+20, which _FillValue marks as missing``."""
    read = as_read(np.asarray(number), encoding)[()]
    is_fill = any(read == fill for fill in encoding.fills)
    names = ("_FillValue", "missing_value") if is_fill else ("valid_", "categories")
    sources = [_source_text(text) for text in encoding.said_by if text.startswith(names)]
    # The format of an f-string would show a float32 as a float64.
    source = f"{' and '.join(sources) or encoding.kind} {'mark' if sources[1:] else 'marks'}"
    return f"holds {read!s}, which {source} as missing"


def _source_text(text: str) -> str:
    name = text.partition("=")[0]
    return f"the default {name} of netCDF" if text.endswith(DEFAULT) else name


def _masks(encoding: Encoding) -> bool:
    return encoding.is_masking or encoding.kind == "codes"


def _blocks(values: Array, encoding: Encoding) -> Iterator[tuple[int, Array]]:
    """Blocks of the flattened numbers with their declared sign, each with its offset."""
    flat = as_read(values, encoding).reshape(-1)
    step = _BLOCK_BYTES // flat.itemsize
    for start in range(0, flat.size, step):
        yield start, flat[start : start + step]


def _missing(block: Array, encoding: Encoding) -> BoolArray:
    found: BoolArray | None = None
    for fill in encoding.fills:
        if (number := _held(fill, block.dtype)) is not None:
            found = _either(found, block == number)
    found = _either(found, _outside(block, encoding.low, encoding.high))
    if encoding.kind == "codes" and block.dtype.kind == "f":
        found = _either(found, np.isnan(block))
    return np.zeros(block.shape, np.bool_) if found is None else found


def _either(found: BoolArray | None, more: BoolArray | None) -> BoolArray | None:
    if found is None or more is None:
        return more if found is None else found
    return np.logical_or(found, more, out=found)


def _held(number: Number, dtype: np.dtype[Any]) -> Any:
    """The number in a type; None if an integer type cannot hold it."""
    if dtype.kind not in "iu":
        return dtype.type(number)
    info = np.iinfo(dtype)
    is_held = info.min <= number <= info.max and number == int(number)
    return dtype.type(int(number)) if is_held else None


def _outside(block: Array, low: Number | None, high: Number | None) -> BoolArray | None:
    """Whether numbers lie below ``low`` or above ``high``; None if no number of their type does."""
    if block.dtype.kind in "iu":
        info = np.iinfo(block.dtype)
        if (low is not None and low > info.max) or (high is not None and high < info.min):
            return np.ones(block.shape, np.bool_)
        # In integers: ``low`` is rounded up, ``high`` down.
        low = None if low is None or low <= info.min else -int(-low // 1)
        high = None if high is None or high >= info.max else int(high // 1)
    below = None if low is None else np.asarray(block < block.dtype.type(low))
    above = None if high is None else np.asarray(block > block.dtype.type(high))
    return _either(below, above)
