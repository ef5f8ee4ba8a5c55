"""Numbers of every stored type at its edges, and what they are by exact arithmetic."""

from __future__ import annotations

import math

import numpy as np

INTEGERS = [f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)]
FLOATS = ["f2", "f4", "f8"]
DELIVERED = ["float16", "float32", "float64"]
SIGNS = [None, True, False]


def edges(dtype):
    """Numbers of a type where comparisons and roundings go wrong."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        info = np.finfo(kind)
        numbers = [
            0.0,
            -0.0,
            1.0,
            -1.5,
            0.1,
            255.0,
            65504.0,
            info.max,
            info.min,
            info.tiny,
            math.inf,
            -math.inf,
        ]
        return np.array([*numbers, math.nan], kind)
    info = np.iinfo(kind)
    near = {0, 1, 2, 127, 128, 200, 255, 2**15, 2**24 + 1, 2**53 + 1, 2**63 - 1, info.max - 1, info.max}
    near |= {-1, -2, -128, info.min, info.min + 1, -(2**24) - 1, -(2**53) - 1}
    return np.array(sorted(number for number in near if info.min <= number <= info.max), kind)


def as_python(number, is_unsigned):
    """The value of a stored number, with the sign that was asked for, by arithmetic."""
    value = number.item()
    bits = 8 * number.dtype.itemsize
    if is_unsigned and number.dtype.kind == "i":
        return value % 2**bits
    if is_unsigned is False and number.dtype.kind == "u" and value >= 2 ** (bits - 1):
        return value - 2**bits
    return value


def sign_of(dtype, is_unsigned):
    return is_unsigned if np.dtype(dtype).kind in "iu" else None
