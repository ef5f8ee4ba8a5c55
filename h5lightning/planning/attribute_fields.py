"""Plans of attributes, whose values the scan has read."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array, distinct
from h5lightning.errors import FieldError, MissingFieldError, SchemaError, UnsupportedFieldError
from h5lightning.options import SingleField
from h5lightning.options.checks import did_you_mean
from h5lightning.planning.catalog.schema import as_array, untyped
from h5lightning.planning.compared_files import ComparedFiles
from h5lightning.planning.fields import AttributeField, FieldSpec, StoredForm
from h5lightning.planning.ragged import RowShapes, UnitValues
from h5lightning.planning.ragged_fields import RaggedAttributeField
from h5lightning.planning.ragged_planning import SampleShape, ragged_of
from h5lightning.planning.values.conversions import LostValueError, common_type, converted, delivery_dtype

__all__ = ["AttributeValues", "attribute_values", "described_attribute", "plan_attribute"]

Array = npt.NDArray[Any]


def plan_attribute(
    compared: ComparedFiles, key: str, field: SingleField
) -> AttributeField | RaggedAttributeField:
    """Plan an attribute that each sample of a file gets.

    Raises:
        MissingFieldError: a file lacks it.
        UnsupportedFieldError: it is text, or anything else that is no number.
        SchemaError: its shape differs between files.
        FieldError: a value that the delivered type cannot hold.
    """
    catalog = compared.catalog
    order, files, values, number_of = attribute_values(compared, key, field)
    delivered = compared.delivered_dtype(key, field, common_type(values).str)
    of_number: list[Array] = [values[0]] * len(values)
    for number, file, value in zip(order, files, values, strict=True):
        lost, of_number[number] = _converted(value, delivered)
        if lost:
            raise FieldError(
                f"field {key!r}: {described_attribute(field)} in {catalog.where(file)} is {lost}, which {delivered} "
                f"cannot hold. {_remedy(field, values, is_said=bool(field.dtype or compared.dtype))}"
            )
    if field.ragged != "error":
        return _ragged(compared, key, field, delivered, of_number, number_of)
    shape = values[0].shape
    table = np.zeros((catalog.unit_count, *shape), dtype=of_number[0].dtype)
    table[compared.files] = np.stack(of_number)[number_of]
    spec, forms = FieldSpec(shape, delivered), (StoredForm(table.dtype.str),)
    return AttributeField(key=key, path=field.path, spec=spec, forms=forms, values=table)


class AttributeValues(NamedTuple):
    """The distinct values of an attribute, in the order in which files have them first.

    Args:
        order: the number of each.
        files: the first file that has it.
        values: the values.
        number_of: the number of the value of each file.
    """

    order: list[int]
    files: list[int]
    values: list[Array]
    number_of: Int64Array


def attribute_values(compared: ComparedFiles, key: str, field: SingleField) -> AttributeValues:
    """The values of an attribute in the files that must agree; errors are those of `plan_attribute`."""
    # Few units have attributes of their own: each distinct set is looked at once, in its first unit.
    _, first, number_of = distinct(compared.catalog.distinct_attrs[1][compared.files])
    order = np.argsort(first)
    files = compared.files[first[order]].tolist()
    values = [_value(compared, key, field, file) for file in files]
    _check_shapes(compared, key, field, files, values)
    return AttributeValues(order.tolist(), files, values, number_of)


def _check_shapes(
    compared: ComparedFiles, key: str, field: SingleField, files: list[int], values: list[Array]
) -> None:
    """Raise `SchemaError` unless all values have one shape, or as many axes if the field is ragged."""
    shape, where = values[0].shape, compared.catalog.where
    for file, value in zip(files, values, strict=True):
        if value.shape != shape and (field.ragged == "error" or value.ndim != len(shape)):
            remedy = f". {field.text(ragged='list')} delivers values of different shapes"
            raise SchemaError(
                f"field {key!r}: {described_attribute(field)} in {where(file)} has shape {value.shape}, "
                f"expected {shape} as in {where(files[0])}{remedy if value.ndim == len(shape) else ''}"
            )


def _ragged(
    compared: ComparedFiles,
    key: str,
    field: SingleField,
    delivered: str,
    values: list[Array],
    number_of: Int64Array,
) -> RaggedAttributeField:
    """The plan of an attribute whose shape may differ, from its distinct values and the number of that of each file."""
    files, count = compared.files, compared.catalog.unit_count
    shapes = np.asarray([value.shape for value in values], np.int64).reshape(len(values), -1)
    sizes = shapes.prod(axis=1)
    of_unit = np.zeros(count, np.int64)
    of_unit[files] = number_of
    flat = np.concatenate([value.reshape(-1) for value in values])
    table = UnitValues(flat, np.cumsum(sizes) - sizes, shapes, of_unit)
    shape = SampleShape((), values[0].shape, RowShapes.of(shapes[number_of], files, count))
    return RaggedAttributeField(
        key=key,
        path=field.path,
        spec=FieldSpec(shape.lengths, delivered),
        forms=(StoredForm(flat.dtype.str),),
        ragged=ragged_of(compared, key, field, None, shape),
        values=table,
    )


def _value(compared: ComparedFiles, key: str, field: SingleField, file: int) -> Array:
    attrs, name = compared.catalog.typed_attrs(file), f"{field.path}@{field.attr}"
    where = compared.catalog.where(file)
    if name not in attrs:
        near = did_you_mean(field.attr, compared.attrs_in(file, field.path))
        raise MissingFieldError(f"field {key!r}: {where} lacks {described_attribute(field)}{near}")
    value = as_array(attrs[name])
    if value.dtype.kind not in ("biuf" if field.categories is None else "biufU"):
        raise UnsupportedFieldError(
            f"field {key!r}: {described_attribute(field)} in {where} is {untyped(attrs[name])!r}, no tensor "
            f"can hold it; numbers can be fields, {field.text(categories=True)} delivers the number of the category of "
            "text, and split.keep_together='attr:NAME' can use it"
        )
    return value


def _converted(value: Array, delivered: str) -> tuple[str, Array]:
    """The value in a type, after the text of its first number that the type cannot hold; empty if it holds all."""
    one = value[None]
    try:
        return "", converted(one, delivered)[0, ...]
    except LostValueError as error:
        return str(one[error.place]), np.zeros_like(value, delivery_dtype(delivered))


def _remedy(field: SingleField, values: list[Array], *, is_said: bool) -> str:
    """What to do about values that the delivered type cannot hold; ``is_said`` if the user chose the type."""
    wide = field.text(dtype="float64")
    try:
        for value in values:
            converted(value.reshape(-1), "float64")
    except LostValueError:
        if is_said:
            return "Choose another Field(dtype=…), or write another value"
        return "Files hold it in different types, and no type holds all of its values: write it in one type"
    if is_said:
        return f"{wide} delivers it, or write another value"
    return f"Files hold it in different types: {wide} chooses one"


def described_attribute(field: SingleField) -> str:
    """The attribute of a field, for messages."""
    return f"the attribute {field.attr!r}{f' of {field.path!r}' if field.path else ''}"
