"""Lines of a table that are series: each says its first row, and one past its last one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.core.formatting import counted
from h5lightning.core.frozen import Frozen
from h5lightning.core.string_table import StringTable
from h5lightning.errors import OptionError, TableError
from h5lightning.options import Field, Rows, Series, Table
from h5lightning.options.coerce import SeriesOption
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.series_bounds import SeriesBounds
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.series.make_index import make_index
from h5lightning.planning.tables.match_files import FileLines
from h5lightning.planning.tables.match_series import LinePairs, lacking_lines, pair_lines
from h5lightning.planning.tables.table_lines import TableLines

__all__ = ["LineSeries", "check_line_options", "check_line_rows", "with_line_series"]


@dataclass(frozen=True, slots=True, eq=False)
class LineSeries(Frozen):
    """The series that lines make.

    Args:
        catalog: the files, with these series.
        line_of: the line of each series, ``(series,)``.
    """

    catalog: Catalog
    line_of: Int64Array


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    """Parts of units, sorted by unit and first row, ``(parts,)`` each."""

    line: Int64Array
    owner: Int64Array  # series of the files that they lie in
    unit: Int64Array
    start: Int64Array
    rows: Int64Array


def check_line_options(table: Table, series: SeriesOption, fields: dict[str, Field]) -> None:
    """Raise `OptionError` if lines that are series go together with other options."""
    if isinstance(series, Series) and (series.axis is not None or series.join_files is not None):
        raise OptionError(
            f"table.start and table.stop make a series of each line, found series={series.text()} too: say one of them"
        )
    for key, field in fields.items():
        if field.extra_rows:
            raise OptionError(
                f"field {key!r}: extra_rows cannot be combined with table.start and table.stop: there, each series has "
                "the same rows in all fields"
            )
    if table.key is not None:
        raise OptionError("table.key matches single rows, found start and stop too: leave one of them out")


def with_line_series(catalog: Catalog, files: FileLines, table: Table) -> LineSeries:
    """The catalog with the series that lines make; rows between them are in no series.

    Args:
        catalog: the files; series that tables in them make are parts that a line may name.
        files: the lines, and their files.
        table: its options, with ``start`` and ``stop``.

    Raises:
        TableError: a line says no rows, no row at all, or rows that another line or none has; a file has no line.
    """
    index = make_index(catalog, np.zeros(catalog.unit_count, np.int64), Rows())
    parts = _parts(files, table, index)
    _check_parts(files.lines, parts, index, None if catalog.bounds is None else index.series_rows)
    lacking = np.setdiff1d(np.arange(len(index.series_rows)), parts.owner)
    if lacking.size and (table.on_missing == "raise" or not len(parts.line)):
        raise lacking_lines(files, table, index, lacking, LinePairs(parts.line, parts.owner))
    counts = np.bincount(parts.unit, minlength=catalog.unit_count).astype(np.int64)
    totals = np.zeros(catalog.unit_count, np.int64)
    np.maximum.at(totals, parts.unit, parts.start + parts.rows)
    problems = StringTable.of([""]).take(np.zeros(catalog.unit_count, np.int64))
    if catalog.bounds is not None:
        totals, problems = catalog.bounds.totals, catalog.bounds.problems
    names = StringTable.of(_numbers_in_units(parts))
    bounds = SeriesBounds(counts, totals, parts.start, parts.rows, problems, names)
    return LineSeries(replace(catalog, bounds=bounds), parts.line)


def check_line_rows(catalog: Catalog, series: LineSeries, lines: TableLines, rows: Int64Array) -> None:
    """Raise `TableError` if a line says rows beyond those of its unit; ``rows`` are those of each, ``(units,)``."""
    bounds = series.catalog.bounds
    if bounds is None:
        raise ValueError("a catalog without the series of lines")
    beyond = np.flatnonzero(bounds.starts + bounds.rows > rows[bounds.unit_of])
    if beyond.size:
        first = int(beyond[0])
        unit, stop = int(bounds.unit_of[first]), int(bounds.starts[first] + bounds.rows[first])
        more = f" (and {beyond.size - 1:,} more lines)" if beyond.size > 1 else ""
        raise TableError(
            f"{lines.where(int(series.line_of[first]))} ends at row {stop}, beyond the {rows[unit]} rows of "
            f"{catalog.where(unit)}{more}"
        )


def _parts(files: FileLines, table: Table, index: SampleIndex) -> _Parts:
    lines, pairs = files.lines, pair_lines(files, table, index)
    is_used = np.zeros(len(lines), np.bool_)
    is_used[pairs.line] = True
    said = ((table.start, "start"), (table.stop, "stop"))
    start, stop = (_whole(lines, name, option, is_used) for name, option in said)
    bad = np.flatnonzero(is_used & ((start < 0) | (start >= stop)))
    if bad.size:
        first = int(bad[0])
        row, end = f"{table.start}={start[first]}", f"{table.stop}={stop[first]}"
        more = f" (and {bad.size - 1:,} more lines)" if bad.size > 1 else ""
        raise TableError(
            f"{lines.where(first)} has {row} and {end}{more}, expected 0 ≤ start < stop: rows count from 0, and the "
            f"last one comes before {table.stop}"
        )
    base = np.zeros(len(index.series_rows), np.int64) if index.series_start is None else index.series_start
    unit, starts = index.units[pairs.series], base[pairs.series] + start[pairs.line]
    order = np.lexsort((starts, unit))
    line = pairs.line[order]
    return _Parts(line, pairs.series[order], unit[order], starts[order], (stop - start)[line])


def _check_parts(lines: TableLines, parts: _Parts, index: SampleIndex, rows: Int64Array | None) -> None:
    """Raise if two lines share a row, or if one leaves its series; ``rows`` are those of series, if they are known."""
    ends = parts.start + parts.rows
    overlap = np.flatnonzero((parts.unit[1:] == parts.unit[:-1]) & (parts.start[1:] < ends[:-1]))
    if overlap.size:
        first = int(overlap[0])
        pair = sorted(int(lines.numbers[line]) for line in parts.line[first : first + 2])
        file = index.names[int(index.series_file[parts.owner[first]])]
        more = f" (and {overlap.size - 1:,} more pairs)" if overlap.size > 1 else ""
        raise TableError(
            f"{lines.noun}s {pair[0]} and {pair[1]} of {lines.path} overlap: both have row {parts.start[first + 1]} of "
            f"{file}{more}. Series share no rows"
        )
    if rows is None or index.series_start is None:
        return
    room = index.series_start[parts.owner] + rows[parts.owner]
    beyond = np.flatnonzero(ends > room)
    if beyond.size:
        one = int(beyond[0])
        owner = int(parts.owner[one])
        raise TableError(
            f"{lines.where(int(parts.line[one]))} ends at row {ends[one] - index.series_start[owner]}, beyond the "
            f"{rows[owner]} rows of {index.where(owner)}"
        )


def _whole(lines: TableLines, name: str | None, option: str, is_used: BoolArray) -> Int64Array:
    """The rows that a column says, ``(lines,)``; those of lines that are used must be whole numbers."""
    column = lines.columns[name or ""]
    numbers = column.numbers
    is_whole = (
        numbers.is_number & (np.trunc(numbers.values) == numbers.values) & (abs(numbers.values) < 2.0**53)
    )
    bad = np.flatnonzero(is_used & ~is_whole)
    if bad.size:
        _not_whole(lines, column.texts[int(bad[0])], bad, name, option)
    return np.where(is_whole, numbers.values, 0).astype(np.int64)


def _not_whole(
    lines: TableLines, text: str | None, bad: Int64Array, name: str | None, option: str
) -> NoReturn:
    what = "is empty" if text is None else f"is {text!r}"
    raise TableError(
        f"{lines.where(int(bad[0]))}: the column {name!r} (table.{option}) {what}, expected the number of a row"
        f"{f' (and in {counted(bad.size - 1, lines.noun)} more)' if bad.size > 1 else ''}"
    )


def _numbers_in_units(parts: _Parts) -> list[str]:
    """The number of each line among those of its unit, in the order of the table, as text."""
    order = np.lexsort((parts.line, parts.unit))
    numbers = np.empty(len(order), np.int64)
    unit = parts.unit[order]
    numbers[order] = np.arange(len(order)) - np.searchsorted(unit, unit)
    return [str(number) for number in numbers.tolist()]
