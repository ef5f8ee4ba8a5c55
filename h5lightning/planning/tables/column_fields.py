"""Fields that are columns of a table: the value of each series is that of its line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.errors import H5LightningError, OptionError
from h5lightning.options import Field
from h5lightning.planning.category_errors import unknown_value
from h5lightning.planning.field_spec import FieldSpec, StoredForm
from h5lightning.planning.fields import FieldPlan, Fields
from h5lightning.planning.tables.column_values import column_values
from h5lightning.planning.tables.match_series import SeriesLines
from h5lightning.planning.values.categories import NO_CATEGORY, Value
from h5lightning.planning.values.category_decoder import Delivered
from h5lightning.planning.values.conversions import delivery_dtype

__all__ = ["TableField", "plan_column_fields", "with_column_fields"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TableField(FieldPlan):
    """Columns of the table beside the files: each sample gets the value of the line of its series.

    Args:
        values: the value of each series of the index in the type of delivery, ``(series, *shape)``; with categories,
            its position in ``names``, -1 for an empty cell.
        names: the distinct values, with categories.
        asked: the field as the user wrote it.
        is_predicted: whether files that are not labelled have values.
    """

    values: npt.NDArray[Any]
    names: tuple[Value, ...] | None = None
    asked: Field
    is_predicted: bool = False

    @property
    def title(self) -> str:
        """The field and its columns, for messages."""
        return f"field {self.key!r} ({self.path!r})"

    def delivered(self) -> tuple[npt.NDArray[Any], BoolArray]:
        """What each series delivers, ``(series, *shape)``, and whether it has no category, which is an error then."""
        if self.categories is None or self.names is None:
            return self.values, np.zeros(len(self.values), np.bool_)
        numbers = np.append(self.categories.numbers(self.names), NO_CATEGORY)[self.values]
        is_none = (numbers == NO_CATEGORY).reshape(len(numbers), -1).any(axis=1)
        if self.categories.unknown is not None:
            is_none[:] = False
        return Delivered(self.categories, self.spec.dtype).table(numbers), is_none

    def error(self, series: int, where: str) -> H5LightningError:
        """The error of a series whose value is no category."""
        if self.categories is None or self.names is None:
            raise ValueError(f"{self.title} has no categories")
        own = self.values[series].reshape(-1)
        numbers = np.append(self.categories.numbers(self.names), NO_CATEGORY)[own]
        position = int(own[numbers == NO_CATEGORY][0])
        value = None if position < 0 else self.names[position]
        return unknown_value(self.title, self.asked, self.categories, value, where)


def plan_column_fields(
    fields: Mapping[str, Field], series: SeriesLines, is_labelled: BoolArray, dtype: str | None
) -> dict[str, TableField]:
    """Plan the fields that are columns of a table.

    In files that are not labelled, all cells of a field may be empty: see `TableField.is_predicted`.

    Args:
        fields: sample key → field; others are left out.
        series: the line of each series; series without a line get no meaningful value.
        is_labelled: whether the values of each series count for categories, ``(series,)``.
        dtype: the type in which floating fields are delivered.

    Raises:
        FieldError: a line has no number, one that the delivered type cannot hold, or no category.
    """
    has_line = series.line_of >= 0
    labelled, predicted = (
        np.unique(series.line_of[has_line & which]) for which in (is_labelled, ~is_labelled)
    )
    return {
        key: _plan(key, field, series, labelled, predicted, dtype)
        for key, field in fields.items()
        if field.table_columns
    }


def with_column_fields(
    planned: Fields, fields: Mapping[str, Field], columns: Mapping[str, FieldPlan]
) -> Fields:
    """The plans of all fields in the order of the user; ``columns`` are those of the table."""
    plans: dict[str, FieldPlan] = {plan.key: plan for plan in planned.plans}
    plans.update(columns)
    return replace(planned, plans=tuple(plans[key] for key in fields if key in plans))


def _plan(
    key: str,
    field: Field,
    series: SeriesLines,
    labelled: Int64Array,
    predicted: Int64Array,
    dtype: str | None,
) -> TableField:
    for name in ("steps", "ragged"):
        if getattr(field, name) not in (None, "error"):
            raise OptionError(
                f"field {key!r}: {field.path!r} is a column of a table whose lines speak of files or series, so that "
                f"it is the same for each sample of them: remove {name}"
            )
    columns = [series.lines.columns[name] for name in field.table_columns]
    is_predicted = any(not column.is_empty[predicted].all() for column in columns)
    predicted = predicted if is_predicted else predicted[:0]
    found = column_values(key, field, series.lines, labelled, predicted, dtype)
    names = field.table_columns
    shape = (len(names),) if field.is_list else ()
    has_line = series.line_of >= 0
    values = np.zeros((len(series.line_of), *shape), found.values.dtype)
    values[has_line] = found.values[series.line_of[has_line]].reshape(-1, *shape)
    classes = None if found.categories is None else found.categories.names
    return TableField(
        key=key,
        path=", ".join(f"table:{name}" for name in names),
        spec=FieldSpec(shape, found.dtype, classes, names if field.is_list else None),
        forms=(StoredForm(delivery_dtype(found.dtype).str),),
        values=values,
        categories=found.categories,
        names=found.names,
        asked=field,
        is_predicted=is_predicted,
    )
