"""Numbers of samples that a user passes → an int64 array, or an error that names the value.

*Positions* count inside one split, *ids* over the whole index. Both must be integers. NumPy would convert nearly
everything to integers: a mask, 0.9, the text "3".
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array

__all__ = ["to_number", "to_numbers"]

_INT64 = np.dtype(np.int64)
_LARGEST = 2**63 - 1
_MASK_HINT = ". A mask is not a list of numbers: use numpy.flatnonzero(mask)"


def to_numbers(given: object, name: str, *, ndim: int | None = 1, allow_scalar: bool = False) -> Int64Array:
    """Numbers of samples as int64.

    Args:
        given: Python, NumPy or torch integers in a list, a range, an array or a tensor on any device.
        name: the plural for the error: ``positions`` or ``ids``.
        ndim: required number of axes; None for any.
        allow_scalar: accept a single number as an array of one.

    Returns:
        int64, ``(N,)``. The caller checks that such samples exist.

    Raises:
        TypeError: a mask, floats, text, None, or a wrong number of axes.
        IndexError: a number does not fit int64.
    """
    if type(given) is np.ndarray and given.dtype == _INT64 and given.ndim == ndim:
        return given
    array = _as_array(given, name) if ndim is not None else _of_any_shape(given, name)
    if ndim == 1 and allow_scalar and array.ndim == 0:
        array = array.reshape(1)
    if ndim is not None and array.ndim != ndim:
        raise _refused(name, _describe(given, array))
    if array.dtype == np.uint64 and array.size and int(array.max()) > _LARGEST:
        raise _too_large(name, int(array.max()))
    return array.astype(_INT64, copy=False)


def to_number(given: object, name: str) -> int:
    """One number, from a Python or NumPy integer, or an integer tensor or array without axes.

    Raises:
        TypeError: the value, ``name`` in the error, is something else.
    """
    number = _index_of(given)
    if number is None:
        raise TypeError(f"the {name} must be a whole number, found {_describe_one(given)}")
    return number


def _as_array(given: object, name: str) -> npt.NDArray[Any]:
    """An array of an integer type, of any shape."""
    if isinstance(given, range):
        return _from_range(given, name)
    if isinstance(given, (list, tuple)):
        return _from_items(given, name)
    array = _from_array_like(given, name)
    if array is not None:
        return array
    number = _index_of(given)
    if number is not None:
        return _from_items([number], name).reshape(())
    if isinstance(given, Sequence) and not isinstance(given, (str, bytes, bytearray, memoryview)):
        return _from_items(list(given), name)
    raise _refused(name, _describe_one(given))


def _of_any_shape(given: object, name: str) -> npt.NDArray[Any]:
    if not isinstance(given, (list, tuple)) or not any(isinstance(item, (list, tuple)) for item in given):
        return _as_array(given, name)
    rows = [_of_any_shape(item, name) for item in given]
    if len({row.shape for row in rows}) > 1:
        raise _refused(name, "lists of different length")
    return np.stack(rows)


def _from_range(given: range, name: str) -> Int64Array:
    for end in (given[0], given[-1]) if given else ():
        if not -_LARGEST <= end <= _LARGEST:
            raise _too_large(name, end)
    # The stop of arange might not fit int64.
    return np.arange(len(given), dtype=_INT64) * given.step + given[0] if given else np.zeros(0, _INT64)


def _from_items(items: Sequence[object], name: str) -> Int64Array:
    if set(map(type, items)) - {int}:  # a million of them in 20 ms
        numbers = [_index_of(item) for item in items]
        if None in numbers:
            raise _refused(name, f"{_describe_one(items[numbers.index(None)])} among them")
        items = cast("list[object]", numbers)
    try:
        return np.asarray(items, dtype=_INT64)
    except OverflowError:
        raise _too_large(name, max(cast("list[int]", items), key=abs)) from None


def _from_array_like(given: object, name: str) -> npt.NDArray[Any] | None:
    """The array that NumPy or torch sees in the value; None if it is no array."""
    if isinstance(given, np.ma.MaskedArray):
        raise _refused(name, "a masked array, which may hide some of them")
    tensor: Any = given
    try:
        if hasattr(given, "detach") and hasattr(given, "cpu"):
            array = np.asarray(tensor.detach().cpu())
        elif hasattr(given, "__array__") or hasattr(given, "typecode"):  # an array of the standard library
            array = np.asarray(given)
        else:
            return None
    except (TypeError, RuntimeError):  # bfloat16, a tensor without values
        raise _refused(name, _describe_one(given)) from None
    if array.dtype.kind == "O" and array.ndim == 1:
        return _from_items(array.tolist(), name)
    if array.dtype.kind not in "iu":
        raise _refused(name, _describe(given, array))
    return array


def _index_of(given: object) -> int | None:
    """The integer that an object stands for; None if it stands for none."""
    # To Python a bool is an integer, to torch a tensor of one bool too: a mask of one row would become index 1.
    if isinstance(given, (bool, np.bool_)) or "bool" in str(getattr(given, "dtype", "")):
        return None
    if getattr(given, "shape", ()) != ():
        return None
    try:
        return operator.index(cast("Any", given))
    except (TypeError, RuntimeError):
        return None


def _refused(name: str, found: str) -> TypeError:
    hint = _MASK_HINT if "bool" in found else ""
    return TypeError(f"{name} must be whole numbers, (N,), such as [0, 5, 7]; found {found}{hint}")


def _too_large(name: str, found: int) -> IndexError:
    return IndexError(f"{name} must be numbers of samples, found {found}, which does not fit int64")


def _describe(given: object, array: npt.NDArray[Any]) -> str:
    kind = "tensor" if hasattr(given, "detach") else "array" if hasattr(given, "__array__") else "list"
    if array.ndim == 0:
        return f"one number, {_describe_one(given)}" if array.dtype.kind in "iu" else _describe_one(given)
    return (
        f"{array.dtype.name} values in a{'n' if kind == 'array' else ''} {kind} of shape {tuple(array.shape)}"
    )


def _describe_one(given: object) -> str:
    if isinstance(given, (str, bytes)):
        return f"the text {given!r}"
    if isinstance(given, (bool, np.bool_)):
        return f"the bool {given}"
    shown = " ".join(repr(given).split())
    shown = shown if len(shown) <= 60 else f"{shown[:57]}…"
    return shown if given is None else f"{shown} ({type(given).__name__})"
