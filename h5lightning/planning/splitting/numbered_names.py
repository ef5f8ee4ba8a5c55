"""Names that differ in one natural number, such as ``demo_0``, ``demo_1``: a million of them as a few ranges."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

import numpy as np

from h5lightning.core.arrays import Int64Array, flat_positions
from h5lightning.core.string_table import StringTable

__all__ = ["NumberedNames"]

_MOST_DIGITS = 18  # fit into int64
_POWERS = 10 ** np.arange(_MOST_DIGITS, dtype=np.int64)
_LAST_NUMBER = re.compile(r"(.*\D|)(\d+)(\D*)", re.ASCII | re.DOTALL)


class NumberedNames(NamedTuple):
    """Names as numbers.

    Args:
        name: the names, with a ``*`` where the number stands.
        digits: the least number of digits, filled with zeros.
        numbers: the number of each name, ``(names,)``.
    """

    name: str
    digits: int
    numbers: Int64Array

    @classmethod
    def of(cls, names: StringTable) -> NumberedNames | None:
        """The numbers of names, from which `names` makes the same names; None if they do not differ in a number."""
        found = _LAST_NUMBER.fullmatch(names[0]) if len(names) else None
        if found is None or "*" in found[1] + found[3]:
            return None
        before, after = (len(os.fsencode(found[group])) for group in (1, 3))
        lengths = np.diff(names.ends, prepend=0) - before - after
        if lengths.min() < 1 or lengths.max() > _MOST_DIGITS:
            return None
        starts = names.ends - after - lengths
        values = names.blob[flat_positions(starts, lengths)].astype(np.int64) - ord("0")
        if values.min() < 0 or values.max() > 9:
            return None
        ends = np.cumsum(lengths)
        places = ends.repeat(lengths) - np.arange(len(values)) - 1
        numbers = np.add.reduceat(values * _POWERS[places], ends - lengths)
        digits = int(lengths[0]) if lengths.min() == lengths.max() else 1
        numbered = cls(f"{found[1]}*{found[3]}", digits, numbers)
        return numbered if numbered.names() == names else None

    def names(self) -> StringTable:
        """The names, ``(names,)``."""
        before, after = (np.frombuffer(os.fsencode(part), np.uint8) for part in self.name.split("*"))
        lengths = np.maximum(np.searchsorted(_POWERS, self.numbers, side="right"), max(1, self.digits))
        width = int(lengths.max(initial=0))
        first, stop = before.size, before.size + width
        table = np.empty((len(self.numbers), stop + after.size), np.uint8)
        table[:, :first], table[:, stop:] = before, after
        for column in range(width):
            table[:, first + column] = self.numbers // 10 ** (width - 1 - column) % 10 + ord("0")
        is_part = np.ones(table.shape, np.bool_)
        is_part[:, first:stop] = np.arange(width) >= width - lengths[:, None]
        return StringTable(table[is_part], np.cumsum(lengths + before.size + after.size))
