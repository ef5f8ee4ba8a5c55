"""What the attributes of a dataset of numbers say: CF and netCDF, NWB, and what netCDF leaves unsaid → `Encoding`."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from h5py import h5a, h5d, h5f, h5g, h5t

from h5lightning.planning.catalog.annotations import Encoding, Number
from h5lightning.planning.values.encoded_values import DEFAULT
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.external import encoded
from h5lightning.storage.scanning.conventions.category_tables import beside
from h5lightning.storage.scanning.conventions.number_attributes import (
    NotNumbersError,
    is_one_number,
    numbers_text,
    read_numbers,
)
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.stored_values import MOST_CHUNK_BYTES, can_be_read, read_rows

__all__ = ["number_encoding"]

Dtype: TypeAlias = np.dtype[Any]

# What the library of netCDF writes where nothing was written, by kind and size of the type. Bytes have too few values
# for one of them to mean nothing, says its manual.
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


def number_encoding(
    fid: h5f.FileID, opened: DatasetInfo, path: str, values: ValueReader, *, of_netcdf: bool
) -> Encoding | None:
    """What the attributes of a dataset say of its numbers; None where those stand for themselves.

    Args:
        fid: the open file.
        opened: a dataset of numbers.
        path: its path, without a leading slash.
        values: what reads text.
        of_netcdf: a library of netCDF wrote it, and so filled what was never written.
    """
    return _Reading(fid, opened, path, values, of_netcdf=of_netcdf).encoding()


class _Reading:
    """Collects what the attributes of one dataset of numbers say."""

    def __init__(
        self, fid: h5f.FileID, opened: DatasetInfo, path: str, values: ValueReader, *, of_netcdf: bool
    ) -> None:
        self._fid = fid
        self._opened = opened
        self._path = path
        self._values = values
        self._of_netcdf = of_netcdf
        self._names = opened.attributes
        # The parts of complex numbers are held against nothing: that there is something to say is enough.
        stored = np.dtype(opened.element.dtype).newbyteorder("=")
        self._dtype: Dtype = np.empty(0, stored).real.dtype
        self._is_complex = stored.kind == "c"
        self._said: list[str] = []

    def encoding(self) -> Encoding | None:
        kind = "cf"
        try:
            sign = self._sign()
            scale, offset = self._linear("scale_factor", "add_offset")
            if self._is_nwb():
                factors = self._linear("conversion", "offset")
                if factors != (1.0, 0.0) and (scale, offset) != (1.0, 0.0):
                    raise NotNumbersError("has attributes of two conventions: " + ", ".join(self._said))
                kind = "cf" if factors == (1.0, 0.0) else "nwb"
                scale, offset = (scale, offset) if factors == (1.0, 0.0) else factors
                self._check_channels()
            fills, (low, high) = self._fills(sign), self._range(sign)
        except NotNumbersError as error:
            return Encoding(kind, said_by=tuple(self._said), problem=str(error))
        found = Encoding(kind, scale, offset, sign, fills, low, high, tuple(self._said))
        if not found.is_packed and not found.is_masking:
            return None
        if self._is_complex:
            problem = "holds complex numbers, for which these attributes have no meaning"
            return dataclasses.replace(found, problem=problem)
        return found

    def _numbers(self, name: str, expected: str) -> npt.NDArray[Any] | None:
        """The numbers of an attribute; None if there is none of that name."""
        key = name.encode()
        if key not in self._names:
            return None
        try:
            return read_numbers(self._opened.did, key)
        except NotNumbersError as error:
            if self._is_remark(name):
                return None
            raise _wrong(name, str(error), expected) from None

    def _is_remark(self, name: str) -> bool:
        """Whether an attribute is words, such as ``1 pixel = 2 um``, which no library takes for a number."""
        if h5a.open(self._opened.did, name.encode()).get_type().get_class() != h5t.STRING:
            return False
        return not _are_numbers(str(self._values.attribute(self._opened.did, name)))

    def _one(self, name: str) -> npt.NDArray[Any] | None:
        """An attribute of one number, or of none."""
        found = self._numbers(name, "one number")
        if found is not None and found.size > 1:
            raise _wrong(name, f"holds {found.size} numbers", "one number")
        return found

    # ── packing ──────────────────────────────────────────────────────────────────────────────────────

    def _linear(self, scale_name: str, offset_name: str) -> tuple[float, float]:
        """A scale and an offset; 1 and 0 where the file does not say."""
        scale, offset = self._factor(scale_name, 1.0), self._factor(offset_name, 0.0)
        if scale == 0.0:
            raise _wrong(scale_name, "is zero", "a number other than zero")
        return scale, offset

    def _factor(self, name: str, identity: float) -> float:
        found = self._numbers(name, "one number")
        if found is None or (found == identity).all():
            return identity
        if found.size > 1:
            raise _wrong(name, f"holds {found.size} numbers", "one number")
        number = float(found[0])
        if not math.isfinite(number):
            raise _wrong(name, f"is {number}", "a finite number")
        self._said.append(numbers_text(name, found))
        return number

    def _sign(self) -> bool | None:
        """What ``_Unsigned`` says of integers, if it is other than what their type says."""
        if b"_Unsigned" not in self._names or self._dtype.kind not in "iu":
            return None
        attribute = h5a.open(self._opened.did, b"_Unsigned")
        is_text = attribute.get_type().get_class() == h5t.STRING and attribute.shape in ((), (1,))
        read = self._values.attribute(self._opened.did, "_Unsigned") if is_text else ""
        text = str(read[0] if isinstance(read, list) else read).rstrip("\0 ").lower()
        if text not in ("true", "false"):
            raise _wrong("_Unsigned", f"is {text!r}" if is_text else "is no text", "'true' or 'false'")
        if (text == "true") == (self._dtype.kind == "u"):
            return None
        self._said.append(f"_Unsigned={text}")
        return text == "true"

    def _is_nwb(self) -> bool:
        names = self._names
        found = [name for name in (b"conversion", b"offset") if name in names]
        if not found:
            return False
        parent = encoded(self._path.rpartition("/")[0])
        if b"neurodata_type" in names or h5a.exists(h5g.open(self._fid, parent), b"neurodata_type"):
            return True
        # Others name the place of a volume like that, by a number for each axis, or in words.
        return b"unit" in names and all(is_one_number(self._opened.did, name) for name in found)

    def _check_channels(self) -> None:
        """Factors of its channels, which NWB keeps in a dataset beside ``data``, must all be one."""
        parent, _, leaf = self._path.rpartition("/")
        path = f"{parent}/channel_conversion"
        found = beside(self._fid, path) if leaf == "data" and parent else None
        if found is None:
            return
        factors = DatasetInfo.of(found)
        if can_be_read(factors) and factors.chunk_bytes <= MOST_CHUNK_BYTES:
            read = read_rows(factors, 0, factors.shape[0] if factors.shape else 1)
            if (read == 1).all():
                return
        raise NotNumbersError(
            f"has a factor for each channel in '/{path}', which decode='cf' does not know: "
            "ask for the stored numbers, and multiply in a transform"
        )

    # ── missing values ───────────────────────────────────────────────────────────────────────────────

    def _fills(self, sign: bool | None) -> tuple[Number, ...]:
        found: dict[Number, None] = {}
        for name in ("_FillValue", "missing_value"):
            numbers = self._numbers(name, "numbers")
            held = [] if numbers is None else [_held(number, self._dtype, sign) for number in numbers]
            if kept := [number for number in held if number is not None]:
                found |= dict.fromkeys(kept)
                self._said.append(numbers_text(name, np.asarray(numbers)))
        if sign is None and (default := self._default_fill()) is not None:
            found[default] = None
            self._said.append(f"_FillValue={self._dtype.type(default)!s} {DEFAULT}")
        return tuple(found)

    def _default_fill(self) -> Number | None:
        """What the library of netCDF fills with, if it wrote the dataset and nothing else was said."""
        default = _DEFAULT_FILLS.get(self._dtype.str[1:])
        if default is None or not self._of_netcdf or b"_FillValue" in self._names or self._is_complex:
            return None
        plist = self._opened.plist
        if plist.fill_value_defined() != h5d.FILL_VALUE_USER_DEFINED:
            return None
        fill = np.zeros((), self._dtype)
        plist.get_fill_value(fill)
        return (
            _held(np.asarray(default, self._dtype), self._dtype, None)
            if fill == self._dtype.type(default)
            else None
        )

    def _range(self, sign: bool | None) -> tuple[Number | None, Number | None]:
        """Bounds of valid numbers, held against stored ones as netCDF4-python does it."""
        both = self._numbers("valid_range", "two numbers")
        if both is not None and both.size:
            if both.size != 2:
                raise _wrong("valid_range", f"holds {both.size} numbers", "two numbers")
            held = [_held(number, self._dtype, sign) for number in both]
            if self._dtype.kind == "f" or None not in held:
                return self._kept("valid_range", both, held[0], held[1], sign)
        ends = [self._one("valid_min"), self._one("valid_max")]
        low, high = (
            None if end is None or not end.size else _held(end[0], self._dtype, sign) for end in ends
        )
        low, _ = (None, None) if ends[0] is None else self._kept("valid_min", ends[0], low, None, sign)
        _, high = (None, None) if ends[1] is None else self._kept("valid_max", ends[1], None, high, sign)
        return low, high

    def _kept(
        self,
        name: str,
        numbers: npt.NDArray[Any],
        low: Number | None,
        high: Number | None,
        sign: bool | None,
    ) -> tuple[Number | None, Number | None]:
        """The bounds without those that all numbers of the type keep to."""
        least, largest = _ends(self._dtype, sign)
        low = None if low is None or low <= least else low
        high = None if high is None or high >= largest else high
        if low is not None or high is not None:
            self._said.append(numbers_text(name, numbers))
        return low, high


def _are_numbers(text: str) -> bool:
    """Whether a text holds nothing but numbers, one or a list of them."""
    words = re.split(r"[\s\[\](),;'\"\0]+", text)
    try:
        return bool([float(word) for word in words if word])
    except ValueError:
        return False


def _wrong(name: str, what: str, expected: str) -> NotNumbersError:
    return NotNumbersError(f"has an attribute {name!r} that {what}, expected {expected}")


def _held(number: Any, dtype: Dtype, sign: bool | None) -> Number | None:
    """A number of an attribute as one of the stored type, read with a sign; None where it cannot occur."""
    value: Number = number.item()
    if dtype.kind == "f":
        return _as_float(float(value), dtype)
    if not math.isfinite(value) or value != int(value):
        return None
    value, bits = int(value), 8 * dtype.itemsize
    if sign is None:
        least, largest = _ends(dtype, None)
        return value if least <= value <= largest else None
    # Such attributes are written with the sign of the stored type or of the one that is meant: both tell the same bits.
    if not -(2 ** (bits - 1)) <= value < 2**bits:
        return None
    value %= 2**bits
    return value - 2**bits if not sign and value >= 2 ** (bits - 1) else value


def _as_float(value: float, dtype: Dtype) -> Number | None:
    with np.errstate(over="ignore", under="ignore"):
        rounded = float(dtype.type(value))
    is_lost = math.isinf(rounded) != math.isinf(value) or (rounded == 0.0) != (value == 0.0)
    return None if math.isnan(value) or is_lost else rounded


def _ends(dtype: Dtype, sign: bool | None) -> tuple[Number, Number]:
    """The least and the largest number of a type, read with a sign."""
    if dtype.kind == "f":
        return -math.inf, math.inf
    info = np.iinfo(dtype if sign is None else np.dtype(f"{'u' if sign else 'i'}{dtype.itemsize}"))
    return int(info.min), int(info.max)
