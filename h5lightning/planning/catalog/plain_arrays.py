"""Arrays of bytes and of integers as text, for JSON."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["arrays_of", "little_endian", "plain_of"]


def little_endian(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Bytes as uint8, and all other arrays as int64, little-endian."""
    return {
        name: array.astype("u1" if array.dtype == np.uint8 else "<i8", copy=False)
        for name, array in arrays.items()
    }


def plain_of(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, str]:
    """`little_endian` arrays as text; the names of those of bytes end with ``bytes``."""
    return {name: b64encode(array.tobytes()).decode() for name, array in arrays.items()}


def arrays_of(plain: Mapping[str, str]) -> dict[str, npt.NDArray[Any]]:
    """The arrays that `plain_of` wrote, one axis each."""
    return {
        name: np.frombuffer(b64decode(text), "u1" if name.endswith("bytes") else "<i8")
        for name, text in plain.items()
    }
