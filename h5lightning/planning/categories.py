"""The categories of fields: the list that the user gave, or all values that occur in any file.

The scan has read which values occur, and which of them each row has, unless only their numbers can tell it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from h5lightning.core.arrays import Int64Array, distinct
from h5lightning.errors import FieldError, SchemaError, UnsupportedFieldError
from h5lightning.options import Field, SingleField
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.row_values import RowValues, values_name
from h5lightning.planning.catalog.schema import DatasetSchema, Member, as_array
from h5lightning.planning.catalog.value_list import ValueList
from h5lightning.planning.values.categories import Categories

__all__ = [
    "CLASS_DTYPE",
    "as_classes",
    "attribute_list",
    "check_kind",
    "check_read",
    "delivered_classes",
    "find_categories",
    "refusal_remedy",
    "row_values_of",
]

CLASS_DTYPE = "int64"
_CLASS_TYPE = "<i8"


def row_values_of(catalog: Catalog, field: SingleField) -> RowValues | None:
    """The values of the rows of a field with categories; None if the scan was not asked for them."""
    return catalog.row_values.get(values_name(field.path, field.member))


def check_read(catalog: Catalog, key: str, field: SingleField, unit: int) -> None:
    """Raise `UnsupportedFieldError` if the scan could not read the values of a field with categories in a unit."""
    values = row_values_of(catalog, field)
    if values is not None and (problem := values.problem(unit)):
        raise UnsupportedFieldError(f"field {key!r}: {catalog.where(unit)}: {problem}")


def as_classes(dataset: DatasetSchema, field: SingleField, row_size: int | None) -> DatasetSchema:
    """The dataset of a field with categories, with the whole numbers as which it is delivered.

    Args:
        dataset: the dataset.
        field: the field.
        row_size: values of each row, if the scan read them: then text can be delivered so; else None.
    """
    is_known = row_size is not None
    plain: dict[str, Any] = {
        "dtype": _CLASS_TYPE,
        "categories": None,
        "category_values": (),
        "vocabulary": "",
    }
    if field.member is None and dataset.members:
        return dataset
    if is_known:
        plain["refusal"] = ""
        dataset = replace(dataset, refusal="")
    if field.member is None:
        shape = dataset.row_shape
        if is_known and math.prod(shape) != row_size == math.prod(shape[:-1]):
            plain["shape"] = dataset.shape[:-1]  # letters, of which the values are words
        return replace(dataset, **plain)
    members = dataset.members or ((Member(field.member, _CLASS_TYPE),) if is_known else ())
    columns = (replace(one, **plain) if one.name == field.member else one for one in members)
    return replace(dataset, members=tuple(columns))


def refusal_remedy(field: SingleField, dtype: str, refusal: str) -> str:
    """The end of the error that a dataset, or a column, of text or of codes with names cannot be a field."""
    if not dtype.startswith("text") and not (dtype == "group" and f"{field.path}/codes" in refusal):
        return ""
    if field.categories is None:
        return f". {field.text(categories=True)} delivers the number of the category of each value"
    return ". Its categories are text: categories=True, or a list of texts"


def find_categories(
    catalog: Catalog,
    fields: Mapping[str, Field],
    files: Int64Array,
    known: Mapping[str, Categories],
) -> dict[str, Categories]:
    """The categories of each field that has some.

    Args:
        catalog: the values of all files.
        fields: sample key → field.
        files: the units whose values count, ascending.
        known: categories that are known already, as those of training.

    Raises:
        FieldError: values that can be no categories.
        SchemaError: some files hold text and others numbers.
    """
    return {
        key: known[key] if key in known else _categories_of(catalog, key, field, files)
        for key, field in fields.items()
        if field.categories is not None and not field.table_columns
    }


def delivered_classes(key: str, field: Field, categories: Categories) -> str:
    """The type in which the numbers of categories are delivered.

    Raises:
        OptionError: a type that does not hold all of them.
    """
    delivered = field.dtype or CLASS_DTYPE
    categories.check_dtype(key, delivered)
    return delivered


def check_kind(
    catalog: Catalog, key: str, what: str, unit: int, *, is_text: bool, expected: Categories
) -> None:
    """Raise `FieldError` if categories are text and the values numbers; or the other way round, and no text says one.

    Args:
        catalog: the files.
        key: the field.
        what: where the values are, such as ``'/label'``.
        unit: a unit that has them.
        is_text: whether they are text.
        expected: the categories.
    """
    if is_text == expected.is_text or (is_text and expected.names):
        return
    kinds = ("numbers", "text")
    raise FieldError(
        f"field {key!r}: {what} in {catalog.where(unit)} holds {kinds[is_text]}, and its categories are "
        f"{kinds[expected.is_text]}, such as {expected.names[0]!r}: list the values as the file holds them"
    )


def attribute_list(value: Any) -> ValueList | None:
    """The distinct values of an attribute as the catalog has it; None if they are neither text nor numbers."""
    array = as_array(value).reshape(-1)
    if array.dtype.kind == "U":
        return ValueList.of_texts(array.tolist())
    return ValueList.of_numbers(array) if array.dtype.kind in "biuf" else None


def _categories_of(catalog: Catalog, key: str, field: Field, files: Int64Array) -> Categories:
    values = field.categories
    if isinstance(values, Sequence):
        return Categories.of(values, field.unknown)
    found = list(_lists(catalog, key, field, files))
    filled = [(where, unit, one) for where, unit, one in found if len(one)]
    if not found:
        return Categories((), is_text=True)  # nothing could be read: planning says why
    if not filled:
        raise FieldError(f"field {key!r}: categories=True are the values that occur, and no row has a value")
    first_where, first_unit, first = filled[0]
    for where, unit, one in filled:
        if one.is_text != first.is_text:
            kinds = ("numbers", "text")
            raise SchemaError(
                f"field {key!r}: {where} in {catalog.where(unit)} holds {kinds[one.is_text]}, and {first_where} in "
                f"{catalog.where(first_unit)} {kinds[first.is_text]}: categories are all text, or all numbers"
            )
        if one.kind == "f8":
            wrong = next((value for value in one if not float(value).is_integer()), one[0])
            raise FieldError(
                f"field {key!r}: {where} in {catalog.where(unit)} holds {wrong}, which is no whole number: categories "
                "are texts or whole numbers. Leave categories out to deliver the numbers"
            )
    union = ValueList.union([one for _, _, one in filled])[0]
    return Categories(union.names(), union.is_text, field.unknown)


def _lists(
    catalog: Catalog, key: str, field: Field, files: Int64Array
) -> Iterator[tuple[str, int, ValueList]]:
    """The distinct lists of values of a field: where they are, a unit that has them, and the values."""
    for part in field.parts():
        if part.attr is not None:
            yield from _attribute_lists(catalog, part, files)
            continue
        values, where = row_values_of(catalog, part), f"'/{values_name(part.path, part.member)}'"
        if values is None:
            raise UnsupportedFieldError(
                f"field {key!r}: the values of {where} are not known: scan the files again"
            )
        units = files[values.is_usable[files]]
        _, first, _ = distinct(values.list_of[values.column_of[units]])
        for unit in units[np.sort(first)].tolist():
            yield where, unit, values.values(unit)


def _attribute_lists(
    catalog: Catalog, field: SingleField, files: Int64Array
) -> Iterator[tuple[str, int, ValueList]]:
    attrs, number_of = catalog.distinct_attrs
    numbers, first, _ = distinct(number_of[files])
    for number, position in zip(numbers.tolist(), first.tolist(), strict=True):
        value = attrs[number].get(f"{field.path}@{field.attr}")
        found = None if value is None else attribute_list(value)
        if found is not None:  # else planning raises an error that names it
            yield f"the attribute {field.attr!r}", int(files[position]), found
