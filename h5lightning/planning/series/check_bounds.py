"""Whether the tables that divide rows into series agree with the rows of the fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.errors import SchemaError
from h5lightning.options import Series
from h5lightning.options.checks import did_you_mean
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.series_bounds import SeriesBounds

__all__ = ["check_bounds", "problem_of", "series_text"]

_LACKS = "holds no dataset"


def check_bounds(
    catalog: Catalog,
    series: Series,
    rows: Int64Array,
    units: Int64Array,
    path: str,
    *,
    names_in: Callable[[int], Sequence[str]] = lambda _: (),
) -> tuple[str, ...]:
    """Raise unless the tables of all units divide the rows of their fields.

    Args:
        catalog: the series of each unit.
        series: the option that names the tables.
        rows: rows of each unit of the catalog, ``(units of the catalog,)``.
        units: the units to check, ascending.
        path: path of a field with these rows.
        names_in: the datasets of a unit, for the error of a missing one.

    Returns:
        A remark about rows that lie in no series, if there are any.

    Raises:
        SchemaError: tables are missing, hold impossible entries, or speak of other rows; or no series has a row.
    """
    bounds = _bounds(catalog)
    bad = units[_are_bad(bounds, series, rows)[units]]
    if not bad.size:
        return _remarks(bounds, series, rows, units)
    unit = int(bad[0])
    problem = problem_of(bounds, series, unit, int(rows[unit]), path)
    where = f"{catalog.where(unit)}:"
    if problem.startswith(_LACKS):
        table = problem.split("'/", 1)[1].rstrip("'")
        problem += did_you_mean(table, names_in(unit))
        where = where[:-1]
    raise SchemaError(f"{series.text()}: {where} {problem}{catalog.more(bad)}")


def problem_of(bounds: SeriesBounds, series: Series, unit: int, rows: int, path: str) -> str:
    """Why the tables of a unit do not divide its rows, as a sentence; empty if they do."""
    if problem := bounds.problems[unit]:
        return problem
    total = int(bounds.totals[unit])
    if total == rows or (total < rows and series.starts):
        return ""
    tables = " and ".join(f"'/{entry.split('=', 1)[1]}'" for entry in series.tables)
    if series.flags or series.runs:
        return f"{tables} has {total} entries, expected one for each of the {rows} rows of '/{path}'"
    if series.starts:
        return f"the last series of {tables} ends at row {total}, beyond the {rows} rows of '/{path}'"
    entries, expected = int(bounds.counts[unit]), f"expected {rows}, the number of rows of '/{path}'"
    if series.lengths:
        return f"the {entries} lengths in {tables} sum up to {total}, {expected}"
    last = entries if series.offsets else entries - 1
    hint = ""
    if total == rows - 1 and series.ends:
        hint = ". Entries are one past the last row of each series; where they are the last row, write them plus 1"
    return f"the last entry of {tables}, [{max(0, last)}], is {total}, {expected}{hint}"


def _remarks(bounds: SeriesBounds, series: Series, rows: Int64Array, units: Int64Array) -> tuple[str, ...]:
    total, inside = int(rows[units].sum()), int(bounds.rows_in_series[units].sum())
    if not inside and total:
        raise SchemaError(f"{series.text()}: none of the {int(bounds.counts[units].sum())} series has a row")
    if inside == total:
        return ()
    return (f"{total - inside:,} of {total:,} rows lie in no series of {series.text()}: no sample has them",)


def series_text(catalog: Catalog, series: int) -> str:
    """A series, by its number in the catalog, for messages; with its unit, where a unit has several."""
    bounds = catalog.bounds
    if bounds is None:
        return catalog.where(series)
    unit = int(bounds.unit_of[series])
    name = (
        str(series - int(bounds.first_series[unit])) if bounds.names is None else repr(bounds.names[series])
    )
    return f"series {name} of {catalog.where(unit)}"


def _are_bad(bounds: SeriesBounds, series: Series, rows: Int64Array) -> BoolArray:
    """Whether the tables of each unit cannot be used, ``(units,)``."""
    is_other = bounds.totals > rows if series.starts else bounds.totals != rows
    has_problem = np.diff(bounds.problems.ends, prepend=0) > 0
    return is_other | has_problem


def _bounds(catalog: Catalog) -> SeriesBounds:
    if catalog.bounds is None:
        raise ValueError("the catalog was scanned without the tables of series")
    return catalog.bounds
