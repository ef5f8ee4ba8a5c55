"""Series along the leading axis of datasets, ``(series, rows, …)``: what each file has, and whether fields agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.string_table import StringTable
from h5lightning.errors import FieldError, SchemaError
from h5lightning.options import Field, SingleField, single_fields
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.series_bounds import SeriesBounds
from h5lightning.planning.row_numbers import IN_SERIES
from h5lightning.planning.series.axes import row_numbers_of

__all__ = ["check_lengths", "with_leading_series"]

_Named = tuple[str, SingleField]


def with_leading_series(catalog: Catalog, fields: Mapping[str, Field]) -> Catalog:
    """The catalog with the series that the leading axis of fields makes in each unit; as it is if none does.

    Args:
        catalog: the shapes of all datasets.
        fields: the fields, `with_axes`. The first one that a unit has counts.
    """
    counts = rows = np.full(catalog.unit_count, -1)
    leading = [field for _, field in single_fields(fields) if _has_series(field)]
    if not leading:
        return catalog
    for field in leading:
        own_counts, own_rows = _lengths(catalog, field)
        is_new = (counts < 0) & (own_rows >= 0)
        counts, rows = np.where(is_new, own_counts, counts), np.where(is_new, own_rows, rows)
    counts, rows = np.maximum(counts, 0), np.maximum(rows, 0)
    numbers = np.arange(int(counts.sum())) - (np.cumsum(counts) - counts).repeat(counts)
    rows_each = rows.repeat(counts)
    no_problems = StringTable.of([""]).take(np.zeros(len(counts), np.int64))
    bounds = SeriesBounds(counts, counts * rows, numbers * rows_each, rows_each, no_problems)
    return replace(catalog, bounds=bounds)


def check_lengths(catalog: Catalog, fields: Mapping[str, Field], units: Int64Array) -> None:
    """Raise unless the axes of all fields of each unit have the lengths of its series.

    Args:
        catalog: the shapes of all datasets, and the series of each unit.
        fields: the fields, `with_axes`, which all units have.
        units: the units to check, ascending.

    Raises:
        FieldError: no field has series along its leading axis, though another one shares rows with them.
        SchemaError: lengths differ; it names the unit, both datasets and both shapes.
    """
    named = list(single_fields({key: field for key, field in fields.items() if field.attr is None}))
    leading = [one for one in named if _has_series(one[1])]
    shared = [one for one in named if row_numbers_of(one[1]) is IN_SERIES]
    of_series = [one for one in named if one[1].constant and one[1].series_axis is not None]
    if shared and not leading:
        raise FieldError(
            f"field {shared[0][0]!r}: all series share its rows (axis=0), and no other field has series: at least one "
            "field must have series along axis 0 and rows along another axis"
        )
    if not (leading or of_series) or catalog.bounds is None:
        return
    counts = catalog.bounds.counts
    rows = catalog.bounds.totals // np.maximum(counts, 1)
    reference = leading[0][1] if leading else None
    for one in leading:
        own_counts, own_rows = _lengths(catalog, one[1])
        is_other = (own_counts != counts) | (own_rows != rows)
        _check(catalog, one, units[is_other[units]], reference, "the same two axes, of series and of rows")
    for one in shared:
        more = catalog.facts_of(one[1].path)[:, 0] - rows
        is_other = (more < 0) | (more > one[1].extra_rows)
        what = "a row for each row of a series"
        if (more[units] == 1).all():
            what += f"; with one more, such as the time of the end, it is {one[1].text(extra_rows=1)}"
        _check(catalog, one, units[is_other[units]], reference, what)
    for one in of_series:
        is_other = catalog.facts_of(one[1].path)[:, 0] != counts
        _check(catalog, one, units[is_other[units]], reference, "a value for each series")


def _check(catalog: Catalog, one: _Named, bad: Int64Array, reference: SingleField | None, what: str) -> None:
    """Raise if a field has other lengths than the reference, or than there are series, in units that are ``bad``."""
    if not bad.size:
        return
    unit, (key, field) = int(bad[0]), one
    path = field.path
    expected = "" if catalog.bounds is None else f"there are {catalog.bounds.counts[unit]} series"
    if reference is not None:
        expected = f"'/{reference.path}' has the shape {_shape(catalog, unit, reference)}"
    raise SchemaError(
        f"field {key!r}: in {catalog.where(unit)} '/{path}' has the shape {_shape(catalog, unit, field)}, and "
        f"{expected}: it needs {what}{catalog.more(bad)}. Rows that all series share are Field({path!r}, axis=0), one "
        f"value of each series Field({path!r}, constant=True, series_axis=0), and one of the whole file "
        f"Field({path!r}, constant=True)"
    )


def _shape(catalog: Catalog, unit: int, field: SingleField) -> tuple[int, ...]:
    dataset = catalog.schema(unit).dataset(field.path)
    return () if dataset is None else dataset.shape


def _has_series(field: Field) -> bool:
    """Whether the entries of one axis of a field are series, each with rows along another axis."""
    return not field.constant and field.series_axis is not None and row_numbers_of(field).is_in_unit


def _lengths(catalog: Catalog, field: SingleField) -> tuple[Int64Array, Int64Array]:
    """The series of a field and the rows of each, in each unit, ``(units,)``; negative where it lacks an axis."""
    series_axis, row_axis = row_numbers_of(field).row_axes
    return catalog.axis_lengths(field.path, series_axis), catalog.axis_lengths(field.path, row_axis)
