"""Read attributes that are numbers, in the type in which the file stores them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from h5py import h5a, h5d, h5t

from h5lightning.storage.hdf5.dtypes import element_type

__all__ = ["NotNumbersError", "is_one_number", "numbers_text", "read_numbers"]

# With these types at hand, reading is three times as fast: h5py would look them up.
_NATIVE = {
    "i1": h5t.NATIVE_INT8,
    "i2": h5t.NATIVE_INT16,
    "i4": h5t.NATIVE_INT32,
    "i8": h5t.NATIVE_INT64,
    "u1": h5t.NATIVE_UINT8,
    "u2": h5t.NATIVE_UINT16,
    "u4": h5t.NATIVE_UINT32,
    "u8": h5t.NATIVE_UINT64,
    "f2": h5t.py_create(np.dtype("f2")),
    "f4": h5t.NATIVE_FLOAT,
    "f8": h5t.NATIVE_DOUBLE,
}
_MOST_NUMBERS = 1024
_MOST_SHOWN = 4


class NotNumbersError(Exception):
    """An attribute is not a number; the message says what it is."""


def read_numbers(did: h5d.DatasetID, name: bytes) -> npt.NDArray[Any]:
    """The numbers of an attribute that exists, flat; none if it is empty.

    Raises:
        NotNumbersError: it holds other values, or too many.
    """
    attribute = h5a.open(did, name)
    shape = attribute.shape
    if shape is None or 0 in shape:
        return np.empty(0)
    tid = attribute.get_type()
    if tid.get_class() == h5t.ENUM and element_type(tid).categories:
        tid = tid.get_super()  # such as the fill value of an enumeration
    if tid.get_class() not in (h5t.INTEGER, h5t.FLOAT):
        raise NotNumbersError("is text" if tid.get_class() == h5t.STRING else "is no number")
    element = element_type(tid)
    if element.refusal:
        raise NotNumbersError(element.refusal)
    if math.prod(shape) > _MOST_NUMBERS:
        raise NotNumbersError(f"has shape {shape}")
    numbers = np.empty(shape, np.dtype(element.dtype).newbyteorder("="))
    attribute.read(numbers, _NATIVE[numbers.dtype.str[1:]])
    return numbers.reshape(-1)


def is_one_number(did: h5d.DatasetID, name: bytes) -> bool:
    """Whether an attribute that exists holds a single number."""
    attribute = h5a.open(did, name)
    shape = attribute.shape
    is_number = attribute.get_type().get_class() in (h5t.INTEGER, h5t.FLOAT)
    return is_number and shape is not None and math.prod(shape) == 1


def numbers_text(name: str, numbers: npt.NDArray[Any]) -> str:
    """An attribute as text, such as ``scale_factor=0.01``, with as few digits as its type needs."""
    shown = [str(number) for number in numbers[:_MOST_SHOWN]]
    if numbers.size > _MOST_SHOWN:
        shown.append("…")
    return f"{name}={shown[0]}" if numbers.size == 1 else f"{name}=[{', '.join(shown)}]"
