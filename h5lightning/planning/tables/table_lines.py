"""What was read of a table beside the files: its columns, line by line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.core.formatting import listed
from h5lightning.core.frozen import Frozen, once

__all__ = ["Column", "ColumnNumbers", "TableLines"]

_WHOLE = re.compile(r"[+-]?[0-9]+")
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True, eq=False)
class ColumnNumbers:
    """A column as numbers.

    Args:
        values: the number of each line, ``(lines,)``: integers if all of them are whole numbers, else float64.
        is_number: whether a line has one, ``(lines,)``.
    """

    values: npt.NDArray[Any]
    is_number: BoolArray

    @property
    def are_whole(self) -> bool:
        """Whether all numbers are whole."""
        return self.values.dtype.kind in "iu"


@dataclass(frozen=True, eq=False)
class Column(Frozen):
    """One column of a table.

    Args:
        name: its name.
        values: text (``object``) or numbers, one for each line, ``(lines,)``.
        is_empty: whether a line has no value, ``(lines,)``.
    """

    name: str
    values: npt.NDArray[Any]
    is_empty: BoolArray

    @classmethod
    def of_texts(cls, name: str, texts: Sequence[str | None]) -> Column:
        """A column of text; empty text is no value."""
        values = np.empty(len(texts), object)
        values[:] = texts
        is_empty = np.fromiter((not text for text in texts), np.bool_, count=len(texts))
        return cls(name, values, is_empty)

    @once
    def distinct(self) -> tuple[list[Any], Int64Array]:
        """The distinct values, in the order of their first lines, and the number of that of each line; -1 for none."""
        if self.values.dtype.kind != "O":
            return self._distinct_numbers()
        texts = self.values.tolist()
        distinct = [text for text in dict.fromkeys(texts) if text]
        number_of = {text: number for number, text in enumerate(distinct)} | {"": -1, None: -1}
        return distinct, np.fromiter(map(number_of.__getitem__, texts), np.int64, count=len(texts))

    def _distinct_numbers(self) -> tuple[list[Any], Int64Array]:
        which = np.flatnonzero(~self.is_empty)
        values, first, number_of = np.unique(self.values[which], return_index=True, return_inverse=True)
        order = np.argsort(first)
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        found = np.full(len(self.values), -1, np.int64)
        found[which] = rank[number_of.reshape(-1)]
        return values[order].tolist(), found

    @once
    def texts(self) -> list[str | None]:
        """The value of each line as text; None where there is none."""
        values, number_of = self.distinct
        texts = [*map(str, values), None]
        return [texts[number] for number in number_of.tolist()]

    @once
    def numbers(self) -> ColumnNumbers:
        """The values as numbers; text that is none counts as no number."""
        if self.values.dtype.kind == "b":
            return ColumnNumbers(self.values.astype(np.int64), ~self.is_empty)
        if self.values.dtype.kind != "O":
            return ColumnNumbers(self.values, ~self.is_empty)
        values, number_of = self.distinct
        parsed = [_number(text) for text in values]
        is_number = np.asarray([*(one is not None for one in parsed), False], np.bool_)
        found = _as_array([0 if one is None else one for one in [*parsed, None]])
        return ColumnNumbers(found[number_of], is_number[number_of])


@dataclass(frozen=True, eq=False)
class TableLines(Frozen):
    """The columns of a table that are used.

    Args:
        path: the file.
        columns: name → column.
        numbers: the number of each line in the file, for messages, ``(lines,)``.
        noun: what an entry of the file is: ``line``, or ``row``.
    """

    path: str
    columns: Mapping[str, Column]
    numbers: Int64Array
    noun: str = "line"

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def title(self) -> str:
        """The table, for messages."""
        return f"the table {self.path}"

    def where(self, line: int) -> str:
        """A line, for messages."""
        return f"{self.noun} {self.numbers[line]} of {self.path}"

    def without(self, used: Int64Array) -> Int64Array:
        """The lines that are not among some others, ascending; -1 is none."""
        is_used = np.zeros(len(self) + 1, np.bool_)
        is_used[used] = True
        return np.flatnonzero(~is_used[:-1])

    def named(self, lines: Sequence[int] | Int64Array, column: str | None, most: int = _MOST_NAMED) -> str:
        """The first of some lines, with their values in a column, and how many more there are."""
        texts = [] if column is None else self.columns[column].texts
        shown = [
            f"{self.noun} {self.numbers[line]}" + (f" ({texts[line]!r})" if texts else "")
            for line in lines[:most]
        ]
        return listed(shown, most, total=len(lines))


def _number(text: str) -> int | float | None:
    text = text.strip()
    if _WHOLE.fullmatch(text):
        return int(text)
    if "_" in text or not text.isascii():
        return None  # Python reads 1_000 as a number
    try:
        return float(text)
    except ValueError:
        return None


def _as_array(numbers: Sequence[int | float]) -> npt.NDArray[Any]:
    """Integers if all are whole and a type holds them, else float64."""
    if all(isinstance(one, int) for one in numbers):
        try:
            return np.asarray(numbers, np.int64)
        except OverflowError:
            return np.asarray(numbers, np.float64)
    return np.asarray(numbers, np.float64)
