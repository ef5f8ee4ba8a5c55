"""Fields that are columns of a table: the value of each series is that of its line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.core.formatting import counted
from h5lightning.errors import FieldError
from h5lightning.options import Field
from h5lightning.planning.fields import FieldPlan, Fields, FieldSpec, StoredForm, TableField
from h5lightning.planning.tables.match_series import SeriesLines
from h5lightning.planning.tables.table_lines import TableLines
from h5lightning.planning.values.conversions import LostValueError, converted

__all__ = ["plan_column_fields", "with_column_fields"]

_WHOLE, _REAL = "int64", "float32"


def plan_column_fields(
    fields: Mapping[str, Field], series: SeriesLines, dtype: str | None
) -> dict[str, TableField]:
    """Plan the fields that are columns of a table.

    Args:
        fields: sample key → field; others are left out.
        series: the line of each series; series without a line get no meaningful value.
        dtype: the type in which floating fields are delivered.

    Raises:
        FieldError: a line has no number, or one that the delivered type cannot hold.
    """
    return {key: _plan(key, field, series, dtype) for key, field in fields.items() if field.table_columns}


def with_column_fields(
    planned: Fields, fields: Mapping[str, Field], columns: Mapping[str, TableField]
) -> Fields:
    """The plans of all fields in the order of the user; ``columns`` are those of the table."""
    plans: dict[str, FieldPlan] = {plan.key: plan for plan in planned.plans}
    plans.update(columns)
    return replace(planned, plans=tuple(plans[key] for key in fields if key in plans))


def _plan(key: str, field: Field, series: SeriesLines, dtype: str | None) -> TableField:
    lines = series.lines
    has_line = series.line_of >= 0
    line_of = series.line_of[has_line]
    columns = [lines.columns[name] for name in field.table_columns]
    for column in columns:
        bad = np.unique(line_of[~column.numbers.is_number[line_of]])
        if bad.size:
            raise _no_number(key, field, lines, column.name, bad)
    are_whole = all(column.numbers.are_whole for column in columns)
    delivered = field.dtype or (_WHOLE if are_whole else dtype or _REAL)
    stacked = np.stack([column.numbers.values for column in columns], axis=-1)
    of_lines = _converted(key, field, stacked, line_of, delivered, lines)
    shape = (len(columns),) if field.is_list else ()
    values = np.zeros((len(series.line_of), *shape), of_lines.dtype)
    values[has_line] = of_lines.reshape(-1, *shape)
    names = field.table_columns if field.is_list else None
    return TableField(
        key=key,
        path=", ".join(f"table:{name}" for name in field.table_columns),
        spec=FieldSpec(shape, delivered, columns=names),
        forms=(StoredForm(values.dtype.str),),
        values=values,
    )


def _converted(
    key: str,
    field: Field,
    stacked: npt.NDArray[Any],
    line_of: Int64Array,
    delivered: str,
    lines: TableLines,
) -> npt.NDArray[Any]:
    """The numbers of some lines in the delivered type, ``(lines, columns)``."""
    values = stacked[line_of]
    try:
        return converted(values, delivered)
    except LostValueError as error:
        line = lines.where(int(line_of[error.place[0]]))
        raise FieldError(
            f"field {key!r}: column {field.table_columns[error.place[1]]!r} is {values[error.place]} in {line}, which "
            f"{delivered} cannot hold. Choose another type, such as {field.text(dtype='float64')}"
        ) from None


def _no_number(key: str, field: Field, lines: TableLines, name: str, bad: Int64Array) -> FieldError:
    """The error for lines that have no number in a column."""
    text = lines.columns[name].texts[int(bad[0])]
    more = f" (and in {counted(bad.size - 1, lines.noun)} more)" if bad.size > 1 else ""
    if text is None:
        return FieldError(
            f"field {key!r}: column {name!r} is empty in {lines.where(int(bad[0]))}{more}. Write a number, or nan "
            "where a real number is missing, or remove such lines and set table.on_missing='skip'"
        )
    return FieldError(
        f"field {key!r}: column {name!r} is {text!r} in {lines.where(int(bad[0]))}{more}, which is no number. "
        f"{field.text(categories=True)} delivers the number of each value that occurs"
    )
