"""Plans of attributes: the scan has read their values, which are checked and converted here."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.errors import FieldError, MissingFieldError, SchemaError, UnsupportedFieldError
from h5lightning.options import Field
from h5lightning.options.checks import nearest
from h5lightning.planning.catalog.schema import as_array, untyped
from h5lightning.planning.compared_files import ComparedFiles
from h5lightning.planning.fields import AttributeField, FieldSpec, StoredForm
from h5lightning.planning.values.conversions import LostValueError, common_type, converted, delivery_dtype

__all__ = ["plan_attribute"]

Array = npt.NDArray[Any]


def plan_attribute(compared: ComparedFiles, key: str, field: Field) -> AttributeField:
    """Plan an attribute that each sample of a file gets.

    Raises:
        MissingFieldError: a file lacks it.
        UnsupportedFieldError: it is text, or anything else that is no number.
        SchemaError: its shape differs between files.
        FieldError: a value that the delivered type cannot hold.
    """
    catalog, files = compared.catalog, compared.files.tolist()
    values = [_value(compared, key, field, file) for file in files]
    shape = values[0].shape
    for file, value in zip(files, values, strict=True):
        if value.shape != shape:
            raise SchemaError(
                f"field {key!r}: {_described(field)} in {catalog.path(file)} has shape {value.shape}, "
                f"expected {shape} as in {catalog.path(files[0])}"
            )
    delivered = compared.delivered_dtype(key, field, common_type(values).str)
    table = np.zeros((len(catalog), *shape), dtype=delivery_dtype(delivered))
    for file, value in zip(files, values, strict=True):
        lost, table[file] = _converted(value, delivered)
        if lost:
            raise FieldError(
                f"field {key!r}: {_described(field)} in {catalog.path(file)} is {lost}, which {delivered} cannot "
                f"hold. {_remedy(field, values, is_said=bool(field.dtype or compared.dtype))}"
            )
    spec, forms = FieldSpec(shape, delivered), (StoredForm(table.dtype.str),)
    return AttributeField(key=key, path=field.path, spec=spec, forms=forms, values=table)


def _value(compared: ComparedFiles, key: str, field: Field, file: int) -> Array:
    attrs, name = compared.catalog.typed_attrs(file), f"{field.path}@{field.attr}"
    where = compared.catalog.path(file)
    if name not in attrs:
        near = nearest(field.attr, compared.attrs_in(file, field.path))
        raise MissingFieldError(f"field {key!r}: {where} lacks {_described(field)}{near}")
    value = as_array(attrs[name])
    if value.dtype.kind not in "biuf":
        raise UnsupportedFieldError(
            f"field {key!r}: {_described(field)} in {where} is {untyped(attrs[name])!r}, no tensor "
            "can hold it; numbers can be fields, text can be used by split.keep_together='attr:NAME'"
        )
    return value


def _converted(value: Array, delivered: str) -> tuple[str, Array]:
    """The value in a type, after the text of its first number that the type cannot hold; empty if it holds all."""
    one = value[None]
    try:
        return "", converted(one, delivered)[0, ...]
    except LostValueError as error:
        return str(one[error.place]), np.zeros_like(value, delivery_dtype(delivered))


def _remedy(field: Field, values: list[Array], *, is_said: bool) -> str:
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


def _described(field: Field) -> str:
    return f"the attribute {field.attr!r}{f' of {field.path!r}' if field.path else ''}"
