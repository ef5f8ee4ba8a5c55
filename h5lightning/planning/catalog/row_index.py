"""Datasets whose numbers divide another dataset into rows of unequal length: as stored, and as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray, Int64Array, distinct, flat_positions
from h5lightning.core.frozen import EqualByValue, Frozen, once
from h5lightning.core.string_table import StringTable
from h5lightning.planning.catalog.plain_arrays import little_endian

__all__ = ["IndexTable", "RowIndex", "joined_indexes"]


@dataclass(frozen=True, eq=False)
class IndexTable(EqualByValue, Frozen):
    """The numbers of one index dataset in all units; whether they are ends or offsets is told by other fields.

    Units of one file may share a table, which is kept once.

    Args:
        table_of: the table of each unit, ``(units,)``.
        counts: numbers in each table, ``(tables,)``.
        numbers: the numbers, table after table, ``(numbers,)``: 0 or above, and ascending in each table.
        must_be_ends: whether the table itself says that it has the end of each row, ``(tables,)``: it does not begin
            with 0, or is a VectorIndex of NWB.
        problems: why a table cannot be used, as a sentence about its file, ``(tables,)``; empty if it can.
    """

    table_of: Int64Array
    counts: Int64Array
    numbers: Int64Array
    must_be_ends: BoolArray
    problems: StringTable

    def __post_init__(self) -> None:
        tables = len(self.counts)
        sizes = [len(self.must_be_ends), len(self.problems), len(self.numbers)]
        if sizes != [tables, tables, int(self.counts.sum())]:
            raise ValueError(f"{tables} tables with {int(self.counts.sum())} numbers: found parts of {sizes}")

    @classmethod
    def of_unit(cls, numbers: Int64Array, *, must_be_ends: bool = False) -> IndexTable:
        """The table of one unit."""
        return cls(
            np.zeros(1, np.int64),
            np.asarray([len(numbers)]),
            numbers,
            np.asarray([must_be_ends]),
            StringTable.of([""]),
        )

    @classmethod
    def broken(cls, problem: str) -> IndexTable:
        """One unit whose table cannot be used."""
        none = np.zeros(0, np.int64)
        return cls(
            np.zeros(1, np.int64), np.zeros(1, np.int64), none, np.zeros(1, bool), StringTable.of([problem])
        )

    @classmethod
    def joined(cls, parts: Sequence[IndexTable]) -> IndexTable:
        """The units of all parts, one after the other."""
        if len(parts) == 1:
            return parts[0]
        first = np.cumsum([0, *(len(part.counts) for part in parts)]).tolist()
        none = np.zeros(0, np.int64)
        shifted = (part.table_of + start for part, start in zip(parts, first, strict=False))
        return cls(
            np.concatenate([none, *shifted]),
            np.concatenate([none, *(part.counts for part in parts)]),
            np.concatenate([none, *(part.numbers for part in parts)]),
            np.concatenate([np.zeros(0, bool), *(part.must_be_ends for part in parts)]),
            StringTable.concatenated([part.problems for part in parts]),
        )

    @once
    def first_number(self) -> Int64Array:
        """Position of the first number of each table, ``(tables + 1,)``."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.counts)])

    @once
    def ends(self) -> Int64Array:
        """The last number of each table, ``(tables,)``; 0 for a table without numbers."""
        return self._numbers_at(self.first_number[1:] - 1)

    @once
    def begins(self) -> Int64Array:
        """The first number of each table, ``(tables,)``; 0 for a table without numbers."""
        return self._numbers_at(self.first_number[:-1])

    @once
    def is_usable(self) -> BoolArray:
        """Whether each table has no problem, ``(tables,)``."""
        is_usable: BoolArray = np.diff(self.problems.ends, prepend=0) == 0
        return is_usable

    def _numbers_at(self, positions: Int64Array) -> Int64Array:
        has = self.counts > 0
        numbers = np.zeros(len(has), np.int64)
        numbers[has] = self.numbers[positions[has]]
        return numbers

    def take(self, units: Int64Array) -> IndexTable:
        """The tables of some units, in that order."""
        tables, _, table_of = distinct(self.table_of[units])
        numbers = flat_positions(self.first_number[tables], self.counts[tables])
        return IndexTable(
            table_of,
            self.counts[tables],
            self.numbers[numbers],
            self.must_be_ends[tables],
            self.problems.take(tables),
        )

    @property
    def nbytes(self) -> int:
        """Bytes of the numbers."""
        return self.numbers.nbytes

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays of all parts by name, little-endian."""
        arrays = {name: getattr(self, name) for name in ("table_of", "counts", "numbers", "must_be_ends")}
        return little_endian(
            arrays | {"problem_bytes": self.problems.blob, "problem_ends": self.problems.ends}
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> IndexTable:
        """The tables that `arrays` returned."""
        return cls(
            arrays["table_of"],
            arrays["counts"],
            arrays["numbers"],
            arrays["must_be_ends"].astype(bool),
            StringTable(arrays["problem_bytes"], arrays["problem_ends"]),
        )


@dataclass(frozen=True, eq=False)
class RowIndex(EqualByValue, Frozen):
    """The rows of unequal length that an index divides a dataset into: row ``e`` of a unit is an entry of the index.

    It has the values ``starts[p]`` to ``starts[p] + lengths[p]`` of the dataset, where ``p`` is ``first[unit] + e``.

    Args:
        counts: rows of each unit, ``(units,)``; 0 for a unit that was not planned.
        first: position of the first row of each unit, ``(units,)``. Units that share an index share its rows.
        starts: first value of each row in the dataset of its unit, ``(rows,)``.
        lengths: values of each row, ``(rows,)``.
    """

    counts: Int64Array
    first: Int64Array
    starts: Int64Array
    lengths: Int64Array

    @classmethod
    def of(cls, table: IndexTable, units: Int64Array, is_offsets: BoolArray) -> RowIndex:
        """The rows of some units.

        Args:
            table: the numbers.
            units: the units, ascending; their tables have no problem.
            is_offsets: whether the numbers are offsets, one more than there are rows, ``(units of the catalog,)``;
                else they are the ends of rows.
        """
        pairs, _, pair_of = distinct(2 * table.table_of[units] + is_offsets[units])
        tables, offsets = pairs // 2, pairs % 2
        sizes = table.counts[tables]
        numbers = table.numbers
        if not np.array_equal(tables, np.arange(len(table.counts))):
            numbers = numbers[flat_positions(table.first_number[tables], sizes)]
        begins = np.cumsum(sizes) - sizes
        starts = np.concatenate([np.zeros(min(1, len(numbers)), np.int64), numbers[:-1]])
        starts[begins[sizes > 0]] = 0
        lengths = numbers - starts
        if offsets.any():  # the first offset ends no row
            is_row = np.ones(len(numbers), bool)
            is_row[begins[(offsets > 0) & (sizes > 0)]] = False
            starts, lengths = starts[is_row], lengths[is_row]
        rows = np.maximum(sizes - offsets, 0)
        counts, first = np.zeros((2, len(table.table_of)), np.int64)
        counts[units] = rows[pair_of]
        first[units] = (np.cumsum(rows) - rows)[pair_of]
        return cls(counts, first, starts, lengths)


def joined_indexes(parts: Sequence[Mapping[str, IndexTable]]) -> dict[str, IndexTable]:
    """The indexes of catalogs of one scan as one; a catalog without files may have none."""
    found = [part for part in parts if part]
    return {path: IndexTable.joined([part[path] for part in found]) for path in (found or [{}])[0]}
