"""What a field delivers of the columns of a table, line by line: numbers, or numbers of categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.core.formatting import counted
from h5lightning.core.frozen import Frozen
from h5lightning.errors import FieldError, SchemaError
from h5lightning.options import Field
from h5lightning.planning.catalog.value_list import ValueList
from h5lightning.planning.categories import delivered_classes
from h5lightning.planning.category_errors import unknown_value
from h5lightning.planning.tables.table_lines import Column, TableLines
from h5lightning.planning.values.categories import NO_CATEGORY, Categories, Value, plain_value
from h5lightning.planning.values.conversions import LostValueError, converted

__all__ = ["ColumnValues", "column_values"]

_WHOLE, _REAL = "int64", "float32"


@dataclass(frozen=True, slots=True, eq=False)
class ColumnValues(Frozen):
    """The values of some columns, as a field delivers them.

    Args:
        values: the values of each line in the type of delivery, ``(lines, columns)``; with categories, positions in
            ``names``, -1 for an empty cell. Lines that are not used have no meaningful value.
        dtype: name of the type of delivery.
        categories: the categories whose numbers are delivered; None to deliver values.
        names: the distinct values, with categories.
    """

    values: npt.NDArray[Any]
    dtype: str
    categories: Categories | None = None
    names: tuple[Value, ...] | None = None


def column_values(
    key: str, field: Field, lines: TableLines, labelled: Int64Array, predicted: Int64Array, dtype: str | None
) -> ColumnValues:
    """The values of the columns of a field.

    Args:
        key: the field's key.
        field: a field that is made of columns.
        lines: the table.
        labelled: the lines that speak of something, ascending.
        predicted: those that speak of ``files.predict``, whose values are no categories.
        dtype: the type in which floating fields are delivered.

    Raises:
        FieldError: a line that is used has no number, one that the delivered type cannot hold, or no category.
        MissingDataError: a line that is used has no category, since its cell is empty.
    """
    columns = [lines.columns[name] for name in field.table_columns]
    if field.categories is not None:
        return _classes(key, field, lines, columns, labelled if labelled.size else predicted)
    used = np.union1d(labelled, predicted) if predicted.size else labelled
    for column in columns:
        bad = used[~column.numbers.is_number[used]]
        if bad.size:
            raise _no_number(key, field, lines, column, bad)
    are_whole = all(column.numbers.are_whole for column in columns)
    delivered = field.dtype or (_WHOLE if are_whole else dtype or _REAL)
    numbers = np.stack([column.numbers.values for column in columns], axis=-1)
    try:
        found = converted(numbers[used], delivered)
    except LostValueError as error:
        line, column = lines.where(int(used[error.place[0]])), columns[error.place[1]]
        raise FieldError(
            f"field {key!r}: column {column.name!r} is {numbers[used][error.place]} in {line}, which {delivered} "
            f"cannot hold. Choose another type, such as {field.text(dtype='float64')}"
        ) from None
    values = np.zeros(numbers.shape, found.dtype)
    values[used] = found
    return ColumnValues(values, delivered)


def _classes(
    key: str, field: Field, lines: TableLines, columns: Sequence[Column], used: Int64Array
) -> ColumnValues:
    positions = np.empty((len(lines), len(columns)), np.int64)
    position_of: dict[Value, int] = {}
    for place, column in enumerate(columns):
        values, number_of = column.distinct
        found = [position_of.setdefault(plain_value(value), len(position_of)) for value in values]
        positions[:, place] = np.asarray([*found, NO_CATEGORY], np.int64)[number_of]
    names = tuple(position_of)
    occurs = np.zeros(len(names) + 1, np.bool_)
    occurs[positions[used]] = True
    categories = _categories(
        key, field, columns, [names[one] for one in np.flatnonzero(occurs[:-1]).tolist()]
    )
    delivered = delivered_classes(key, field, categories)
    if categories.unknown is None:
        numbers = np.append(categories.numbers(names), NO_CATEGORY)
        bad = np.argwhere(numbers[positions[used]] == NO_CATEGORY)
        if bad.size:
            line, place = int(used[bad[0, 0]]), int(bad[0, 1])
            position = int(positions[line, place])
            more = f" (and in {counted(len(bad) - 1, lines.noun)} more)" if len(bad) > 1 else ""
            raise unknown_value(
                f"field {key!r} ('table:{columns[place].name}')",
                field,
                categories,
                None if position < 0 else names[position],
                f"in {lines.where(line)}{more}",
            )
    return ColumnValues(positions, delivered, categories, names)


def _categories(key: str, field: Field, columns: Sequence[Column], values: Sequence[Value]) -> Categories:
    """The list of the user, or the values that occur."""
    if isinstance(field.categories, tuple):
        return Categories.of(field.categories, field.unknown)
    titles = ", ".join(repr(column.name) for column in columns)
    if not values:
        raise FieldError(
            f"field {key!r}: categories=True are the values that occur, and column {titles} is empty"
        )
    kinds = {isinstance(value, str) for value in values}
    if len(kinds) > 1:
        raise SchemaError(
            f"field {key!r}: columns {titles} hold text and numbers: categories are all one of them"
        )
    if kinds == {True}:
        return Categories(ValueList.of_texts(map(str, values)).names(), True, field.unknown)
    found = ValueList.of_numbers(np.asarray(values))
    if found.kind == "f8":
        wrong = next((value for value in values if not float(value).is_integer()), values[0])
        raise FieldError(
            f"field {key!r}: column {titles} holds {wrong}, which is no whole number: categories are texts or whole "
            "numbers. Leave categories out to deliver the numbers"
        )
    return Categories(found.names(), False, field.unknown)


def _no_number(key: str, field: Field, lines: TableLines, column: Column, bad: Int64Array) -> FieldError:
    """The error for lines that have no number in a column."""
    text = column.texts[int(bad[0])]
    more = f" (and in {counted(bad.size - 1, lines.noun)} more)" if bad.size > 1 else ""
    if text is None:
        return FieldError(
            f"field {key!r}: column {column.name!r} is empty in {lines.where(int(bad[0]))}{more}. Write a number, or "
            "nan where a real number is missing, or remove such lines and set table.on_missing='skip'"
        )
    return FieldError(
        f"field {key!r}: column {column.name!r} is {text!r} in {lines.where(int(bad[0]))}{more}, which is no number. "
        f"{field.text(categories=True)} delivers the number of each value that occurs"
    )
