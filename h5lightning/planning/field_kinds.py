"""Plans of each kind of field: rows, constants, and attributes, whose values the scan has read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array, distinct
from h5lightning.errors import FieldError, MissingFieldError, OptionError, SchemaError, UnsupportedFieldError
from h5lightning.options import Field, Samples, SingleField, Whole, Windows
from h5lightning.options.checks import LARGEST_INT, did_you_mean
from h5lightning.planning.box_fields import plan_box
from h5lightning.planning.catalog.schema import as_array, untyped
from h5lightning.planning.compared_files import ComparedFiles
from h5lightning.planning.conventions.encoding_checks import (
    check_encodings,
    check_missing,
    check_vocabularies,
    forms_of,
    shared_classes,
)
from h5lightning.planning.fields import (
    AttributeField,
    BoxField,
    ConstantField,
    FieldPlan,
    FieldSpec,
    PaddingField,
    RowField,
    SeriesField,
    StoredForm,
    row_field_of,
)
from h5lightning.planning.row_numbers import IN_SERIES, AlongAxes
from h5lightning.planning.series.axes import row_numbers_of
from h5lightning.planning.series.check_bounds import whole_length
from h5lightning.planning.values.conversions import LostValueError, common_type, converted, delivery_dtype

__all__ = ["plan_attribute", "plan_constant", "plan_of_series", "plan_padding", "plan_rows"]

Array = npt.NDArray[Any]


def plan_rows(
    compared: ComparedFiles, key: str, field: SingleField, samples: Samples, lengths: Int64Array
) -> RowField:
    """Plan a field with values for each sample; ``lengths`` are the rows of each file of the catalog.

    Raises:
        FieldError: no tensor can hold it, files differ in it, or its numbers cannot be delivered as asked.
        OptionError: steps that the samples do not have.
    """
    row_shape = compared.schema(key, field).row_shape_of(field.member)
    stored, delivered = _stored(compared, key, field)
    extra_rows = _extra_rows(compared, key, field, lengths)
    steps = _steps(compared, key, field, samples, lengths + extra_rows)
    stored["extra_rows"], stored["steps"] = extra_rows, steps
    stored["dilation"] = samples.dilation if isinstance(samples, Windows) else 1
    if isinstance(row_numbers_of(field), AlongAxes):
        return plan_box(compared, key, field, samples, stored, delivered)
    shape = row_shape if steps is None else (steps[1] - steps[0], *row_shape)
    spec, row_numbers = FieldSpec(shape, *delivered), row_numbers_of(field)
    if not row_numbers.is_in_unit:
        compared.check_written(field)
    return RowField(
        **stored,
        spec=spec,
        row_shape=row_shape,
        row_numbers=row_numbers,
    )


def plan_of_series(compared: ComparedFiles, key: str, field: SingleField) -> SeriesField:
    """Plan a dataset with one row for each series.

    Raises:
        FieldError: no tensor can hold it, files differ in it, or its numbers cannot be delivered as asked.
    """
    row_shape = compared.schema(key, field).row_shape_of(field.member)
    compared.check_written(field)
    stored, delivered = _stored(compared, key, field)
    return SeriesField(**stored, spec=FieldSpec(row_shape, *delivered), row_shape=row_shape)


def plan_constant(compared: ComparedFiles, key: str, field: SingleField) -> ConstantField:
    """Plan a dataset without a sample axis.

    Raises:
        FieldError: no tensor can hold it, files differ in it, or its numbers cannot be delivered as asked.
    """
    compared.schema(key, field)
    stored, delivered = _stored(compared, key, field)
    shape = _constant_shape(compared, key, field)
    return ConstantField(**stored, spec=FieldSpec(shape, *delivered), row_shape=shape)


def plan_attribute(compared: ComparedFiles, key: str, field: SingleField) -> AttributeField:
    """Plan an attribute that each sample of a file gets.

    Raises:
        MissingFieldError: a file lacks it.
        UnsupportedFieldError: it is text, or anything else that is no number.
        SchemaError: its shape differs between files.
        FieldError: a value that the delivered type cannot hold.
    """
    catalog = compared.catalog
    # Few units have attributes of their own: each distinct set is looked at once, in its first unit.
    _, first, number_of = distinct(catalog.distinct_attrs[1][compared.files])
    order = np.argsort(first)
    files = compared.files[first[order]].tolist()
    values = [_value(compared, key, field, file) for file in files]
    shape = values[0].shape
    for file, value in zip(files, values, strict=True):
        if value.shape != shape:
            raise SchemaError(
                f"field {key!r}: {_described(field)} in {catalog.where(file)} has shape {value.shape}, "
                f"expected {shape} as in {catalog.where(files[0])}"
            )
    delivered = compared.delivered_dtype(key, field, common_type(values).str)
    of_number = np.zeros((len(values), *shape), dtype=delivery_dtype(delivered))
    for number, file, value in zip(order.tolist(), files, values, strict=True):
        lost, of_number[number] = _converted(value, delivered)
        if lost:
            raise FieldError(
                f"field {key!r}: {_described(field)} in {catalog.where(file)} is {lost}, which {delivered} cannot "
                f"hold. {_remedy(field, values, is_said=bool(field.dtype or compared.dtype))}"
            )
    table = np.zeros((catalog.unit_count, *shape), dtype=of_number.dtype)
    table[compared.files] = of_number[number_of]
    spec, forms = FieldSpec(shape, delivered), (StoredForm(table.dtype.str),)
    return AttributeField(key=key, path=field.path, spec=spec, forms=forms, values=table)


def _stored(
    compared: ComparedFiles, key: str, field: SingleField
) -> tuple[dict[str, Any], tuple[str, tuple[str, ...] | None]]:
    """Arguments of `StoredField` but the shape, and what is delivered: the type, and names of the values."""
    catalog, files = compared.catalog, compared.files
    for check in (check_encodings, check_missing, check_vocabularies):
        check(catalog, files, key, field)
    forms, form_of = forms_of(catalog, files, field)
    delivered = [compared.delivered_dtype(key, field, form.dtype) for form in forms]
    is_decoded = field.decode == "cf"
    classes = None if is_decoded else shared_classes(catalog, files, field)
    stored: dict[str, Any] = {"key": key, "path": field.path, "member": field.member, "asked": field}
    stored |= {"forms": forms, "form_of": form_of, "is_decoded": is_decoded}
    return stored, (delivered[0], classes)


def _steps(
    compared: ComparedFiles, key: str, field: SingleField, samples: Samples, lengths: Int64Array
) -> tuple[int, int] | None:
    if isinstance(samples, Windows):
        steps = field.steps or (0, samples.rows)
        if max(-steps[0], steps[1]) * samples.dilation > LARGEST_INT // 4:
            raise OptionError(
                f"field {key!r}: steps={steps} with dilation={samples.dilation} reach further than rows can be counted"
            )
        return steps
    if field.steps is not None:
        raise OptionError(f"field {key!r}: steps need samples=Windows(length, ...), found {samples!r}")
    return (0, _whole_length(compared, lengths)) if isinstance(samples, Whole) else None


def plan_padding(key: str, field: Field, plans: Mapping[str, FieldPlan], samples: Samples) -> PaddingField:
    """Plan the padding of another field.

    Raises:
        OptionError: there is no such field, it has no rows, or samples are not padded.
    """
    target = field.padding_of or ""
    if not isinstance(samples, Windows) or samples.pad is None:
        raise OptionError(
            f"field {key!r}: '{field.path}' needs padded windows, such as samples=Windows(length, pad='edge'); found "
            f"{samples!r}"
        )
    plan = plans.get(target)
    if plan is None:
        raise OptionError(f"field {key!r}: '{field.path}' names no field{did_you_mean(target, plans)}")
    first = row_field_of(plan)
    if first is None:
        raise OptionError(f"field {key!r}: the field {target!r} has no rows, so that it has no padding")
    sizes = [first.sizes[axis] for axis in first.other_axes] if isinstance(first, BoxField) else []
    forms, spec = (StoredForm("|b1"),), FieldSpec((len(first.offsets), *sizes), "bool")
    return PaddingField(key=key, path=str(field.path), spec=spec, forms=forms, of=first)


def _extra_rows(
    compared: ComparedFiles, key: str, field: SingleField, lengths: Int64Array
) -> int | Int64Array:
    """The rows of a field beyond those of the others: one number, or one for each unit where units differ."""
    if not field.extra_rows:
        return 0
    if row_numbers_of(field) is IN_SERIES and compared.catalog.bounds is not None:
        bounds = compared.catalog.bounds
        lengths = bounds.totals // np.maximum(bounds.counts, 1)
    extra = np.zeros(len(lengths), np.int64)
    extra[compared.files] = compared.rows(key, field)[compared.files] - lengths[compared.files]
    first = int(extra[compared.files[0]])
    return first if (extra[compared.files] == first).all() else extra


def _whole_length(compared: ComparedFiles, lengths: Int64Array) -> int:
    if compared.catalog.bounds is not None:
        return whole_length(compared.catalog, compared.files)
    filled = compared.files[lengths[compared.files] > 0]
    expected = int(lengths[filled[0]])
    differs = filled[lengths[filled] != expected]
    if differs.size:
        file, path = int(differs[0]), compared.catalog.where
        raise SchemaError(
            f"samples='whole': {path(file)} has {lengths[file]} rows, expected {expected} as in "
            f"{path(int(filled[0]))}{compared.catalog.more(differs)}. A batch holds samples of one length: "
            "use Windows(length), or make the files equal"
        )
    return expected


def _constant_shape(compared: ComparedFiles, key: str, field: SingleField) -> tuple[int, ...]:
    compared.check_written(field)
    catalog, files = compared.catalog, compared.files
    lengths = catalog.facts_of(field.path)[:, 0]
    expected = lengths[files[0]]
    differs = files[lengths[files] != expected]
    if differs.size:
        file = int(differs[0])
        raise SchemaError(
            f"the constant field {key!r}: '/{field.path}' in {catalog.where(file)} has length {lengths[file]}, "
            f"expected {expected} as in {catalog.where(int(files[0]))}{catalog.more(differs)}"
        )
    schema = catalog.schema(int(files[0])).dataset(field.path)
    return schema.shape[:1] + schema.row_shape_of(field.member) if schema is not None else ()


def _value(compared: ComparedFiles, key: str, field: SingleField, file: int) -> Array:
    attrs, name = compared.catalog.typed_attrs(file), f"{field.path}@{field.attr}"
    where = compared.catalog.where(file)
    if name not in attrs:
        near = did_you_mean(field.attr, compared.attrs_in(file, field.path))
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


def _described(field: SingleField) -> str:
    return f"the attribute {field.attr!r}{f' of {field.path!r}' if field.path else ''}"
