"""The distinct values of a dataset: text or numbers, each once and in order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import EqualByValue, Frozen, once
from h5lightning.core.string_table import StringTable

__all__ = ["NUMBER_KINDS", "Value", "ValueList", "whole_numbers"]

Value: TypeAlias = str | int | float

NUMBER_KINDS = ("i8", "u8", "f8")  # each number takes eight bytes


@dataclass(frozen=True, eq=False)
class ValueList(EqualByValue, Frozen):
    """Distinct values, ascending: text in the order of its code points, or numbers.

    Numbers are equal by value, so 1, 1.0 and True are one: whole numbers are int64, or uint64 if they need it; numbers
    of which one is not whole are float64. NaN is no value.

    Args:
        is_text: whether the values are text.
        texts: the values, if they are text; else empty.
        numbers: the values, if they are numbers, ``(values,)`` int64, uint64 or float64; else empty.
    """

    is_text: bool
    texts: StringTable = field(default_factory=lambda: StringTable.of(()))
    numbers: npt.NDArray[Any] = field(default_factory=lambda: np.zeros(0, np.int64))

    @classmethod
    def of_texts(cls, texts: Iterable[str]) -> ValueList:
        """The distinct ones of some texts."""
        return cls(is_text=True, texts=StringTable.of(sorted(set(texts))))

    @classmethod
    def of_numbers(cls, numbers: npt.NDArray[Any]) -> ValueList:
        """The distinct ones of some numbers, without NaN."""
        return cls(is_text=False, numbers=whole_numbers(_distinct(np.asarray(numbers).reshape(-1))))

    @classmethod
    def union(cls, lists: Sequence[ValueList]) -> tuple[ValueList, list[Int64Array]]:
        """The values of all lists, and the position of each value of each list among them.

        The lists are all text, or all numbers; an empty list may be either.
        """
        filled = [one for one in lists if len(one)] or list(lists[:1])
        if len({one.is_text for one in filled}) > 1:
            raise ValueError("a list of texts has no union with a list of numbers")
        if not filled or filled[0].is_text:
            union = (
                filled[0] if len(filled) == 1 else cls.of_texts(text for one in filled for text in one.texts)
            )
        else:
            union = cls.of_numbers(_in_one_type([one.numbers for one in filled]))
        return union, [union.positions_of(one) for one in lists]

    @property
    def kind(self) -> str:
        """``text``, or NumPy's name of the type of its numbers, one of `NUMBER_KINDS`."""
        return "text" if self.is_text else self.numbers.dtype.str[1:]

    def __len__(self) -> int:
        return len(self.texts) if self.is_text else len(self.numbers)

    def __getitem__(self, position: int) -> Value:
        value: Value = self.texts[position] if self.is_text else self.numbers[position].item()
        return value

    def __iter__(self) -> Iterator[Value]:
        return iter(self.texts) if self.is_text else iter(self.numbers.tolist())

    def names(self) -> tuple[str, ...]:
        """The values as text, in order."""
        return tuple(str(value) for value in self)

    def digest(self) -> bytes:
        """A digest that only equal lists have."""
        digest = hashlib.blake2b(self.kind.encode(), digest_size=16)
        for array in (self.texts.ends, self.texts.blob, self.numbers):
            digest.update(np.ascontiguousarray(array).view(np.uint8).data)
        return digest.digest()

    def positions(self, values: Iterable[Value]) -> Int64Array:
        """The position of each value in this list, -1 for one that it lacks. The text ``1`` is not the number 1."""
        position_of = self._position_of
        return np.asarray([position_of.get(value, -1) for value in values], np.int64)

    @once
    def _position_of(self) -> dict[Value, int]:
        # Made once: ten thousand files may have lists of their own, each of which is looked up in that of all.
        return {value: position for position, value in enumerate(self)}

    def positions_of(self, part: ValueList) -> Int64Array:
        """The position in this list of each value of a list whose values it has."""
        if part is self or not len(part):
            return np.arange(len(part), dtype=np.int64)
        if self.is_text:
            return self.positions(part.texts)
        both = np.searchsorted(self.numbers, part.numbers.astype(self.numbers.dtype))
        return both.astype(np.int64)


def whole_numbers(numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Numbers as int64 if all are whole and fit, as uint64 if only these do, else as float64."""
    if numbers.dtype.kind in "bi":
        return numbers.astype(np.int64)
    if numbers.dtype.kind == "u":
        return numbers.astype(np.int64 if int(numbers.max(initial=0)) < 2**63 else np.uint64)
    is_whole = bool((np.isfinite(numbers) & (numbers == np.floor(numbers)) & (np.abs(numbers) < 2**63)).all())
    return numbers.astype(np.int64 if is_whole else np.float64)


def _distinct(numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if numbers.dtype.kind == "f":
        numbers = numbers[~np.isnan(numbers)]
    return np.unique(numbers)


def _in_one_type(lists: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """The numbers of all lists, one after the other."""
    is_positive = all(int(one.min(initial=0)) >= 0 for one in lists if one.dtype == np.int64)
    if is_positive and {one.dtype.kind for one in lists} == {"i", "u"}:
        lists = [one.astype(np.uint64) for one in lists]  # NumPy would make floats of both
    return np.concatenate(lists)
