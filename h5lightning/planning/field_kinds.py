"""Plans of each kind of field that is read from a dataset: rows, values of series, constants; and of padding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from h5lightning.core.arrays import Int64Array, distinct
from h5lightning.errors import OptionError, SchemaError
from h5lightning.options import Field, Rows, Samples, SingleField, Whole, Windows
from h5lightning.options.checks import LARGEST_INT, did_you_mean
from h5lightning.planning.box_field import BoxField
from h5lightning.planning.box_planning import plan_box
from h5lightning.planning.category_planning import plan_classes
from h5lightning.planning.compared_files import ComparedFiles
from h5lightning.planning.conventions.encoding_checks import (
    check_encodings,
    check_missing,
    check_vocabularies,
    forms_of,
    shared_classes,
)
from h5lightning.planning.encoded_field import BYTES
from h5lightning.planning.encoded_planning import check_encoded, encoded_dtype, plan_encoded
from h5lightning.planning.fields import (
    ConstantField,
    FieldPlan,
    FieldSpec,
    PaddingField,
    RowField,
    SeriesField,
    StoredForm,
    row_field_of,
)
from h5lightning.planning.ragged import RowShapes
from h5lightning.planning.ragged_fields import RunField
from h5lightning.planning.ragged_planning import (
    FieldRows,
    SampleShape,
    entry_rows,
    ragged_of,
    row_shapes,
    whole_rows,
)
from h5lightning.planning.row_numbers import IN_SERIES, AlongAxes
from h5lightning.planning.row_runs import EntryRuns
from h5lightning.planning.series.axes import row_numbers_of

__all__ = ["plan_constant", "plan_of_series", "plan_padding", "plan_rows", "rows_of_samples"]


def plan_rows(
    compared: ComparedFiles, key: str, field: SingleField, samples: Samples, lengths: Int64Array
) -> RowField:
    """Plan a field with values for each sample; ``lengths`` are the rows of each file of the catalog.

    Raises:
        FieldError: no tensor can hold it, files differ in it, or its numbers cannot be delivered as asked.
        OptionError: steps that the samples do not have.
    """
    row_numbers = row_numbers_of(field)
    is_box = isinstance(row_numbers, AlongAxes)
    if field.is_encoded:
        check_encoded(key, field, is_row=not is_box)
    row_shape = compared.schema(key, field).row_shape_of(field.member)
    stored, delivered = _stored(compared, key, field)
    stored["extra_rows"] = extra_rows = _extra_rows(compared, key, field, lengths)
    stored["dilation"] = samples.dilation if isinstance(samples, Windows) else 1
    if not row_numbers.is_in_unit:
        compared.check_written(field)
    shapes = None if is_box or field.is_encoded else row_shapes(compared, key, field)
    # A list of bytes takes any number of rows.
    of_any_length = replace(field, ragged="list") if field.decode == BYTES else field
    rows = rows_of_samples(compared, key, of_any_length, samples, lengths, extra_rows)
    stored["steps"] = rows.steps
    if field.is_encoded:
        return plan_encoded(compared, key, field, samples, rows, stored | {"row_numbers": row_numbers})
    if is_box:
        return plan_box(compared, key, field, samples, rows, stored, delivered)
    if isinstance(rows.runs, EntryRuns):
        row_numbers = rows.runs.row_numbers
    shape = SampleShape(() if rows.steps is None else (rows.count,), row_shape, shapes, rows.mean)
    stored |= {"row_shape": row_shape, "shapes": shapes, "row_numbers": row_numbers}
    stored["ragged"] = ragged_of(compared, key, field, samples, shape)
    spec = FieldSpec(shape.lengths, *delivered)
    if rows.runs is None:
        return RowField(**stored, spec=spec)
    return RunField(**stored, spec=spec, runs=rows.runs)


def plan_of_series(compared: ComparedFiles, key: str, field: SingleField) -> SeriesField:
    """Plan a dataset with one row for each series.

    Raises:
        FieldError: no tensor can hold it, files differ in it, or its numbers cannot be delivered as asked.
    """
    if field.is_encoded:
        check_encoded(key, field, is_row=False)
    row_shape = compared.schema(key, field).row_shape_of(field.member)
    compared.check_written(field)
    stored, delivered = _stored(compared, key, field)
    shape = SampleShape((), row_shape, row_shapes(compared, key, field))
    ragged = ragged_of(compared, key, field, None, shape)
    spec = FieldSpec(shape.lengths, *delivered)
    return SeriesField(**stored, spec=spec, row_shape=row_shape, shapes=shape.shapes, ragged=ragged)


def plan_constant(compared: ComparedFiles, key: str, field: SingleField) -> ConstantField:
    """Plan a dataset without a sample axis.

    Raises:
        FieldError: no tensor can hold it, files differ in it, or its numbers cannot be delivered as asked.
    """
    if field.is_encoded:
        check_encoded(key, field, is_row=False)
    compared.schema(key, field)
    stored, delivered = _stored(compared, key, field)
    shape = _constant_shape(compared, key, field)
    ragged = ragged_of(compared, key, field, None, shape)
    spec = FieldSpec(shape.lengths, *delivered)
    return ConstantField(**stored, spec=spec, row_shape=shape.row_shape, shapes=shape.shapes, ragged=ragged)


def _stored(
    compared: ComparedFiles, key: str, field: SingleField
) -> tuple[dict[str, Any], tuple[str, tuple[str, ...] | None]]:
    """Arguments of `StoredField` but the shape, and what is delivered: the type, and names of the values."""
    stored: dict[str, Any]
    catalog, files = compared.catalog, compared.files
    if field.categories is not None:
        return plan_classes(compared, key, field)
    if field.is_encoded:
        stored = {"key": key, "path": field.path, "member": field.member, "asked": field}
        return stored | {"forms": (StoredForm("|u1"),)}, (encoded_dtype(field), None)
    for check in (check_encodings, check_missing, check_vocabularies):
        check(catalog, files, key, field)
    forms, form_of = forms_of(catalog, files, field)
    delivered = [compared.delivered_dtype(key, field, form.dtype) for form in forms]
    is_decoded = field.decode == "cf"
    classes = None if is_decoded else shared_classes(catalog, files, field)
    stored = {"key": key, "path": field.path, "member": field.member, "asked": field}
    stored |= {"forms": forms, "form_of": form_of, "is_decoded": is_decoded}
    return stored, (delivered[0], classes)


def rows_of_samples(
    compared: ComparedFiles,
    key: str,
    field: SingleField,
    samples: Samples,
    lengths: Int64Array,
    extra_rows: int | Int64Array,
) -> FieldRows:
    """The rows of each sample of a field.

    Args:
        compared: the files.
        key: the field's key.
        field: the field.
        samples: how samples lie in a series.
        lengths: rows of each unit of the catalog.
        extra_rows: the rows of the field beyond those.
    """
    if field.index is not None:
        if not isinstance(samples, Rows):
            raise OptionError(
                f"field {key!r}: the rows of index={field.index!r} are samples of samples=Rows(), found {samples!r}"
            )
        return entry_rows(compared, key, field, compared.row_index(field, lengths))
    if isinstance(samples, Windows):
        steps = field.steps or (0, samples.rows)
        if max(-steps[0], steps[1]) * samples.dilation > LARGEST_INT // 4:
            raise OptionError(
                f"field {key!r}: steps={steps} with dilation={samples.dilation} reach further than rows can be counted"
            )
        return FieldRows(steps, steps[1] - steps[0], steps[1] - steps[0])
    if field.steps is not None:
        raise OptionError(f"field {key!r}: steps need samples=Windows(length, ...), found {samples!r}")
    return (
        whole_rows(compared, field, samples.take, lengths, extra_rows)
        if isinstance(samples, Whole)
        else FieldRows()
    )


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


def _constant_shape(compared: ComparedFiles, key: str, field: SingleField) -> SampleShape:
    compared.check_written(field)
    catalog, files = compared.catalog, compared.files
    schema = compared.dataset(key, field, int(files[0]))
    lengths = catalog.facts_of(field.path)[:, 0]
    expected = int(lengths[files[0]])
    differs = files[lengths[files] != expected]
    shape = ((expected,) if schema.shape else ()) + schema.row_shape_of(field.member)
    if field.may_differ and shape:
        _, first, which = distinct(catalog.layout_of[files])
        rows = [
            compared.dataset(key, field, file).row_shape_of(field.member) for file in files[first].tolist()
        ]
        each = np.asarray(rows, np.int64).reshape(len(rows), -1)[which]
        each = np.concatenate([lengths[files][:, None], each], axis=1) if schema.shape else each
        return SampleShape((), shape, RowShapes.of(each, files, catalog.unit_count))
    if differs.size:
        file = int(differs[0])
        raise SchemaError(
            f"the constant field {key!r}: '/{field.path}' in {catalog.where(file)} has length {lengths[file]}, "
            f"expected {expected} as in {catalog.where(int(files[0]))}{catalog.more(differs)}. "
            f"{field.text(ragged='list')} delivers values of different lengths"
        )
    return SampleShape((), shape)
