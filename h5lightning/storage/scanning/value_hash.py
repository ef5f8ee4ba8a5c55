"""Hash values block by block: equal values have equal hashes, whatever their width, byte order and chunks are."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import xxhash

from h5lightning.core.arrays import Float64Array

__all__ = ["ValueHash", "canonical_floats", "hash_for", "kind_of"]

_LARGEST_EXACT = 2**53  # of the integers that float64 can hold


class ValueHash:
    """The hash of a run of values, here by their bytes; where the run is cut into blocks changes nothing."""

    def __init__(self) -> None:
        self._state = xxhash.xxh3_128()

    def update(self, block: npt.NDArray[Any]) -> None:
        """Add the next values."""
        self._state.update(block.tobytes())

    def digest(self) -> str:
        """The hash of all values so far."""
        return self._state.hexdigest()


def hash_for(dtype: np.dtype[Any]) -> ValueHash:
    """An empty hash for values of a type that h5py reads."""
    if dtype.subdtype is not None:
        return hash_for(dtype.subdtype[0])
    if dtype.names is not None:
        return _TableHash(dtype)
    if _is_text(dtype):
        return _TextHash()
    if (items := h5py.check_vlen_dtype(dtype)) is not None:
        return _ListHash(np.dtype(items))
    return _NumberHash() if _is_number(dtype) else ValueHash()


def kind_of(dtype: np.dtype[Any]) -> str:
    """What values of a type are, without width and byte order, such as ``numbers`` or ``lists of text``."""
    if dtype.subdtype is not None:
        return f"{dtype.subdtype[1]} {kind_of(dtype.subdtype[0])}"
    if dtype.names is not None:
        columns = (f"{name}: {kind_of(dtype[name])}" for name in sorted(dtype.names))
        return f"compound {{{', '.join(columns)}}}"
    if _is_text(dtype):
        return "text"
    if (items := h5py.check_vlen_dtype(dtype)) is not None:
        return f"lists of {kind_of(np.dtype(items))}"
    if (names := h5py.check_enum_dtype(dtype)) is not None:
        listed = sorted((int(value), name) for name, value in names.items())
        return f"enumeration {{{', '.join(f'{name}={value}' for value, name in listed)}}}"
    if _is_number(dtype):
        return "complex numbers" if dtype.kind == "c" else "numbers"
    return f"bytes of {dtype.str}"


def canonical_floats(numbers: npt.NDArray[Any]) -> Float64Array:
    """Numbers as float64, with one bit pattern for NaN and one for zero."""
    floats = numbers.astype(np.float64) + 0.0  # -0.0 + 0.0 is 0.0
    floats[np.isnan(floats)] = np.nan
    return floats


def _is_text(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "S" or h5py.check_string_dtype(dtype) is not None


def _is_number(dtype: np.dtype[Any]) -> bool:
    part_bytes = dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
    return dtype.kind in "biufc" and part_bytes <= 8


class _NumberHash(ValueHash):
    """Numbers by value: as float64, with the difference that is lost for large integers."""

    def __init__(self) -> None:
        self._floats, self._differences, self._count = xxhash.xxh3_128(), xxhash.xxh3_128(), 0

    def update(self, block: npt.NDArray[Any]) -> None:
        numbers = np.ascontiguousarray(block).reshape(-1)
        if numbers.dtype.kind == "c":
            numbers = numbers.astype(np.complex128).view(np.float64)
        floats = canonical_floats(numbers)
        self._floats.update(floats.data)
        if numbers.dtype.kind in "iu" and numbers.dtype.itemsize == 8:
            for index in np.flatnonzero(np.abs(floats) >= _LARGEST_EXACT).tolist():
                if difference := int(numbers[index]) - int(floats[index]):
                    self._differences.update(f"{self._count + index} {difference};".encode())
        self._count += numbers.size

    def digest(self) -> str:
        return self._floats.hexdigest() + self._differences.hexdigest()


class _TextHash(ValueHash):
    """Text by its bytes, whether its length is fixed or variable."""

    def update(self, block: npt.NDArray[Any]) -> None:
        for text in block.reshape(-1).tolist():
            raw = text if isinstance(text, bytes) else str(text).encode("utf-8", "surrogateescape")
            self._state.update(b"%d:%b" % (len(raw), raw))


class _ListHash(ValueHash):
    """Lists of numbers, of any length."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._items, self._lengths = hash_for(dtype), xxhash.xxh3_128()

    def update(self, block: npt.NDArray[Any]) -> None:
        for item in block.reshape(-1).tolist():
            self._items.update(np.asarray(item))
            self._lengths.update(b"%d;" % len(item))

    def digest(self) -> str:
        return self._items.digest() + self._lengths.hexdigest()


class _TableHash(ValueHash):
    """Each column by itself, in the order of their names."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._columns = {name: hash_for(dtype[name]) for name in sorted(dtype.names or ())}

    def update(self, block: npt.NDArray[Any]) -> None:
        for name, column in self._columns.items():
            column.update(block[name])

    def digest(self) -> str:
        parts = (f"{name}:{column.digest()};" for name, column in self._columns.items())
        return xxhash.xxh3_128("".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
