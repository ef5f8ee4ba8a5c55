"""From the user's fields and the scanned files to what each field of a batch is.

Planning only: everything comes from the `Catalog`. Here files are held against each other, so that a field
that differs in one file is an error before training starts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.core.formatting import counted, more_files
from h5lightning.errors import (
    FieldError,
    MissingDataError,
    MissingFieldError,
    OptionError,
    SchemaError,
    UnsupportedFieldError,
)
from h5lightning.options import Field, Samples, Whole, Windows
from h5lightning.options.checks import nearest
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.schema import DatasetSchema, as_array, untyped
from h5lightning.planning.catalog.schema_difference import explain_difference
from h5lightning.planning.conventions.column_labels import check_labels
from h5lightning.planning.conventions.encodings import DECODED_DTYPE, check_encodings, forms_of, is_type_said
from h5lightning.planning.conventions.error_parts import DifferenceOf, stored_remedy
from h5lightning.planning.conventions.missing_values import check_missing, check_vocabularies, shared_classes
from h5lightning.planning.conventions.same_values import check_same, is_same
from h5lightning.planning.conventions.series_borders import check_series_borders
from h5lightning.planning.field_columns import check_column
from h5lightning.planning.fields import FieldPlan, Fields, FieldSpec, StoredForm
from h5lightning.planning.values.conversions import (
    LostValueError,
    common_type,
    converted,
    delivery_dtype,
    wider_type,
)

__all__ = ["has_rows", "plan_fields"]

NameList = Callable[[int], Sequence[str]]
AttributeList = Callable[[int, str], Sequence[str]]


def plan_fields(
    catalog: Catalog,
    fields: Mapping[str, Field] | None,
    samples: Samples,
    *,
    dtype: str | None = None,
    series: str | None = None,
    on_missing: str = "raise",
    same: Sequence[str] = (),
    allow_empty: bool = False,
    files: Int64Array | None = None,
    names_in: NameList = lambda _: (),
    attrs_in: AttributeList = lambda _, __: (),
    difference_of: DifferenceOf = lambda _, __, ___: "",
) -> Fields:
    """Hold the files against the fields, and plan each field.

    Args:
        catalog: what the files hold.
        fields: sample key → `Field`; None for all eligible datasets, if they share one length.
        samples: how samples lie in a series.
        dtype: the type that floating fields are delivered in.
        series: ``file`` for each file as one series, whatever divides its rows; None for an error then.
        on_missing: ``raise``, or ``fill`` to accept data that were never written.
        same: paths of datasets that must be the same in all files.
        allow_empty: accept files without rows.
        files: the files that must agree, ascending; None for all.
        names_in: the datasets of a file, asked only to explain a missing one.
        attrs_in: the attributes of an object in a file, likewise.
        difference_of: the first difference between two files in a dataset, likewise.

    Raises:
        FieldError: a field that is missing, or that no tensor can hold.
        SchemaError: files that disagree, or fields of one file with different lengths.
        MissingDataError: data that were never written.
        UnsupportedFieldError: windows of rows that hold several series.
    """
    wanted = np.arange(len(catalog)) if files is None else files
    if not len(wanted):
        raise FieldError("there are no files to plan fields for")
    check_same(catalog, same, wanted, names_in=names_in, difference_of=difference_of)
    chosen = _all_eligible(catalog, wanted, same) if fields is None else dict(fields)
    planner = _Planner(catalog, wanted, samples, dtype, on_missing, names_in, attrs_in)
    lengths = planner.lengths({key: field for key, field in chosen.items() if has_rows(field)})
    if not allow_empty and (empty := wanted[lengths[wanted] == 0]).size:
        raise SchemaError(
            f"{_files(catalog, empty)} no rows (the sample axis has length 0): write the file again, or leave "
            "it out with a '!' pattern or access.on_bad_file='skip'"
        )
    if not lengths[wanted].any():
        raise SchemaError(f"none of the {len(wanted)} files holds a row")
    plans = tuple(planner.plan(key, field, lengths) for key, field in chosen.items())
    # Only of what can be read row by row is it true that single rows are fine.
    for key, field in chosen.items():
        if has_rows(field):
            check_series_borders(catalog, key, field, samples, wanted, series=series)
    remarks = check_labels(catalog, chosen, wanted, difference_of=difference_of)
    return Fields(plans=plans, rows=np.maximum(lengths, 0), remarks=remarks)


def has_rows(field: Field) -> bool:
    """Whether each sample has values of its own; an attribute or a constant is the same for a whole file."""
    return field.attr is None and not field.constant


def _all_eligible(catalog: Catalog, files: Int64Array, same: Sequence[str]) -> dict[str, Field]:
    schema = catalog.schema(int(files[0]))
    eligible = [
        dataset
        for dataset in schema.datasets
        if not dataset.refusal and dataset.shape and not is_same(dataset.path, same)
    ]
    where = catalog.path(int(files[0]))
    if not eligible:
        refused = "; ".join(
            f"'/{dataset.path}' {dataset.refusal or 'is a scalar'}" for dataset in schema.datasets[:8]
        )
        raise FieldError(f"{where} holds no dataset that can be a field. {refused or 'It holds none at all'}")
    if len({dataset.rows for dataset in eligible}) > 1:
        listed = ", ".join(f"'{dataset.path}' {dataset.shape}" for dataset in eligible)
        raise FieldError(
            f"{where} holds datasets of different lengths, so fields must say which to use. "
            f"Candidates: {listed}. For example fields={{'x': '{eligible[0].path}'}}"
        )
    return {dataset.path: Field(dataset.path) for dataset in eligible}


@dataclass(frozen=True, slots=True, eq=False)
class _Planner:
    catalog: Catalog
    files: Int64Array
    samples: Samples
    dtype: str | None
    on_missing: str
    names_in: NameList
    attrs_in: AttributeList

    # ── agreement ────────────────────────────────────────────────────────────────────────────────────

    def lengths(self, fields: Mapping[str, Field]) -> Int64Array:
        """Rows of each file, ``(files,)``, after all row fields were found to agree."""
        if not fields:
            raise FieldError("all fields are attributes or constants: at least one must have rows")
        first_key, first = next(iter(fields.items()))
        expected = self._lengths_of(first_key, first)
        for key, field in fields.items():
            found = self._lengths_of(key, field)
            differs = self.files[found[self.files] != expected[self.files]]
            if differs.size:
                file = int(differs[0])
                raise SchemaError(
                    f"in {self.catalog.path(file)} '/{field.path}' has {found[file]} rows and '/{first.path}' has "
                    f"{expected[file]}{more_files(differs)}: fields of one sample need one length. A dataset without "
                    "a sample axis is Field(path, constant=True)"
                )
        return expected

    def _lengths_of(self, key: str, field: Field) -> Int64Array:
        self.agreed(key, field)
        self._check_written(field)
        return self.catalog.facts_of(field.path)[:, 0]

    def _check_written(self, field: Field) -> None:
        facts = self.catalog.facts_of(field.path)
        never_written = self.files[facts[self.files, 2] > 0]
        if never_written.size and self.on_missing == "raise":
            file = int(never_written[0])
            missing = counted(int(facts[file, 2]), "never written chunk")
            raise MissingDataError(
                f"'/{field.path}' in {self.catalog.path(file)} has {missing}{more_files(never_written)}: HDF5 "
                "would return its fill value. Write them, leave the file out, or accept the fill value with "
                "access.on_missing='fill'"
            )

    def agreed(self, key: str, field: Field) -> DatasetSchema:
        """The schema that all files share in what a batch needs."""
        layouts, first = np.unique(self.catalog.layout_of[self.files], return_index=True)
        reference_file = int(self.files[first[0]])
        reference = self._dataset(key, field, reference_file)
        column = f" (column {field.member!r})" if field.member else ""
        for number, file in zip(layouts[1:].tolist(), self.files[first[1:]].tolist(), strict=True):
            found = self._dataset(key, field, file)
            is_converted = is_type_said(field, self.dtype, found, reference)
            if difference := explain_difference(
                found,
                reference,
                field.member,
                any_type=is_converted,
                any_categories=field.decode == "stored",
            ):
                raise SchemaError(
                    f"'/{field.path}'{column} in {self.catalog.path(file)} {difference} as in "
                    f"{self.catalog.path(reference_file)}{self._how_many(number)}. "
                    f"{_remedy_of(field, found, reference, is_converted=is_converted)}"
                )
        return reference

    def _how_many(self, layout: int) -> str:
        alike = int((self.catalog.layout_of[self.files] == layout).sum())
        return f" ({alike} of {len(self.files)} files have this layout)"

    def _dataset(self, key: str, field: Field, file: int) -> DatasetSchema:
        layout = self.catalog.layouts[int(self.catalog.layout_of[file])]
        found = next((dataset for dataset in layout if dataset.path == field.path), None)
        where = self.catalog.path(file)
        if found is None:
            later = " ('*' in a path is not available yet)" if "*" in field.path else ""
            known = nearest(field.path, self.names_in(file))
            raise MissingFieldError(f"field {key!r}: {where} holds no dataset '/{field.path}'{later}{known}")
        if found.refusal:
            raise UnsupportedFieldError(f"field {key!r}: '/{field.path}' in {where} {found.refusal}")
        if not found.shape and not field.constant:
            raise UnsupportedFieldError(
                f"field {key!r}: '/{field.path}' in {where} is a scalar, it has no sample axis; "
                f"{field.text(constant=True)} gives it to each sample"
            )
        check_column(f"field {key!r}: '/{field.path}' in {where}", field, found)
        return found

    # ── plans ────────────────────────────────────────────────────────────────────────────────────────

    def plan(self, key: str, field: Field, lengths: Int64Array) -> FieldPlan:
        """What one field of a batch is."""
        if field.attr is not None:
            return self._plan_attr(key, field)
        schema = self.agreed(key, field)
        check_encodings(self.catalog, self.files, key, field)
        check_missing(self.catalog, self.files, key, field)
        check_vocabularies(self.catalog, self.files, key, field)
        forms, form_of = forms_of(self.catalog, self.files, field)
        delivered = [self._delivered(key, field, form.dtype) for form in forms]
        is_decoded = field.decode == "cf"
        classes = shared_classes(self.catalog, self.files, field)
        if field.constant:
            kind, shape, steps = "constant", self._constant_shape(key, field), None
            sample_shape = shape
        else:
            kind, shape, steps = "rows", schema.row_shape_of(field.member), self._steps(key, field, lengths)
            sample_shape = shape if steps is None else (steps[1] - steps[0], *shape)
        return FieldPlan(
            key=key,
            kind=kind,
            path=field.path,
            member=field.member,
            forms=forms,
            row_shape=shape,
            steps=steps,
            spec=FieldSpec(sample_shape, delivered[0], None if is_decoded else classes),
            form_of=form_of,
            is_decoded=is_decoded,
            asked=field,
        )

    def _steps(self, key: str, field: Field, lengths: Int64Array) -> tuple[int, int] | None:
        if isinstance(self.samples, Windows):
            start, stop = field.steps or (0, self.samples.length)
            if stop > self.samples.length:
                raise OptionError(
                    f"field {key!r}: steps end at {stop}, the window has {self.samples.length} rows"
                )
            return start, stop
        if field.steps is not None:
            raise OptionError(
                f"field {key!r}: steps need samples=Windows(length, ...), found {self.samples!r}"
            )
        return (0, self._whole_length(lengths)) if isinstance(self.samples, Whole) else None

    def _whole_length(self, lengths: Int64Array) -> int:
        found = lengths[self.files]
        filled = self.files[found > 0]
        expected = int(lengths[filled[0]])
        differs = filled[lengths[filled] != expected]
        if differs.size:
            file = int(differs[0])
            raise SchemaError(
                f"samples='whole': {self.catalog.path(file)} has {lengths[file]} rows, expected {expected} as in "
                f"{self.catalog.path(int(filled[0]))}{more_files(differs)}. A batch holds samples of one length: "
                "use Windows(length), or make the files equal"
            )
        return expected

    def _constant_shape(self, key: str, field: Field) -> tuple[int, ...]:
        self._check_written(field)
        lengths = self.catalog.facts_of(field.path)[self.files, 0]
        differs = self.files[lengths != lengths[0]]
        if differs.size:
            file = int(differs[0])
            raise SchemaError(
                f"the constant field {key!r}: '/{field.path}' in {self.catalog.path(file)} has length "
                f"{self.catalog.facts_of(field.path)[file, 0]}, expected {lengths[0]} as in "
                f"{self.catalog.path(int(self.files[0]))}{more_files(differs)}"
            )
        schema = self.catalog.schema(int(self.files[0])).dataset(field.path)
        return schema.field_shape(field.member) if schema is not None else ()

    def _plan_attr(self, key: str, field: Field) -> FieldPlan:
        values = [self._attr(key, field, file) for file in self.files.tolist()]
        shape = values[0].shape
        for file, value in zip(self.files.tolist(), values, strict=True):
            if value.shape != shape:
                raise SchemaError(
                    f"field {key!r}: {_attribute(field)} in {self.catalog.path(file)} has shape {value.shape}, "
                    f"expected {shape} as in {self.catalog.path(int(self.files[0]))}"
                )
        delivered = self._delivered(key, field, common_type(values).str)
        table = np.zeros((len(self.catalog), *shape), dtype=delivery_dtype(delivered))
        for file, value in zip(self.files.tolist(), values, strict=True):
            table[file] = self._converted_attr(key, field, file, value, delivered)
        form = StoredForm(table.dtype.str)
        return FieldPlan(
            key, "attr", field.path, None, (form,), shape, None, FieldSpec(shape, delivered), table
        )

    def _converted_attr(
        self, key: str, field: Field, file: int, value: npt.NDArray[Any], delivered: str
    ) -> npt.NDArray[Any]:
        try:
            found: npt.NDArray[Any] = converted(value.reshape(1, *value.shape), delivered)[0, ...]
            return found
        except LostValueError as error:
            lost = value.reshape(1, *value.shape)[error.place]
            raise FieldError(
                f"field {key!r}: {_attribute(field)} in {self.catalog.path(file)} is {lost!s}, which {delivered} "
                f"cannot hold. {self._attr_remedy(key, field)}"
            ) from None

    def _attr_remedy(self, key: str, field: Field) -> str:
        """What to do about the values of an attribute that a type cannot hold."""
        wide = field.text(dtype="float64")
        try:
            for file in self.files.tolist():
                converted(self._attr(key, field, file).reshape(-1), "float64")
        except LostValueError:
            if field.dtype or self.dtype:
                return "Choose another Field(dtype=…), or write another value"
            return (
                "Files hold it in different types, and no type holds all of its values: write it in one type"
            )
        if field.dtype or self.dtype:
            return f"{wide} delivers it, or write another value"
        return f"Files hold it in different types: {wide} says which one is wanted"

    def _attr(self, key: str, field: Field, file: int) -> npt.NDArray[Any]:
        attrs, name = self.catalog.typed_attrs(file), f"{field.path}@{field.attr}"
        where = self.catalog.path(file)
        if name not in attrs:
            known = nearest(field.attr, self.attrs_in(file, field.path))
            raise MissingFieldError(f"field {key!r}: {where} lacks {_attribute(field)}{known}")
        value = as_array(attrs[name])
        if value.dtype.kind not in "biuf":
            raise UnsupportedFieldError(
                f"field {key!r}: {_attribute(field)} in {where} is {untyped(attrs[name])!r}, no tensor "
                "can hold it; numbers can be fields, text can be used by split.keep_together='attr:NAME'"
            )
        return value

    def _delivered(self, key: str, field: Field, stored: str) -> str:
        kind = np.dtype(stored)
        is_floating = kind.kind == "f" or field.decode == "cf"
        wanted = field.dtype or (self.dtype if is_floating else None)
        wanted = wanted or (DECODED_DTYPE if field.decode == "cf" else kind.name)
        if kind.kind == "c" and not wanted.startswith("complex"):
            raise OptionError(
                f"field {key!r}: complex numbers cannot be delivered as {wanted}; use a transform"
            )
        return wanted


def _remedy_of(field: Field, found: DatasetSchema, expected: DatasetSchema, *, is_converted: bool) -> str:
    """What to do about a difference: nothing but a type, or categories, may be said."""
    if explain_difference(found, expected, field.member, any_type=True, any_categories=True):
        return "Run 'h5lightning inspect' to list what differs"
    if not explain_difference(found, expected, field.member, any_type=is_converted, any_categories=True):
        return f"One code means different things: write all files with one list. {stored_remedy(field)}"
    types = [schema.element(field.member) or schema.dtype for schema in (found, expected)]
    return f"{field.text(dtype=wider_type(*types))} delivers one type, whatever each file stores"


def _attribute(field: Field) -> str:
    return f"the attribute {field.attr!r}{f' of {field.path!r}' if field.path else ''}"


def _files(catalog: Catalog, files: Int64Array) -> str:
    names = ", ".join(os.fspath(catalog.path(file)) for file in files[:3].tolist())
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return f"{names}{more} {'holds' if len(files) == 1 else 'hold'}"
