"""The categories of a field, and the number of the category of each value.

Values are text or numbers. Numbers are equal by value: 1, 1.0 and True are one category.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.formatting import listed
from h5lightning.core.frozen import Frozen, once
from h5lightning.errors import OptionError
from h5lightning.planning.catalog.annotations import Number
from h5lightning.planning.catalog.value_list import Value
from h5lightning.planning.values.conversions import first_lost

__all__ = ["NO_CATEGORY", "Categories", "CodeNames", "Value", "number_in", "plain_value"]

NO_CATEGORY = -1  # of a value that is no category; `Categories.unknown` is what is delivered for it
_MOST_NAMED = 8


@dataclass(frozen=True, slots=True)
class CodeNames:
    """What stored numbers stand for.

    Args:
        codes: the numbers.
        names: the name of each.
    """

    codes: tuple[Number, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Categories(Frozen):
    """The categories of a field, in the order of their numbers.

    Args:
        names: the text of each.
        is_text: whether the values are text; else numbers.
        unknown: the number that is delivered for a value that is no category; None for an error.
    """

    names: tuple[str, ...]
    is_text: bool
    unknown: int | None = None

    @classmethod
    def of(cls, values: Sequence[Value], unknown: int | None = None) -> Categories:
        """The categories of distinct values, all of them text, or all numbers."""
        is_text = not values or isinstance(values[0], str)
        return cls(tuple(map(str, values)), is_text, unknown)

    @once
    def number_of(self) -> Mapping[Value, int]:
        """The number of each value."""
        values = self.names if self.is_text else map(number_in, self.names)
        return {value: number for number, value in enumerate(values) if value is not None}

    def numbers(self, values: Iterable[Value]) -> Int64Array:
        """The number of the category of each value, `NO_CATEGORY` for one that is none.

        Text is compared with numbers by the number that it says, since names of codes are always text.
        """
        number_of, is_text = self.number_of, self.is_text
        found = (
            number_of.get(value if is_text or not isinstance(value, str) else number_in(value), NO_CATEGORY)  # type: ignore[arg-type]
            for value in values
        )
        return np.fromiter(found, np.int64)

    def check_dtype(self, key: str, delivered: str) -> None:
        """Raise `OptionError` unless the type in which a field is delivered holds the numbers of all categories."""
        numbers = [0, max(0, len(self.names) - 1), *(() if self.unknown is None else (self.unknown,))]
        lost = first_lost(np.asarray(numbers), delivered)
        if lost is not None:
            unknown = "" if self.unknown is None else f", and unknown={self.unknown}"
            raise OptionError(
                f"field {key!r}: dtype={delivered!r} cannot hold {numbers[lost[0]]}: there are {len(self.names):,} "
                f"categories{unknown}. Leave dtype out for int64"
            )

    def nearest(self, value: Value) -> str:
        """The end of an error about a value that is no category: the one most similar to it, or all of them."""
        name = self._nearest_name(value)
        if name is not None:
            return f"the nearest known category is {name!r}"
        return (
            f"known categories are {listed(self.names, _MOST_NAMED)}"
            if self.names
            else "there is no category"
        )

    def _nearest_name(self, value: Value) -> str | None:
        if self.is_text:
            folded = {name.casefold(): name for name in reversed(self.names)}
            close = difflib.get_close_matches(str(value).casefold(), folded, n=1, cutoff=0.6)
            return folded[close[0]] if close else None
        number = number_in(value) if isinstance(value, str) else value
        if number is None or number != number or not self.number_of:  # noqa: PLR0124 - NaN
            return None
        near = min(self.number_of, key=lambda known: abs(known - number))  # type: ignore[operator]
        return self.names[self.number_of[near]]


def number_in(text: str) -> int | float | None:
    """The number that a text says, such as ``4`` or ``0.5``; None if it says none."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return None


def plain_value(value: Any) -> Value:
    """A value as categories compare it: a whole number for a float that is one, and for a boolean."""
    if isinstance(value, str):
        return value
    return int(value) if float(value).is_integer() else float(value)
