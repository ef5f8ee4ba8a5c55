"""Find how numbers are decoded by the attributes of their dataset: CF and netCDF, NWB, and the defaults of netCDF."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from h5py import h5a, h5d, h5g, h5t

from h5lightning.planning.catalog.annotations import Encoding, Number
from h5lightning.planning.values.encoded_values import DEFAULT
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.external import encoded
from h5lightning.storage.scanning.conventions.number_attributes import (
    NotNumbersError,
    is_one_number,
    numbers_text,
    read_numbers,
)
from h5lightning.storage.scanning.scanned_dataset import ScannedDataset, dataset_at
from h5lightning.storage.scanning.stored_values import MOST_CHUNK_BYTES, can_be_read, read_rows

__all__ = ["number_encoding"]

Dtype: TypeAlias = np.dtype[Any]

# What the netCDF library stores where nothing was written, by kind and size of the type. Its manual gives bytes no such
# value, since all 256 values are needed.
_DEFAULT_FILLS: dict[str, Number] = {
    "i2": -(2**15) + 1,
    "u2": 2**16 - 1,
    "i4": -(2**31) + 1,
    "u4": 2**32 - 1,
    "i8": -(2**63) + 2,
    "u8": 2**64 - 2,
    "f4": 9.9692099683868690e36,
    "f8": 9.9692099683868690e36,
}


def number_encoding(dataset: ScannedDataset, *, of_netcdf: bool) -> Encoding | None:
    """How the numbers of a dataset are decoded by its attributes; None if the stored numbers are the values.

    A library of netCDF, if it wrote the dataset, filled what was never written.
    """
    return _EncodingBuilder(dataset, of_netcdf=of_netcdf).encoding()


class _EncodingBuilder:
    """Collects what the attributes of one dataset of numbers say."""

    def __init__(self, dataset: ScannedDataset, *, of_netcdf: bool) -> None:
        self._dataset = dataset
        self._did = dataset.info.did
        self._of_netcdf = of_netcdf
        self._names = dataset.info.attributes
        # The parts of complex numbers are not compared: any encoding of them is refused.
        stored = np.dtype(dataset.info.element.dtype).newbyteorder("=")
        self._dtype: Dtype = np.empty(0, stored).real.dtype
        self._is_complex = stored.kind == "c"
        self._said_by: list[str] = []

    def encoding(self) -> Encoding | None:
        kind = "cf"
        try:
            sign = self._sign()
            scale, offset = self._linear("scale_factor", "add_offset")
            if self._is_nwb():
                factors = self._linear("conversion", "offset")
                if factors != (1.0, 0.0) and (scale, offset) != (1.0, 0.0):
                    raise NotNumbersError("has attributes of two conventions: " + ", ".join(self._said_by))
                if factors != (1.0, 0.0):
                    kind, (scale, offset) = "nwb", factors
                self._check_channels()
            fills, (low, high) = self._fills(sign), self._range(sign)
        except NotNumbersError as error:
            return Encoding(kind, said_by=tuple(self._said_by), problem=str(error))
        encoding = Encoding(kind, scale, offset, sign, fills, low, high, tuple(self._said_by))
        if not encoding.is_packed and not encoding.is_masking:
            return None
        if self._is_complex:
            problem = "holds complex numbers, for which these attributes have no meaning"
            return dataclasses.replace(encoding, problem=problem)
        return encoding

    def _numbers(self, name: str, expected: str) -> npt.NDArray[Any] | None:
        """The numbers of an attribute; None if it does not exist."""
        key = name.encode()
        if key not in self._names:
            return None
        try:
            return read_numbers(self._did, key)
        except NotNumbersError as error:
            if self._is_remark(name):
                return None
            raise _wrong(name, str(error), expected) from None

    def _is_remark(self, name: str) -> bool:
        """Whether an attribute is prose, such as ``1 pixel = 2 um``, which no library takes for a number."""
        if h5a.open(self._did, name.encode()).get_type().get_class() != h5t.STRING:
            return False
        return not _are_numbers(str(self._dataset.reader.attribute(self._did, name)))

    def _one_number(self, name: str) -> npt.NDArray[Any] | None:
        """The number of an attribute, ``(1,)``; ``(0,)`` if the attribute is empty."""
        numbers = self._numbers(name, "one number")
        if numbers is not None and numbers.size > 1:
            raise _wrong(name, f"holds {numbers.size} numbers", "one number")
        return numbers

    def _linear(self, scale_name: str, offset_name: str) -> tuple[float, float]:
        """A scale and an offset; 1 and 0 if the file does not say."""
        scale, offset = self._factor(scale_name, 1.0), self._factor(offset_name, 0.0)
        if scale == 0.0:
            raise _wrong(scale_name, "is zero", "a number other than zero")
        return scale, offset

    def _factor(self, name: str, identity: float) -> float:
        numbers = self._numbers(name, "one number")
        if numbers is None or (numbers == identity).all():
            return identity
        if numbers.size > 1:
            raise _wrong(name, f"holds {numbers.size} numbers", "one number")
        number = float(numbers[0])
        if not math.isfinite(number):
            raise _wrong(name, f"is {number}", "a finite number")
        self._said_by.append(numbers_text(name, numbers))
        return number

    def _sign(self) -> bool | None:
        """Whether ``_Unsigned`` reads integers as unsigned; None if it agrees with their type, or is absent."""
        if b"_Unsigned" not in self._names or self._dtype.kind not in "iu":
            return None
        attribute = h5a.open(self._did, b"_Unsigned")
        is_text = attribute.get_type().get_class() == h5t.STRING and attribute.shape in ((), (1,))
        value = self._dataset.reader.attribute(self._did, "_Unsigned") if is_text else ""
        text = str(value[0] if isinstance(value, list) else value).rstrip("\0 ").lower()
        if text not in ("true", "false"):
            raise _wrong("_Unsigned", f"is {text!r}" if is_text else "is no text", "'true' or 'false'")
        if (text == "true") == (self._dtype.kind == "u"):
            return None
        self._said_by.append(f"_Unsigned={text}")
        return text == "true"

    def _is_nwb(self) -> bool:
        factors = [name for name in (b"conversion", b"offset") if name in self._names]
        if not factors:
            return False
        group = h5g.open(self._dataset.fid, encoded(self._dataset.group))
        if b"neurodata_type" in self._names or h5a.exists(group, b"neurodata_type"):
            return True
        # Other programs use these names for the position of a volume: one number for each axis, or prose.
        return b"unit" in self._names and all(is_one_number(self._did, name) for name in factors)

    def _check_channels(self) -> None:
        """Raise unless all factors are one that NWB stores for each channel, in a dataset beside ``data``."""
        dataset = self._dataset
        path = f"{dataset.group}/channel_conversion"
        did = dataset_at(dataset.fid, path) if dataset.name == "data" and dataset.group else None
        if did is None:
            return
        info = DatasetInfo.of(did)
        if can_be_read(info) and info.chunk_bytes <= MOST_CHUNK_BYTES:
            factors = read_rows(info, 0, info.shape[0] if info.shape else 1)
            if (factors == 1).all():
                return
        raise NotNumbersError(
            f"has a factor for each channel in '/{path}', which decode='cf' does not apply: "
            "read the stored numbers, and multiply in a transform"
        )

    def _fills(self, sign: bool | None) -> tuple[Number, ...]:
        fills: dict[Number, None] = {}
        for name in ("_FillValue", "missing_value"):
            numbers = self._numbers(name, "numbers")
            stored = [] if numbers is None else [_as_stored(number, self._dtype, sign) for number in numbers]
            if possible := [number for number in stored if number is not None]:
                fills |= dict.fromkeys(possible)
                self._said_by.append(numbers_text(name, np.asarray(numbers)))
        if sign is None and (default := self._default_fill()) is not None:
            fills[default] = None
            self._said_by.append(f"_FillValue={self._dtype.type(default)!s} {DEFAULT}")
        return tuple(fills)

    def _default_fill(self) -> Number | None:
        """What the netCDF library fills with, if it wrote the dataset and no fill value was given."""
        default = _DEFAULT_FILLS.get(self._dtype.str[1:])
        if default is None or not self._of_netcdf or b"_FillValue" in self._names or self._is_complex:
            return None
        plist = self._dataset.info.plist
        if plist.fill_value_defined() != h5d.FILL_VALUE_USER_DEFINED:
            return None
        fill = np.zeros((), self._dtype)
        plist.get_fill_value(fill)
        if fill != self._dtype.type(default):
            return None
        return _as_stored(np.asarray(default, self._dtype), self._dtype, None)

    def _range(self, sign: bool | None) -> tuple[Number | None, Number | None]:
        """Bounds of valid stored numbers, applied as netCDF4-python does."""
        both = self._numbers("valid_range", "two numbers")
        if both is not None and both.size:
            if both.size != 2:
                raise _wrong("valid_range", f"holds {both.size} numbers", "two numbers")
            low, high = (_as_stored(number, self._dtype, sign) for number in both)
            if self._dtype.kind == "f" or (low is not None and high is not None):
                return self._effective("valid_range", both, low, high, sign)
        minimum, maximum = self._one_number("valid_min"), self._one_number("valid_max")
        low, _ = self._effective("valid_min", minimum, self._bound(minimum, sign), None, sign)
        _, high = self._effective("valid_max", maximum, None, self._bound(maximum, sign), sign)
        return low, high

    def _bound(self, numbers: npt.NDArray[Any] | None, sign: bool | None) -> Number | None:
        return None if numbers is None or not numbers.size else _as_stored(numbers[0], self._dtype, sign)

    def _effective(
        self,
        name: str,
        numbers: npt.NDArray[Any] | None,
        low: Number | None,
        high: Number | None,
        sign: bool | None,
    ) -> tuple[Number | None, Number | None]:
        """The bounds, without those that no number of the type can exceed."""
        least, largest = _limits(self._dtype, sign)
        low = None if low is None or low <= least else low
        high = None if high is None or high >= largest else high
        if numbers is not None and (low is not None or high is not None):
            self._said_by.append(numbers_text(name, numbers))
        return low, high


def _are_numbers(text: str) -> bool:
    """Whether a text holds only numbers, one or a list of them."""
    words = re.split(r"[\s\[\](),;'\"\0]+", text)
    try:
        return bool([float(word) for word in words if word])
    except ValueError:
        return False


def _wrong(name: str, what: str, expected: str) -> NotNumbersError:
    return NotNumbersError(f"has an attribute {name!r} that {what}, expected {expected}")


def _as_stored(number: Any, dtype: Dtype, sign: bool | None) -> Number | None:
    """A number of an attribute as a number of the stored type, read with a sign; None if it cannot occur."""
    value: Number = number.item()
    if dtype.kind == "f":
        return _as_float(float(value), dtype)
    if not math.isfinite(value) or value != int(value):
        return None
    value, bits = int(value), 8 * dtype.itemsize
    if sign is None:
        least, largest = _limits(dtype, None)
        return value if least <= value <= largest else None
    # Such attributes have the sign of the stored type or of the decoded one: the bits are the same.
    if not -(2 ** (bits - 1)) <= value < 2**bits:
        return None
    value %= 2**bits
    return value - 2**bits if not sign and value >= 2 ** (bits - 1) else value


def _as_float(value: float, dtype: Dtype) -> Number | None:
    with np.errstate(over="ignore", under="ignore"):
        rounded = float(dtype.type(value))
    is_lost = math.isinf(rounded) != math.isinf(value) or (rounded == 0.0) != (value == 0.0)
    return None if math.isnan(value) or is_lost else rounded


def _limits(dtype: Dtype, sign: bool | None) -> tuple[Number, Number]:
    """The least and the largest number of a type, read with a sign."""
    if dtype.kind == "f":
        return -math.inf, math.inf
    info = np.iinfo(dtype if sign is None else np.dtype(f"{'u' if sign else 'i'}{dtype.itemsize}"))
    return int(info.min), int(info.max)
