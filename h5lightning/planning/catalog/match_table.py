"""The units of a catalog: what is scanned and compared as one. A file, or each match of the ``*`` in a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import Int64Array, flat_positions
from h5lightning.core.frozen import EqualByValue, Frozen, once
from h5lightning.core.star_paths import concrete
from h5lightning.core.string_table import StringTable

__all__ = ["MatchTable"]


@dataclass(frozen=True, eq=False)
class MatchTable(EqualByValue, Frozen):
    """What a ``*`` in the paths of fields matched, file after file.

    Args:
        part: the part of the path that holds the ``*``, such as ``demo_*``, in the first field with rows.
        counts: matches in each file, ``(files,)``.
        texts: what the ``*`` matched, in the natural order of each file, ``(units,)``.
    """

    part: str
    counts: Int64Array
    texts: StringTable

    def __post_init__(self) -> None:
        if int(self.counts.sum()) != len(self.texts):
            raise ValueError(f"{len(self.texts)} matches, expected {int(self.counts.sum())}")

    @once
    def first_unit(self) -> Int64Array:
        """First unit of each file, ``(files + 1,)``; the last entry is the number of units."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.counts)])

    @once
    def file_of(self) -> Int64Array:
        """The file of each unit, ``(units,)``, ascending."""
        return np.arange(len(self.counts)).repeat(self.counts)

    def units_of(self, files: Int64Array) -> Int64Array:
        """The units of some files, file after file."""
        return flat_positions(self.first_unit[files], self.counts[files])

    def name(self, unit: int) -> str:
        """The name of the series: the whole part of the path that holds the ``*``, such as ``demo_3``."""
        return concrete(self.part, self.texts[unit])

    @once
    def names(self) -> StringTable:
        """The name of each series, ``(units,)``."""
        if self.part == "*":
            return self.texts
        return StringTable.of(concrete(self.part, text) for text in self.texts)

    def take(self, files: Int64Array) -> MatchTable:
        """The matches of some files, in that order."""
        return MatchTable(self.part, self.counts[files], self.texts.take(self.units_of(files)))

    @classmethod
    def joined(cls, tables: Sequence[MatchTable]) -> MatchTable:
        """The matches of all tables, one after the other; at least one table."""
        counts = np.concatenate([table.counts for table in tables])
        return cls(tables[0].part, counts, StringTable.concatenated([table.texts for table in tables]))
