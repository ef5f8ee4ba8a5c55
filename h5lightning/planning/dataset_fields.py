"""Plans of datasets: with values for each sample, or constant in each file."""

from __future__ import annotations

from typing import Any

from h5lightning.core.arrays import Int64Array
from h5lightning.core.formatting import more_files
from h5lightning.errors import OptionError, SchemaError
from h5lightning.options import Field, Samples, Whole, Windows
from h5lightning.planning.compared_files import ComparedFiles
from h5lightning.planning.conventions.encodings import (
    check_encodings,
    check_missing,
    check_vocabularies,
    forms_of,
    shared_classes,
)
from h5lightning.planning.fields import ConstantField, FieldSpec, RowField

__all__ = ["plan_constant", "plan_rows"]


def plan_rows(
    compared: ComparedFiles, key: str, field: Field, samples: Samples, lengths: Int64Array
) -> RowField:
    """Plan a field with values for each sample; ``lengths`` are the rows of each file of the catalog.

    Raises:
        FieldError: no tensor can hold it, files differ in it, or its numbers cannot be delivered as asked.
        OptionError: steps that the samples do not have.
    """
    row_shape = compared.schema(key, field).row_shape_of(field.member)
    stored, delivered = _stored(compared, key, field)
    steps = _steps(compared, key, field, samples, lengths)
    shape = row_shape if steps is None else (steps[1] - steps[0], *row_shape)
    return RowField(**stored, spec=FieldSpec(shape, *delivered), row_shape=row_shape, steps=steps)


def plan_constant(compared: ComparedFiles, key: str, field: Field) -> ConstantField:
    """Plan a dataset without a sample axis.

    Raises:
        FieldError: no tensor can hold it, files differ in it, or its numbers cannot be delivered as asked.
    """
    compared.schema(key, field)
    stored, delivered = _stored(compared, key, field)
    shape = _constant_shape(compared, key, field)
    return ConstantField(**stored, spec=FieldSpec(shape, *delivered), row_shape=shape)


def _stored(
    compared: ComparedFiles, key: str, field: Field
) -> tuple[dict[str, Any], tuple[str, tuple[str, ...] | None]]:
    """Arguments of `StoredField` but the shape, and what is delivered: the type, and names of the values."""
    catalog, files = compared.catalog, compared.files
    for check in (check_encodings, check_missing, check_vocabularies):
        check(catalog, files, key, field)
    forms, form_of = forms_of(catalog, files, field)
    delivered = [compared.delivered_dtype(key, field, form.dtype) for form in forms]
    is_decoded = field.decode == "cf"
    classes = None if is_decoded else shared_classes(catalog, files, field)
    stored = {
        "key": key,
        "path": field.path,
        "member": field.member,
        "forms": forms,
        "form_of": form_of,
        "is_decoded": is_decoded,
        "asked": field,
    }
    return stored, (delivered[0], classes)


def _steps(
    compared: ComparedFiles, key: str, field: Field, samples: Samples, lengths: Int64Array
) -> tuple[int, int] | None:
    if isinstance(samples, Windows):
        start, stop = field.steps or (0, samples.length)
        if stop > samples.length:
            raise OptionError(f"field {key!r}: steps end at {stop}, the window has {samples.length} rows")
        return start, stop
    if field.steps is not None:
        raise OptionError(f"field {key!r}: steps need samples=Windows(length, ...), found {samples!r}")
    return (0, _whole_length(compared, lengths)) if isinstance(samples, Whole) else None


def _whole_length(compared: ComparedFiles, lengths: Int64Array) -> int:
    filled = compared.files[lengths[compared.files] > 0]
    expected = int(lengths[filled[0]])
    differs = filled[lengths[filled] != expected]
    if differs.size:
        file, path = int(differs[0]), compared.catalog.path
        raise SchemaError(
            f"samples='whole': {path(file)} has {lengths[file]} rows, expected {expected} as in "
            f"{path(int(filled[0]))}{more_files(differs)}. A batch holds samples of one length: "
            "use Windows(length), or make the files equal"
        )
    return expected


def _constant_shape(compared: ComparedFiles, key: str, field: Field) -> tuple[int, ...]:
    compared.check_written(field)
    catalog, files = compared.catalog, compared.files
    lengths = catalog.facts_of(field.path)[:, 0]
    expected = lengths[files[0]]
    differs = files[lengths[files] != expected]
    if differs.size:
        file = int(differs[0])
        raise SchemaError(
            f"the constant field {key!r}: '/{field.path}' in {catalog.path(file)} has length {lengths[file]}, "
            f"expected {expected} as in {catalog.path(int(files[0]))}{more_files(differs)}"
        )
    schema = catalog.schema(int(files[0])).dataset(field.path)
    return schema.shape[:1] + schema.row_shape_of(field.member) if schema is not None else ()
