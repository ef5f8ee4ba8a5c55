"""How the rows of a dataset in one file differ from those in another, as text for an error."""

from __future__ import annotations

from h5lightning.core.formatting import listed
from h5lightning.planning.catalog.schema import DatasetSchema, Member, member_text

__all__ = ["explain_difference"]

_MOST_CATEGORIES = 6


def explain_difference(
    found: DatasetSchema,
    expected: DatasetSchema,
    member: str | None = None,
    *,
    any_type: bool = False,
    any_categories: bool = False,
    any_shape: bool = False,
) -> str:
    """How the rows of one dataset differ from those of another; empty if one batch can hold both.

    Args:
        found: the dataset in the file in question.
        expected: the dataset in the file that it is compared with.
        member: compare only this column of a compound; None to compare all columns that can be fields.
        any_type: accept different numeric types, because all of them are converted to one.
        any_categories: accept different category tables, because the codes are delivered.
        any_shape: accept rows of different shapes with as many axes, because samples may have different shapes.

    Example:
        >>> explain_difference(DatasetSchema("u", "<f4", (9, 4)), DatasetSchema("u", "<f4", (7, 8)))
        'has rows of shape (4,), expected (8,)'
    """
    if found.refusal != expected.refusal:
        return f"cannot be a field: {found.refusal}" if found.refusal else f"can be a field: {found.dtype}"
    value, expected_value = found.value(member), expected.value(member)
    if value is None or expected_value is None or value.refusal != expected_value.refusal:
        return f"has columns {_dtype_text(found)}, expected {_dtype_text(expected)}"
    is_convertible = any_type and "compound" not in (value.dtype, expected_value.dtype)
    # The byte order does not count: batches have that of the machine.
    if value.dtype.lstrip("<>") != expected_value.dtype.lstrip("<>") and not is_convertible:
        return f"has dtype {_type_text(found, value)}, expected {_type_text(expected, expected_value)}"
    if bool(found.shape) != bool(expected.shape):
        return "is a scalar, expected rows" if expected.shape else "has rows, expected a scalar"
    shape, expected_shape = found.row_shape_of(member), expected.row_shape_of(member)
    if shape != expected_shape and not (any_shape and len(shape) == len(expected_shape)):
        return f"has rows of shape {shape}, expected {expected_shape}"
    if member is None and found.columns != expected.columns:
        return _columns_difference(found, expected)
    return "" if any_categories else _categories_difference(value, expected_value)


def _columns_difference(found: DatasetSchema, expected: DatasetSchema) -> str:
    columns, expected_columns = (
        [(column.name, column.dtype.lstrip("<>"), column.shape) for column in schema.columns]
        for schema in (found, expected)
    )
    if columns != expected_columns:
        return f"has dtype {_dtype_text(found)}, expected {_dtype_text(expected)}"
    for column, expected_column in zip(found.columns, expected.columns, strict=True):
        if difference := _categories_difference(column, expected_column):
            return f"has a column {column.name!r} that {difference}"
    return ""


def _categories_difference(found: Member, expected: Member) -> str:
    if (found.categories, found.vocabulary) == (expected.categories, expected.vocabulary):
        return ""
    return f"has categories {_categories_text(found)}, expected {_categories_text(expected)}"


def _categories_text(value: Member) -> str:
    if value.vocabulary:
        return value.vocabulary
    return "none" if value.categories is None else f"[{listed(value.categories, _MOST_CATEGORIES)}]"


def _type_text(schema: DatasetSchema, value: Member) -> str:
    return value.dtype if value.name else _dtype_text(schema)


def _dtype_text(schema: DatasetSchema) -> str:
    if schema.members:
        return "compound {" + ", ".join(map(member_text, schema.members)) + "}"
    return schema.dtype
