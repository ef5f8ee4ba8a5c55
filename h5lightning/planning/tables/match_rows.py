"""Which line of a table speaks of each row: the one that has its key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import BoolArray, Int64Array, flat_positions
from h5lightning.core.bits import Bits
from h5lightning.core.formatting import counted, listed
from h5lightning.core.frozen import Frozen
from h5lightning.errors import TableError
from h5lightning.options import Table
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.row_values import RowValues
from h5lightning.planning.catalog.value_list import Value, ValueList
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.tables.match_files import FileLines
from h5lightning.planning.tables.table_lines import Column, TableLines

__all__ = ["RowLines", "match_rows"]

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True, eq=False)
class RowLines(Frozen):
    """The line of each row: ``line_of[first[unit] + code]``, where ``code`` is that of its key.

    Args:
        lines: the lines.
        keys: the keys of all rows.
        first: where the lines of the keys of each unit begin, ``(units,)``.
        line_of: the line of each key, -1 for none, ``(keys,)``.
        lacking: rows without a line, in each unit that must have lines, ``(units,)``.
    """

    lines: TableLines
    keys: RowValues
    first: Int64Array
    line_of: Int64Array
    lacking: Int64Array

    @property
    def any_line(self) -> int:
        """A line that a row has."""
        return int(self.line_of.max(initial=0))

    def of_unit(self, unit: int) -> Int64Array:
        """The line of each row of a unit, -1 for none, ``(rows,)``."""
        codes = self.keys.rows_of(unit)
        if codes is None:
            raise ValueError("the keys of a unit are not known")
        flat = codes.reshape(-1).astype(np.int64)
        return np.where(flat < 0, -1, np.append(self.line_of, -1)[flat + self.first[unit]])

    def lines_of(self, units: Int64Array) -> Int64Array:
        """The lines that speak of rows of some units, ascending."""
        is_used = np.zeros(len(self.lines) + 1, np.bool_)  # the last one for none
        counts = self.keys.counts[self.keys.list_of[self.keys.column_of[units]]]
        is_used[
            self.line_of[flat_positions(self.first[units], np.where(self.keys.has_rows[units], counts, 0))]
        ] = True
        return np.flatnonzero(is_used[:-1])

    def without_line(self, index: SampleIndex) -> Bits:
        """The rows without a line in units that must have lines, numbered over the rows of all series of an index."""
        ends = np.cumsum(index.series_rows)
        found = np.zeros(int(index.series_rows.sum()), np.bool_)
        for unit in np.flatnonzero(self.lacking).tolist():
            is_lacking = self.of_unit(unit) < 0
            for series in range(*index.units.searchsorted([unit, unit + 1]).tolist()):
                rows, end = int(index.series_rows[series]), int(ends[series])
                start = 0 if index.series_start is None else int(index.series_start[series])
                found[end - rows : end] = is_lacking[start : start + rows]
        return Bits.of_bools(found)


def match_rows(
    files: FileLines,
    table: Table,
    catalog: Catalog,
    keys: RowValues,
    rows: Int64Array,
    is_needed: BoolArray,
) -> RowLines:
    """Find the line of each row.

    Args:
        files: the lines, and the files that they speak of.
        table: its options, with ``key``.
        catalog: the files.
        keys: the key of each row.
        rows: rows of each unit, ``(units,)``.
        is_needed: whether the rows of each unit must have lines, ``(units,)``.

    Raises:
        TableError: keys that are not known, two lines of one key, or rows without a line.
    """
    _check_keys(table, catalog, keys, rows, np.flatnonzero(is_needed))
    known = _KnownKeys(files, table)
    first = np.zeros(catalog.unit_count, np.int64)
    found: list[Int64Array] = [np.zeros(0, np.int64)]
    made: dict[tuple[int, int], int] = {}
    total = 0
    for unit in np.flatnonzero(keys.has_rows & keys.is_usable).tolist():
        file = int(catalog.unit_files[unit]) if files.file_of is not None else -1
        number = int(keys.list_of[keys.column_of[unit]])
        if (file, number) not in made:
            made[file, number] = total
            found.append(known.lines_of(keys.lists[number], file, catalog.where(unit)))
            total += len(found[-1])
        first[unit] = made[file, number]
    matched = RowLines(
        files.lines, keys, first, np.concatenate(found), np.zeros(catalog.unit_count, np.int64)
    )
    matched = RowLines(files.lines, keys, first, matched.line_of, _lacking(matched, is_needed))
    if matched.lacking.any() and (table.on_missing == "raise" or not (matched.line_of >= 0).any()):
        raise TableError(f"{files.lines.title}: {_lacking_text(table, catalog, matched, rows, is_needed)}")
    return matched


class _KnownKeys:
    """Finds lines by their keys; the keys of a file are looked up once."""

    def __init__(self, files: FileLines, table: Table) -> None:
        self._lines = files.lines
        self._column = files.lines.columns[table.key_column or ""]
        self._file_of = files.file_of
        self._kept: dict[tuple[int, bool], tuple[Mapping[Value, int], Mapping[Value, int]]] = {}

    def lines_of(self, keys: ValueList, file: int, where: str) -> Int64Array:
        """The line of each key, -1 for none.

        Raises:
            TableError: two lines have one of the keys.
        """
        kind = file, keys.is_text
        if kind not in self._kept:
            self._kept = {kind: self._known(*kind)} if file >= 0 else {**self._kept, kind: self._known(*kind)}
        known, twice = self._kept[kind]
        for key in keys if twice else ():
            if key in twice:
                numbers = f"{self._lines.numbers[known[key]]} and {self._lines.numbers[twice[key]]}"
                raise TableError(
                    f"{self._lines.noun}s {numbers} of {self._lines.path} have the key {key!r} of a row of {where}: "
                    "one line may. Remove one of them"
                )
        return np.asarray([known.get(key, -1) for key in keys], np.int64)

    def _known(self, file: int, is_text: bool) -> tuple[Mapping[Value, int], Mapping[Value, int]]:
        """Key → line, and those of the keys that a second line has."""
        lines = np.arange(len(self._lines))
        if self._file_of is not None:
            lines = np.flatnonzero(self._file_of == file)
        known: dict[Value, int] = {}
        twice: dict[Value, int] = {}
        for line, key in _keys(self._column, lines, is_text=is_text):
            if known.setdefault(key, line) != line:
                twice.setdefault(key, line)
        return known, twice


def _keys(column: Column, lines: Int64Array, *, is_text: bool) -> Iterator[tuple[int, Value]]:
    """The lines that have a key, and the keys."""
    if is_text:
        texts = column.texts
        return ((line, text) for line in lines.tolist() if (text := texts[line]) is not None)
    lines = lines[column.numbers.is_number[lines]]
    return zip(lines.tolist(), column.numbers.values[lines].tolist(), strict=True)


def _check_keys(table: Table, catalog: Catalog, keys: RowValues, rows: Int64Array, units: Int64Array) -> None:
    """Raise `TableError` unless each row of some units has one key."""
    start, path = f"table.key={table.key!r}: ", table.key_path
    for unit in units[~keys.is_usable[units]][:1].tolist():
        raise TableError(f"{start}{catalog.where(unit)} {keys.problem(unit)}")
    counts = keys.unit_rows * keys.unit_row_sizes
    for unit in units[(counts != rows)[units] | ~keys.has_rows[units]][:1].tolist():
        size = counted(int(keys.unit_row_sizes[unit]), "value")
        raise TableError(
            f"{start}in {catalog.where(unit)} '/{path}' has {keys.unit_rows[unit]} rows of {size}, expected one value "
            f"for each of the {rows[unit]} rows of the fields"
        )


def _lacking(matched: RowLines, is_needed: BoolArray) -> Int64Array:
    """Rows without a line in each unit that must have lines, ``(units,)``."""
    lacking = np.zeros(len(is_needed), np.int64)
    for unit in np.flatnonzero(is_needed).tolist():
        lacking[unit] = (matched.of_unit(unit) < 0).sum()
    return lacking


def _lacking_text(
    table: Table,
    catalog: Catalog,
    matched: RowLines,
    rows: Int64Array,
    is_needed: BoolArray,
) -> str:
    """Which rows have no line, and which lines speak of no row."""
    lacking = np.flatnonzero(matched.lacking)
    shown = []
    for unit in lacking[:_MOST_NAMED].tolist():
        row = int(np.argmax(matched.of_unit(unit) < 0))
        codes = matched.keys.rows_of(unit)
        code = -1 if codes is None else int(codes.reshape(-1)[row])
        key = "no key" if code < 0 else f"key {matched.keys.values(unit)[code]!r}"
        shown.append(f"row {row} of {catalog.where(unit)} ({key})")
    total = int(matched.lacking.sum())
    text = f"{counted(total, 'row')} of {int(rows[is_needed].sum()):,} {'has' if total == 1 else 'have'} no line: "
    text += listed(shown, _MOST_NAMED, total=total)
    alone = matched.lines.without(matched.line_of)
    if alone.size:
        speak = "speaks" if alone.size == 1 else "speak"
        text += f"; {counted(alone.size, matched.lines.noun)} {speak} of no row: "
        text += matched.lines.named(alone, table.key_column)
    return (
        f"{text}. Add lines, correct the keys in column {table.key_column!r}, or leave out rows without a line with "
        "table.on_missing='skip'"
    )
