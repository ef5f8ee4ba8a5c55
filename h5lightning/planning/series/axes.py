"""Which axes of a field are rows and series: what each field says, and what it takes over from samples and series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from h5lightning.errors import OptionError
from h5lightning.options import Field, Samples, Series
from h5lightning.options.coerce import SeriesOption
from h5lightning.planning.row_numbers import (
    IN_SERIES,
    IN_TRAJECTORIES,
    IN_UNIT,
    OF_SERIES,
    RowNumbers,
)

__all__ = ["check_axes", "row_numbers_of", "with_axes"]

F = TypeVar("F", bound=Field)


def check_axes(samples: Samples, series: SeriesOption) -> None:
    """Raise `OptionError` unless rows lie along axis 0, or along axis 1 of series along axis 0."""
    axis = series.axis if isinstance(series, Series) else None
    if axis is None and samples.axis:
        raise OptionError(
            f"samples.axis={samples.axis}: rows lie along axis 0, or with series=Series(axis=0) along axis 1. "
            "Rows along another axis are not available yet"
        )
    if axis is not None and axis > 0:
        raise OptionError(f"series.axis={axis}: series along another axis than 0 are not available yet")
    if axis == 0 and samples.axis == 0:
        raise OptionError(
            "series=Series(axis=0) makes each entry of axis 0 a series, so rows cannot lie along axis 0 too: "
            f"samples={replace(samples, axis=1)!r}"
        )
    if axis == 0 and samples.axis != 1:
        raise OptionError(
            f"samples.axis={samples.axis}: with series=Series(axis=0), rows lie along axis 1; rows along another axis "
            "are not available yet"
        )


def with_axes(fields: Mapping[str, F], samples: Samples, series: SeriesOption) -> dict[str, F]:
    """The fields, each with the axes that it has: ``axis=1, series_axis=0``, or None for rows along axis 0 alone.

    Raises:
        OptionError: axes that contradict each other, or are not available.
    """
    check_axes(samples, series)
    return {key: _with_axes(key, field, series) for key, field in fields.items()}


def row_numbers_of(field: Field) -> RowNumbers:
    """How the rows of a field `with_axes` are numbered."""
    if field.constant:
        return OF_SERIES
    if field.series_axis is not None:
        return IN_TRAJECTORIES
    return IN_UNIT if field.axis is None else IN_SERIES


def _with_axes(key: str, field: F, series: SeriesOption) -> F:
    has_axis = isinstance(series, Series) and series.axis is not None
    axes = field.axis, field.series_axis
    if field.attr is not None or field.constant:
        _check_constant(key, field, series)
        return field
    if axes == (None, None):
        return replace(field, axis=1, series_axis=0) if has_axis else field
    if axes == (0, None):
        return field if has_axis else replace(field, axis=None)
    if axes == (1, 0) and has_axis:
        return field
    if field.series_axis == 0 and axes != (1, 0):
        raise OptionError(
            f"field {key!r}: a field that says series_axis says where its rows lie too: "
            f"{field.text(axis=1)}; one value of each series is {Field.text(field, axis=None, constant=True)}"
        )
    if not has_axis and field.series_axis == 0:
        raise OptionError(f"field {key!r}: series_axis=0 needs series=Series(axis=0)")
    raise OptionError(
        f"field {key!r}: axis={field.axis}, series_axis={field.series_axis} is not available yet: rows lie along axis "
        "0, or along axis 1 of series along axis 0"
    )


def _check_constant(key: str, field: Field, series: SeriesOption) -> None:
    what = "the attribute" if field.attr is not None else "constant=True"
    if field.axis is not None:
        raise OptionError(f"field {key!r}: {what} has no axis of rows: remove axis")
    if field.series_axis is None:
        return
    if field.attr is not None:
        raise OptionError(f"field {key!r}: {what} has no axis of series: remove series_axis")
    if field.series_axis:
        raise OptionError(f"field {key!r}: series_axis={field.series_axis} is not available yet: use 0")
    if not isinstance(series, Series) or (series.axis is None and not series.tables):
        raise OptionError(
            f"field {key!r}: one value of each series (constant=True, series_axis=0) needs series=Series(…), which "
            "says what a series of a file is"
        )
