"""The values of one dataset in all units, read by the scan: which ones occur, and which one each row has.

They are what the file means: text, the names of categories for codes, numbers otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray, Int64Array, distinct, flat_positions
from h5lightning.core.frozen import EqualByValue, Frozen, once
from h5lightning.core.string_table import StringTable
from h5lightning.planning.catalog.value_list import NUMBER_KINDS, ValueList

__all__ = ["RowValues", "code_type", "joined_row_values", "values_name"]

_KINDS = ("text", *NUMBER_KINDS)
_SIGNED = (np.int8, np.int16, np.int32, np.int64)


@dataclass(frozen=True, eq=False)
class RowValues(EqualByValue, Frozen):
    """The values of one dataset, or of one of its columns, in all units.

    What was read of one dataset is a column here. Units of one file may share a column, which is kept once, and columns
    may share a list of distinct values. A row may have several values, all of them codes of one list.

    Args:
        column_of: the column of each unit, ``(units,)``.
        rows: rows of each column, ``(columns,)``; 1 for a scalar.
        row_sizes: values of each row, ``(columns,)``.
        has_codes: whether the value of each row is known, ``(columns,)``; else only which values occur.
        list_of: the list of distinct values of each column, ``(columns,)``.
        problems: why a column was not read, as a sentence about its file, ``(columns,)``; empty if it was.
        kinds: kind of each list, ``(lists,)`` uint8: 0 for text, then `NUMBER_KINDS`.
        counts: values of each list, ``(lists,)``.
        texts: the values of the lists of text, one list after the other.
        bits: the values of the lists of numbers, one list after the other, eight bytes each, int64.
        codes: position in its list of each value, -1 for a missing one: row after row, column after column, those that
            `has_codes`; of the smallest signed integer type.
    """

    column_of: Int64Array
    rows: Int64Array
    row_sizes: Int64Array
    has_codes: BoolArray
    list_of: Int64Array
    problems: StringTable
    kinds: npt.NDArray[np.uint8]
    counts: Int64Array
    texts: StringTable
    bits: Int64Array
    codes: npt.NDArray[np.signedinteger[Any]]

    def __post_init__(self) -> None:
        columns, of_text = len(self.rows), int(self.counts[self.kinds == 0].sum())
        sizes = [len(self.row_sizes), len(self.has_codes), len(self.list_of), len(self.problems)]
        sizes += [len(self.kinds), len(self.texts), len(self.bits), len(self.codes)]
        codes = int((self.rows * self.row_sizes)[self.has_codes].sum())
        expected = [*[columns] * 4, len(self.counts), of_text, int(self.counts.sum()) - of_text, codes]
        if sizes != expected:
            raise ValueError(f"values of {columns} columns: found parts of {sizes}, expected {expected}")

    @classmethod
    def of_unit(
        cls,
        values: ValueList,
        codes: npt.NDArray[np.integer[Any]] | None,
        *,
        rows: int | None = None,
        row_size: int = 1,
    ) -> RowValues:
        """The values of one unit.

        Args:
            values: the distinct values.
            codes: the position in them of each value of each row, in order, -1 for a missing one; None if not kept.
            rows: number of rows; None for as many as the codes say.
            row_size: values of each row.
        """
        if rows is None:
            rows = 0 if codes is None else codes.size // max(1, row_size)
        none = np.zeros(0, code_type(0))
        return cls(
            column_of=np.zeros(1, np.int64),
            rows=np.asarray([rows], np.int64),
            row_sizes=np.asarray([row_size], np.int64),
            has_codes=np.asarray([codes is not None]),
            list_of=np.zeros(1, np.int64),
            problems=StringTable.of([""]),
            **_of_lists([values]),
            codes=none if codes is None else codes.reshape(-1).astype(code_type(len(values)), copy=False),
        )

    @classmethod
    def broken(cls, problem: str) -> RowValues:
        """One unit whose values were not read, and why: a sentence about the file, without subject."""
        unread = cls.of_unit(ValueList(is_text=False), None)
        return replace(unread, problems=StringTable.of([problem]))

    @classmethod
    def joined(cls, parts: Sequence[RowValues]) -> RowValues:
        """The units of all parts, one after the other."""
        if len(parts) == 1:
            return parts[0]
        none = np.zeros(0, np.int64)
        first = np.cumsum([0, *(len(part.rows) for part in parts)]).tolist()
        lists, list_of = _joined_lists(parts)
        kind = max((part.codes.dtype for part in parts), key=lambda dtype: dtype.itemsize, default=np.int8)
        return cls(
            column_of=np.concatenate([none, *_shifted([part.column_of for part in parts], first)]),
            rows=np.concatenate([none, *(part.rows for part in parts)]),
            row_sizes=np.concatenate([none, *(part.row_sizes for part in parts)]),
            has_codes=np.concatenate([np.zeros(0, bool), *(part.has_codes for part in parts)]),
            list_of=list_of,
            problems=StringTable.concatenated([part.problems for part in parts]),
            **lists,
            codes=np.concatenate([np.zeros(0, kind), *(part.codes for part in parts)]),
        )

    def take(self, units: Int64Array) -> RowValues:
        """The values of some units, in that order."""
        columns, _, column_of = distinct(self.column_of[units])
        lists, _, list_of = distinct(self.list_of[columns])
        sizes = np.where(self.has_codes, self.rows * self.row_sizes, 0)[columns]
        whole = len(columns) == len(self.rows)
        return RowValues(
            column_of=column_of,
            rows=self.rows[columns],
            row_sizes=self.row_sizes[columns],
            has_codes=self.has_codes[columns],
            list_of=list_of,
            problems=self.problems.take(columns),
            **_of_lists([self.lists[number] for number in lists.tolist()]),
            codes=self.codes if whole else self.codes[flat_positions(self._first_codes[columns], sizes)],
        )

    def problem(self, unit: int) -> str:
        """Why the values of a unit were not read, as a sentence about its file without subject; empty if they were."""
        return self.problems[int(self.column_of[unit])]

    def values(self, unit: int) -> ValueList:
        """The distinct values of a unit."""
        return self.lists[int(self.list_of[self.column_of[unit]])]

    def rows_of(self, unit: int) -> npt.NDArray[np.signedinteger[Any]] | None:
        """The codes of the rows of a unit, ``(rows, values of a row)``, a view; None if only the values are known."""
        column = int(self.column_of[unit])
        if not self.has_codes[column]:
            return None
        rows, size = int(self.rows[column]), int(self.row_sizes[column])
        start = int(self._first_codes[column])
        return self.codes[start : start + rows * size].reshape(rows, size)

    def vocabulary(self, units: Int64Array) -> tuple[ValueList, Int64Array]:
        """The distinct values of some units together, and the number among them of each value of each list.

        The number of code ``c >= 0`` of a unit is ``numbers[first_value[unit] + c]``. Lists that no such unit has keep
        the number -1. The units have only text, or only numbers: see `unit_kinds`.
        """
        numbers = np.full(int(self.counts.sum()), -1, np.int64)
        used = distinct(self.list_of[self.column_of[units]])[0].tolist()
        if not used:
            return ValueList(is_text=True), numbers
        union, positions = ValueList.union([self.lists[number] for number in used])
        for number, own in zip(used, positions, strict=True):
            start = int(self._first_values[number])
            numbers[start : start + len(own)] = own
        return union, numbers

    @once
    def lists(self) -> tuple[ValueList, ...]:
        """The distinct values, list by list."""
        return tuple(self._list(number) for number in range(len(self.counts)))

    @once
    def is_usable(self) -> BoolArray:
        """Whether the values of each unit were read, ``(units,)``."""
        is_read: BoolArray = np.diff(self.problems.ends, prepend=0) == 0
        return is_read[self.column_of]

    @once
    def has_rows(self) -> BoolArray:
        """Whether the value of each row is known, for each unit, ``(units,)``."""
        return self.has_codes[self.column_of]

    @once
    def unit_rows(self) -> Int64Array:
        """Rows of each unit, ``(units,)``."""
        return self.rows[self.column_of]

    @once
    def unit_row_sizes(self) -> Int64Array:
        """Values of each row of each unit, ``(units,)``."""
        return self.row_sizes[self.column_of]

    @once
    def unit_kinds(self) -> npt.NDArray[np.uint8]:
        """Kind of the values of each unit, ``(units,)``: 0 for text, else a number; 255 if it has no value."""
        kinds = np.where(self.counts > 0, self.kinds, np.uint8(255)).astype(np.uint8)
        return kinds[self.list_of[self.column_of]]

    @once
    def first_code(self) -> Int64Array:
        """Position in `codes` of the first code of each unit, ``(units,)``; it means nothing without `has_rows`."""
        return self._first_codes[self.column_of]

    @once
    def first_value(self) -> Int64Array:
        """Position of the first value of each unit's list among those of all lists, ``(units,)``; see `vocabulary`."""
        return self._first_values[self.list_of[self.column_of]]

    @once
    def _first_codes(self) -> Int64Array:
        sizes = np.where(self.has_codes, self.rows * self.row_sizes, 0)
        return np.cumsum(sizes) - sizes

    @once
    def _first_values(self) -> Int64Array:
        return np.cumsum(self.counts) - self.counts

    @once
    def _starts(self) -> Int64Array:
        """Position in `texts`, or in `bits`, of the first value of each list."""
        is_text = self.kinds == 0
        texts, bits = np.where(is_text, self.counts, 0), np.where(is_text, 0, self.counts)
        return np.where(is_text, np.cumsum(texts) - texts, np.cumsum(bits) - bits)

    def _list(self, number: int) -> ValueList:
        start, kind = int(self._starts[number]), _KINDS[int(self.kinds[number])]
        stop = start + int(self.counts[number])
        if kind == "text":
            return ValueList(is_text=True, texts=self.texts.part(start, stop))
        return ValueList(is_text=False, numbers=self.bits[start:stop].view(kind))

    @property
    def nbytes(self) -> int:
        """Bytes of the values and codes."""
        return self.codes.nbytes + self.bits.nbytes + self.texts.blob.nbytes + self.texts.ends.nbytes

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays of all parts by name: int64, and bytes as uint8, little-endian."""
        numbers = ("column_of", "rows", "row_sizes", "has_codes", "list_of", "kinds", "counts", "bits")
        codes = np.ascontiguousarray(self.codes.astype(self.codes.dtype.newbyteorder("<"), copy=False))
        return {
            **{name: getattr(self, name).astype("<i8", copy=False) for name in numbers},
            "problem_bytes": self.problems.blob,
            "problem_ends": self.problems.ends.astype("<i8", copy=False),
            "text_bytes": self.texts.blob,
            "text_ends": self.texts.ends.astype("<i8", copy=False),
            "code_size": np.asarray([codes.dtype.itemsize], "<i8"),
            "code_bytes": codes.view(np.uint8),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> RowValues:
        """The values that `arrays` returned."""
        numbers = ("column_of", "rows", "row_sizes", "list_of", "counts", "bits")
        return cls(
            **{name: arrays[name] for name in numbers},
            has_codes=arrays["has_codes"].astype(bool),
            problems=StringTable(arrays["problem_bytes"], arrays["problem_ends"]),
            kinds=arrays["kinds"].astype(np.uint8),
            texts=StringTable(arrays["text_bytes"], arrays["text_ends"]),
            codes=arrays["code_bytes"].view(f"<i{int(arrays['code_size'][0])}"),
        )


def code_type(count: int) -> np.dtype[np.signedinteger[Any]]:
    """The smallest signed integer type for the positions of so many values, and -1."""
    return np.dtype(next(kind for kind in _SIGNED if count - 1 <= np.iinfo(kind).max))


def values_name(path: str, member: str | None = None) -> str:
    """The name under which a scan is asked for the values of a dataset or of a column, and `Catalog` keeps them."""
    return path if member is None else f"{path}[{member}]"


def joined_row_values(parts: Sequence[Mapping[str, RowValues]]) -> dict[str, RowValues]:
    """The values of catalogs of one scan as one; a catalog without files may have none."""
    found = [part for part in parts if part]
    return {name: RowValues.joined([part[name] for part in found]) for name in (found or [{}])[0]}


def _of_lists(lists: Sequence[ValueList]) -> dict[str, Any]:
    """The arrays of lists of values, as `RowValues` keeps them."""
    texts = [one.texts for one in lists if one.is_text]
    bits = [one.numbers.view(np.int64) for one in lists if not one.is_text]
    return {
        "kinds": np.asarray([_KINDS.index(one.kind) for one in lists], np.uint8),
        "counts": np.asarray([len(one) for one in lists], np.int64),
        "texts": texts[0] if len(texts) == 1 else StringTable.concatenated(texts),
        "bits": bits[0] if len(bits) == 1 else np.concatenate([np.zeros(0, np.int64), *bits]),
    }


def _joined_lists(parts: Sequence[RowValues]) -> tuple[dict[str, Any], Int64Array]:
    """The lists of all parts, equal ones once, and the list of each column of all parts."""
    number_of: dict[bytes, int] = {}
    kept: list[ValueList] = []
    list_of = [np.zeros(0, np.int64)]
    for part in parts:
        numbers = np.zeros(len(part.lists), np.int64)
        for position, values in enumerate(part.lists):
            numbers[position] = number = number_of.setdefault(values.digest(), len(kept))
            if number == len(kept):
                kept.append(values)
        list_of.append(numbers[part.list_of])
    return _of_lists(kept), np.concatenate(list_of)


def _shifted(arrays: Sequence[Int64Array], starts: Sequence[int]) -> list[Int64Array]:
    return [array + start for array, start in zip(arrays, starts, strict=False)]
