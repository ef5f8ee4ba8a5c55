"""Which axes of a field are rows and series: what each field says, and what it takes over from samples and series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from h5lightning.core.formatting import counted
from h5lightning.errors import OptionError
from h5lightning.options import Field, Rows, Samples, Series
from h5lightning.options.coerce import SeriesOption
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.planning.row_numbers import (
    IN_SERIES,
    IN_TRAJECTORIES,
    IN_UNIT,
    OF_SERIES,
    AlongAxes,
    RowNumbers,
)

__all__ = ["check_axes", "row_numbers_of", "rows_seen", "with_axes", "with_positive_axes"]

F = TypeVar("F", bound=Field)


def check_axes(samples: Samples, series: SeriesOption) -> None:
    """Raise `OptionError` for rows along the axis of series, or for series along another axis than the first."""
    axis = series.axis if isinstance(series, Series) else None
    if axis is not None and axis > 0:
        raise OptionError(
            f"series.axis={axis}: series along another axis than 0 are not available: store that axis first"
        )
    if axis == 0 and 0 in samples.axes:
        later: Any = tuple(one + 1 if one >= 0 else one for one in samples.axes)
        raise OptionError(
            "series=Series(axis=0) makes each entry of axis 0 a series, so rows cannot lie along axis 0 too: "
            f"samples={replace(samples, axis=later[0] if len(later) == 1 else later)!r}"
        )


def with_axes(fields: Mapping[str, F], samples: Samples, series: SeriesOption) -> dict[str, F]:
    """The fields, each with the axes that it has: ``axis=1, series_axis=0``, or None for rows along axis 0 alone.

    Raises:
        OptionError: axes that contradict each other, or are not available.
    """
    check_axes(samples, series)
    for key, field in fields.items():
        if field.index is not None:
            _check_index(key, field, samples)
    return {key: _with_axes(key, field, samples, series) for key, field in fields.items()}


def with_positive_axes(fields: Mapping[str, F], catalog: Catalog) -> dict[str, F]:
    """The fields, `with_axes`, whose axes count from the front.

    Raises:
        OptionError: an axis is outside of a dataset, or two names mean the same axis.
    """
    return {key: _with_positive_axes(key, field, catalog) for key, field in fields.items()}


def row_numbers_of(field: Field) -> RowNumbers:
    """How the rows of a field `with_axes` are numbered."""
    if field.constant:
        return OF_SERIES
    axes = field.axes
    if axes is None:
        return IN_UNIT
    if axes == (1,) and field.series_axis == 0:
        return IN_TRAJECTORIES
    if axes == (0,) and field.series_axis is None:
        return IN_SERIES
    return AlongAxes(axes=axes, series_axis=field.series_axis)


def rows_seen(dataset: DatasetSchema, numbers: RowNumbers) -> DatasetSchema:
    """A dataset as one whose rows lie along axis 0, so that the rows of files can be compared."""
    if isinstance(numbers, AlongAxes):
        return dataset.without_axes(numbers.free_axes)
    return dataset.folded(numbers.leading)


def _with_axes(key: str, field: F, samples: Samples, series: SeriesOption) -> F:
    has_axis = isinstance(series, Series) and series.axis is not None
    if field.derived_from is not None or field.table_columns:
        return field
    if field.attr is not None or field.constant:
        _check_constant(key, field, series)
        return field
    if field.index is not None:
        return field  # its rows are the entries of the index
    if field.axes is None and field.series_axis is None:
        axis = samples.axis if samples.axes != (0,) else None
        return replace(field, axis=axis, series_axis=0 if has_axis else None)
    if field.axes is None:
        raise OptionError(
            f"field {key!r}: a field that says series_axis says where its rows lie too: "
            f"{field.text(axis=1)}; one value of each series is {Field.text(field, axis=None, constant=True)}"
        )
    _check_own_axes(key, field, field.axes, samples, has_axis=has_axis)
    return replace(field, axis=None) if field.axes == (0,) and not has_axis else field


def _check_own_axes(
    key: str, field: Field, axes: tuple[int, ...], samples: Samples, *, has_axis: bool
) -> None:
    """Raise `OptionError` unless samples can have the axes that a field says itself."""
    if field.series_axis is not None and not has_axis:
        raise OptionError(f"field {key!r}: series_axis=0 needs series=Series(axis=0)")
    if field.series_axis:
        raise OptionError(f"field {key!r}: series_axis={field.series_axis} is not available: use 0")
    if field.series_axis in axes:
        raise OptionError(
            f"field {key!r}: axis={field.axis} and series_axis=0 are one axis: rows need another one"
        )
    if has_axis and field.series_axis is None and axes != (0,):
        raise OptionError(
            f"field {key!r}: axis={field.axis} without series_axis is for rows that all series share, which lie along "
            f"axis 0; rows of each series are {field.text(series_axis=0)}"
        )
    if len(axes) not in (1, len(samples.axes)):
        raise OptionError(
            f"field {key!r}: axis={field.axis!r} names {len(axes)} axes, and samples.axis={samples.axis!r} has "
            f"{len(samples.axes)}: name as many, or the axis of rows alone"
        )


def _with_positive_axes(key: str, field: F, catalog: Catalog) -> F:
    axes = field.axes
    if axes is None or field.derived_from is not None:
        return field
    path = field.parts()[0].path
    shapes = (dataset.shape for layout in catalog.layouts for dataset in layout if dataset.path == path)
    ndim = len(next(shapes, ()))
    if not ndim:
        return field  # it is missing, or a scalar: an error that follows
    if bad := [axis for axis in axes if not -ndim <= axis < ndim]:
        raise OptionError(
            f"field {key!r}: axis {bad[0]} is outside of '/{path}', which has {counted(ndim, 'axis')}"
            f"{_fewer_axes(field, ndim)}"
        )
    positive = tuple(axis % ndim for axis in axes)
    taken = positive if field.series_axis is None else (field.series_axis, *positive)
    if len(set(taken)) < len(taken):
        raise OptionError(
            f"field {key!r}: axis={field.axis!r} names one axis of '/{path}' twice, which has {ndim} axes: say the "
            "axes of this field with Field(path, axis=…)"
        )
    if positive == (0,) and axes != (0,) and field.series_axis is None:
        return replace(field, axis=None)
    return replace(field, axis=positive if len(positive) > 1 else positive[0])


def _fewer_axes(field: Field, ndim: int) -> str:
    """The remedy for a dataset with fewer axes than others, as labels beside volumes."""
    if field.series_axis is not None:
        return f": one value of each series is {field.text(axis=None, constant=True)}"
    if 1 < (count := len(field.axes or ())) <= ndim:
        return f": if its windows lie along its last axes, {field.text(axis=list(range(ndim - count, ndim)))}"
    return f": if its rows lie along another axis, {field.text(axis=0)}"


def _check_index(key: str, field: Field, samples: Samples) -> None:
    """Raise `OptionError` unless samples can be entries of the index of a field."""
    if not field.constant and not isinstance(samples, Rows):
        raise OptionError(
            f"field {key!r}: with index={field.index!r}, a row is an entry of the index, of any length: use "
            f"samples=Rows(), found {samples!r}"
        )
    plain = next((part.path for part in field.parts() if "*" not in part.path), None)
    if "*" in (field.index or "") and plain is not None:
        raise OptionError(
            f"field {key!r}: index={field.index!r} holds a '*', but {plain!r} does not: each match needs values of its "
            "own"
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
        raise OptionError(f"field {key!r}: series_axis={field.series_axis} is not available: use 0")
    if not isinstance(series, Series) or (series.axis is None and not series.tables):
        raise OptionError(
            f"field {key!r}: one value of each series (constant=True, series_axis=0) needs series=Series(…), which "
            "says what a series of a file is"
        )
