"""Stored numbers of a field → numbers of categories, by one table for each distinct list of names.

Ten thousand files with one list share one table. Bytes and short integers index a table of all their numbers; other
integers a table from the least to the greatest code; floats and codes far apart are searched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.planning.catalog.annotations import Encoding
from h5lightning.planning.values.categories import NO_CATEGORY, Categories, CodeNames
from h5lightning.planning.values.conversions import ValueAtError, delivery_dtype
from h5lightning.planning.values.encoded_values import as_read, is_missing

__all__ = ["CategoryDecoder", "Delivered", "UnknownCategoryError"]

Array = npt.NDArray[Any]

_BLOCK_BYTES = 512 * 1024  # so that positions in a table fit the processor's cache
_NONE = 255  # the byte of a value that is no category
_FEW = 16  # tables of pairs of bytes
_MOST_APART = 1 << 16  # between the codes of one list: a table of them takes up to 512 KiB


class UnknownCategoryError(ValueAtError):
    """A value is no category, and no number was given for such values."""


class Delivered:
    """How numbers of categories are delivered.

    Args:
        categories: the categories.
        delivered: name of the delivered type.

    Attributes:
        dtype: the type of tables: the delivered one, if it has a number more than there are categories.
        unknown: what a table has for a value that is no category; if that is an error, a number of no category.
    """

    def __init__(self, categories: Categories, delivered: str) -> None:
        self._delivered = dtype = delivery_dtype(delivered)
        self._is_error = categories.unknown is None
        most = np.iinfo(dtype).max if dtype.kind == "u" else 0
        has_room = dtype.kind in "if" or (
            dtype.kind == "u" and (not self._is_error or len(categories.names) <= most)
        )
        self.dtype = dtype if has_room else np.dtype(np.int64)
        no_number = most if self.dtype.kind == "u" else NO_CATEGORY
        self.unknown = no_number if categories.unknown is None else categories.unknown

    def table(self, numbers: Int64Array) -> Array:
        """A table of numbers of categories, of which `NO_CATEGORY` is none."""
        return np.where(numbers == NO_CATEGORY, self.unknown, numbers).astype(self.dtype)

    def first_unknown(self, found: Array) -> tuple[int, ...] | None:
        """The index of the first entry of a table that is no category, where that is an error; else None."""
        if not self._is_error or not found.size:
            return None
        if (found.max() if self.dtype.kind == "u" else found.min()) != self.unknown:
            return None
        return tuple(np.argwhere(found == self.unknown)[0].tolist())

    def converted(self, found: Array) -> Array:
        """Entries of a table in the delivered type."""
        return found.astype(self._delivered, copy=False)


class CategoryDecoder:
    """Makes the numbers of categories from stored numbers; used as a `ValueDecoder` is.

    Args:
        stored: the type of the numbers in each form of the field.
        names: what the numbers stand for in each form; None where they are the values.
        encodings: which numbers are missing in each form; None for none.
        categories: the categories of the field.
        delivered: name of the delivered type.
    """

    def __init__(
        self,
        stored: Sequence[str],
        names: Sequence[CodeNames | None],
        encodings: Sequence[Encoding | None],
        categories: Categories,
        delivered: str,
    ) -> None:
        self._categories = categories
        self._delivered = Delivered(categories, delivered)
        made: dict[tuple[str, CodeNames | None, Encoding | None], int] = {}
        kinds = [
            (np.dtype(dtype).newbyteorder("=").str, own, encoding)
            for dtype, own, encoding in zip(stored, names, encodings, strict=True)
        ]
        self._number_of = np.asarray([made.setdefault(kind, len(made)) for kind in kinds])
        self._is_few = len(made) <= _FEW
        self._lookups = [self._lookup(*kind) for kind in made]

    def of(self, stored: Array, which: Int64Array) -> Array:
        """The delivered numbers of rows.

        Args:
            stored: rows of one stored type in native byte order, ``(N, …)``.
            which: number of the form of each row, ``(N,)``.

        Raises:
            UnknownCategoryError: a value is no category, and no number was given for such values.
        """
        out = np.empty(stored.shape, self._delivered.dtype)
        numbers = self._number_of[which]
        step = max(1, _BLOCK_BYTES // max(1, stored[:1].size * 8))
        for start in range(0, len(stored), step):
            block = out[start : start + step]
            may_lack = self._put(stored[start : start + step], numbers[start : start + step], block)
            if may_lack and (place := self._delivered.first_unknown(block)) is not None:
                raise UnknownCategoryError((start + place[0], *place[1:]))
        return self._delivered.converted(out)

    def _put(self, stored: Array, numbers: Int64Array, out: Array) -> bool:
        """Put the numbers of rows into a buffer; whether some may be no category."""
        first = int(numbers[0])
        if (numbers == first).all():
            return self._lookups[first].put(stored, out)
        for number in np.unique(numbers).tolist():
            rows = np.flatnonzero(numbers == number)
            found = np.empty((len(rows), *out.shape[1:]), out.dtype)
            self._lookups[number].put(stored[rows], found)
            out[rows] = found
        return True

    def _lookup(self, dtype: str, names: CodeNames | None, encoding: Encoding | None) -> _Lookup:
        """The table for numbers of one type with one meaning."""
        categories, native = self._categories, np.dtype(dtype)
        if names is not None:
            codes: list[Any] = list(names.codes)
            numbers = categories.numbers(names.names)
        else:
            codes = list(categories.number_of)
            numbers = np.arange(len(codes))
        held = [_held(code, native, encoding) for code in codes]
        places = [
            place for place, key in enumerate(held) if key is not None and numbers[place] != NO_CATEGORY
        ]
        keys, numbers = np.asarray([held[place] for place in places], native), numbers[places]
        if encoding is not None:
            is_kept = ~is_missing(keys, encoding)
            keys, numbers = keys[is_kept], numbers[is_kept]
        order, table = np.argsort(keys, kind="stable"), self._delivered.table
        none = table(np.full(1, NO_CATEGORY))
        return _lookup_of(keys[order], table(numbers[order]), none, is_one_of_few=self._is_few)


def _held(value: Any, dtype: np.dtype[Any], encoding: Encoding | None) -> Any:
    """A value in the stored type; None if the type cannot hold it exactly."""
    if dtype.kind == "b":
        return bool(value) if value in (0, 1) else None
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            held = dtype.type(value)
        return held if np.isfinite(held) and held.item() == value else None
    read = as_read(np.zeros(1, dtype), encoding).dtype if encoding is not None else dtype
    info = np.iinfo(read)
    if not info.min <= value <= info.max or value != int(value):
        return None
    return np.asarray(int(value), read).view(dtype)[()]


class _Lookup:
    """Finds the numbers of categories of stored numbers; each kind is a subclass."""

    def put(self, stored: Array, out: Array) -> bool:
        """Put the number of each stored one into a buffer of the same shape; whether some may be no category."""
        raise NotImplementedError


class _Direct(_Lookup):
    """A table with an entry for each number that the stored type has, of one or two bytes."""

    def __init__(self, keys: Array, numbers: Array, none: Array) -> None:
        self._view = np.dtype(f"u{keys.dtype.itemsize}")
        self._table = np.repeat(none, 1 << (8 * keys.dtype.itemsize))
        self._table[keys.view(self._view)] = numbers

    def put(self, stored: Array, out: Array) -> bool:
        np.take(self._table, stored.view(self._view), out=out, mode="clip")
        return True


class _Bytes(_Lookup):
    """A table with an entry for each two bytes, of two entries of one byte: seven times as fast as one for each byte.

    Numbers that are delivered in wider types go through bytes, of which 255 is none.
    """

    def __init__(self, keys: Array, numbers: Array, none: Array) -> None:
        self._none = none
        self._dtype = numbers.dtype if numbers.dtype.itemsize == 1 else np.dtype(np.uint8)
        self._table = np.repeat(
            none.astype(self._dtype) if self._is_last else np.full(1, _NONE, np.uint8), 256
        )
        self._table[keys.view(np.uint8)] = numbers
        both = np.arange(1 << 16, dtype=np.uint16).view(np.uint8).reshape(-1, 2)
        self._pairs = np.ascontiguousarray(self._table[both]).view(np.uint16).reshape(-1)

    @property
    def _is_last(self) -> bool:
        """Whether what tables have is delivered."""
        return self._none.dtype == self._dtype

    def put(self, stored: Array, out: Array) -> bool:
        read = np.ascontiguousarray(stored).reshape(-1).view(np.uint8)
        found = out.reshape(-1) if self._is_last else np.empty(read.shape, self._dtype)
        even = len(read) // 2 * 2
        np.take(self._pairs, read[:even].view(np.uint16), out=found[:even].view(np.uint16), mode="clip")
        found[even:] = self._table[read[even:]]
        if self._is_last:
            return True
        flat = out.reshape(-1)
        flat[...] = found
        has_none = bool(found.max(initial=0) == _NONE)
        if has_none:
            flat[found == _NONE] = self._none[0]
        return has_none


class _Ranged(_Lookup):
    """A table from the least code to the greatest, with an entry before and after them for all others."""

    def __init__(self, keys: Array, numbers: Array, none: Array) -> None:
        self._low, self._high = int(keys[0]), int(keys[-1])
        self._table = np.repeat(none, self._high - self._low + 3)
        self._table[(keys - keys[0]).astype(np.int64) + 1] = numbers

    def put(self, stored: Array, out: Array) -> bool:
        dtype = stored.dtype.type
        inside = np.clip(stored, dtype(self._low), dtype(self._high))
        places = (inside - dtype(self._low)).astype(np.int64) + 1
        places[stored < dtype(self._low)] = 0
        places[stored > dtype(self._high)] = len(self._table) - 1
        np.take(self._table, places, out=out, mode="clip")
        return True


class _Searched(_Lookup):
    """Sorted keys."""

    def __init__(self, keys: Array, numbers: Array, none: Array) -> None:
        self._keys = keys
        self._table = np.concatenate([numbers, none])

    def put(self, stored: Array, out: Array) -> bool:
        flat = stored.reshape(-1)
        places = np.searchsorted(self._keys, flat)
        if len(self._keys):
            inside = np.minimum(places, len(self._keys) - 1)
            places = np.where(self._keys[inside] == flat, inside, len(self._keys))
        np.take(self._table, places.reshape(stored.shape), out=out, mode="clip")
        return True


def _lookup_of(keys: Array, numbers: Array, none: Array, *, is_one_of_few: bool) -> _Lookup:
    """The table for sorted keys; one of two bytes takes 128 KiB."""
    is_small = numbers.dtype.itemsize == 1 or numbers.max(initial=0) < _NONE
    if keys.dtype.itemsize == 1 and is_one_of_few and is_small:
        return _Bytes(keys, numbers, none)
    if keys.dtype.kind in "biu" and keys.dtype.itemsize <= 2:
        return _Direct(keys, numbers, none)
    if keys.dtype.kind in "iu" and len(keys) and int(keys[-1]) - int(keys[0]) < _MOST_APART:
        return _Ranged(keys, numbers, none)
    return _Searched(keys, numbers, none)
