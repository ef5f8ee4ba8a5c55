"""From the user's fields and the scanned files to the plan of each field.

Everything comes from the `Catalog`. Files are compared here, so that a field that differs in one file is an error
before training starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.formatting import counted
from h5lightning.errors import FieldError, OptionError, SchemaError
from h5lightning.options import Field, Samples, Series, SingleField, Whole, Windows, single_fields
from h5lightning.options.coerce import SeriesOption
from h5lightning.planning.attribute_fields import plan_attribute
from h5lightning.planning.box_planning import other_lengths
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.categories import find_categories
from h5lightning.planning.category_attributes import plan_category_attribute
from h5lightning.planning.compared_files import AttributeList, ComparedFiles, NameList, no_first_bytes
from h5lightning.planning.conventions.column_labels import check_labels
from h5lightning.planning.conventions.error_parts import DifferenceOf
from h5lightning.planning.conventions.same_values import check_same
from h5lightning.planning.conventions.series_borders import check_series_borders
from h5lightning.planning.eligible_fields import all_eligible
from h5lightning.planning.encoded_field import FirstBytes, encoded_of
from h5lightning.planning.field_kinds import (
    plan_constant,
    plan_of_series,
    plan_padding,
    plan_rows,
)
from h5lightning.planning.fields import FieldPlan, Fields, PaddingField, RowField, StoredField
from h5lightning.planning.joined_fields import plan_joined
from h5lightning.planning.ragged_fields import DerivedField, NestedField
from h5lightning.planning.ragged_planning import plan_derived
from h5lightning.planning.series.axes import row_numbers_of, with_axes, with_positive_axes
from h5lightning.planning.series.check_bounds import check_bounds
from h5lightning.planning.series.leading_axis import check_lengths, with_leading_series
from h5lightning.planning.series.row_index import OtherRows, check_row_index, deciding_field
from h5lightning.planning.values.categories import Categories

__all__ = ["has_rows", "plan_fields"]


def plan_fields(
    catalog: Catalog,
    fields: Mapping[str, Field] | None,
    samples: Samples,
    *,
    dtype: str | None = None,
    series: SeriesOption = None,
    on_missing: str = "raise",
    same: Sequence[str] = (),
    allow_empty: bool = False,
    files: Int64Array | None = None,
    names_in: NameList = lambda _: (),
    attrs_in: AttributeList = lambda _, __: (),
    difference_of: DifferenceOf = lambda _, __, ___: "",
    categories: Mapping[str, Categories] | None = None,
    checks_rows: bool = True,
    first_bytes: FirstBytes = no_first_bytes,
) -> Fields:
    """Plan each field; all files must agree in it.

    Args:
        catalog: what the files store.
        fields: sample key → `Field`; None for all eligible datasets, if they share one length.
        samples: how samples lie in a series.
        dtype: the type that floating fields are delivered in.
        series: ``file`` for each file as one series, whatever divides its rows; None for an error then.
        on_missing: ``raise``, or ``fill`` to accept data that were never written.
        same: paths of datasets that must be the same in all files.
        allow_empty: accept files without rows.
        files: the files that must agree, ascending; None for all.
        names_in: the datasets of a file, for the error of a missing one.
        attrs_in: the attributes of an object in a file, for the error of a missing one.
        difference_of: the first difference between two files in a dataset, for an error.
        categories: the categories of fields, where others than these files say them, as those of training.
        checks_rows: whether a row without a category is an error now, and not only when it is delivered.
        first_bytes: reads the first image of files, which tells the size of all images.

    Raises:
        FieldError: a field that is missing or that no tensor can hold, or windows of rows of several series.
        SchemaError: files that disagree, or fields of one file with different lengths.
        MissingDataError: data that were never written.
    """
    files = np.arange(catalog.unit_count) if files is None else files
    if not len(files):
        raise FieldError("there are no files to plan fields for")
    check_same(catalog, same, files, names_in=names_in, difference_of=difference_of)
    chosen = all_eligible(catalog, files, same, samples) if fields is None else dict(fields)
    _check_series(chosen, samples, series)
    chosen = with_positive_axes(with_axes(chosen, samples, series), catalog)
    catalog = with_leading_series(catalog, chosen)
    found = find_categories(catalog, chosen, files, categories or {})
    compared = ComparedFiles(
        catalog,
        files,
        dtype,
        on_missing,
        names_in,
        attrs_in,
        categories=found,
        checks_rows=checks_rows,
        first_bytes=first_bytes,
    )
    lengths, remarks = _lengths(compared, chosen, allow_empty=allow_empty)
    if isinstance(series, Series) and series.tables:
        path = next(field.index or field.path for _, field in single_fields(chosen) if has_rows(field))
        remarks += check_bounds(catalog, series, lengths, files, path, names_in=names_in)
    plans = _plans(compared, chosen, samples, lengths)
    _check_joined_shapes(plans, samples, series)
    # Fields that cannot be read row by row have failed before: the remedy names single rows.
    for key, field in single_fields(chosen):
        if has_rows(field):
            check_series_borders(catalog, key, field, samples, files, series=series)
    about_labels = check_labels(catalog, chosen, files, difference_of=difference_of)
    others = other_lengths(catalog, plans, samples, files)
    return Fields(plans, np.maximum(lengths, 0), about_labels, others, remarks)


def _check_series(fields: Mapping[str, Field], samples: Samples, series: SeriesOption) -> None:
    """Raise `OptionError` for options that do not go together with series that are no whole files."""
    if isinstance(samples, Whole) and isinstance(series, Series) and series.join_files is not None:
        raise OptionError(
            "samples: Whole delivers a whole series, and series.join_files makes one of many files: use Windows, or "
            "leave join_files out to have whole files"
        )
    if not isinstance(series, Series):
        return
    for key, field in fields.items():
        if field.extra_rows and not (series.axis is not None and field.axis == 0):
            raise OptionError(
                f"field {key!r}: extra_rows cannot be combined with series={series.text()}: there, each series has the "
                "same rows in all fields. With Series(axis=0), a field that all series share may have extra rows: "
                "Field(path, axis=0, extra_rows=1)"
            )


def _check_joined_shapes(plans: Sequence[FieldPlan], samples: Samples, series: SeriesOption) -> None:
    """Raise `OptionError` if windows may cross from a file into one whose rows have another shape."""
    is_joined = isinstance(series, Series) and series.join_files is not None
    for plan in plans if is_joined and isinstance(samples, Windows) else ():
        encoded = encoded_of(plan)
        if encoded is not None and len(encoded.forms) > 1:
            raise OptionError(
                f"{plan.title} has bytes of another length in each file, and windows may cross from one file into the "
                "next one with series.join_files: leave join_files out, or write the files with one length"
            )
        if isinstance(plan, RowField) and plan.shapes is not None:
            raise OptionError(
                f"{plan.title} has rows of different shapes in different files, and windows may cross from one file "
                "into the next one with series.join_files: leave join_files out, or write the files with one shape"
            )


def has_rows(field: Field) -> bool:
    """Whether a field has values for each sample; an attribute or a constant is the same for a whole file."""
    is_made = field.derived_from is not None or bool(field.table_columns)
    return field.attr is None and not field.constant and not is_made


def _plans(
    compared: ComparedFiles, fields: Mapping[str, Field], samples: Samples, lengths: Int64Array
) -> tuple[FieldPlan, ...]:
    plans = {
        key: _plan(compared, key, field, samples, lengths)
        for key, field in fields.items()
        if field.derived_from is None and not field.table_columns
    }
    return tuple(
        plans[key] if key in plans else _plan_told(key, field, plans, samples)
        for key, field in fields.items()
        if not field.table_columns  # planned when the lines of series are known
    )


def _plan_told(
    key: str, field: Field, plans: Mapping[str, FieldPlan], samples: Samples
) -> PaddingField | DerivedField:
    """Plan the padding or the lengths of another field, whose plan is there."""
    plan = plans.get(field.derived_from or "")
    has_padding = isinstance(samples, Windows) and samples.pad is not None
    if field.padding_of is not None and (has_padding or plan is None or plan.ragged is None):
        return plan_padding(key, field, plans, samples)
    return plan_derived(key, field, plans)


def _plan(
    compared: ComparedFiles, key: str, field: Field, samples: Samples, lengths: Int64Array
) -> FieldPlan:
    parts = field.parts()
    if field.attr is not None:
        plan = plan_attribute if field.categories is None else plan_category_attribute
        return plan(compared, key, parts[0])
    stored = [_plan_stored(compared, key, part, samples, lengths) for part in parts]
    return plan_joined(key, field, stored) if field.is_list else stored[0]


def _plan_stored(
    compared: ComparedFiles, key: str, field: SingleField, samples: Samples, lengths: Int64Array
) -> StoredField:
    if not field.constant:
        return plan_rows(compared, key, field, samples, lengths)
    if field.series_axis is not None:
        return plan_of_series(compared, key, field)
    constant = plan_constant(compared, key, field)
    return constant if field.index is None else NestedField.of(constant, compared.row_index(field, None))


def _lengths(
    compared: ComparedFiles, fields: Mapping[str, Field], *, allow_empty: bool
) -> tuple[Int64Array, tuple[str, ...]]:
    """Rows of each file, ``(files of the catalog,)``, in which all fields with rows must agree, and remarks."""
    for key, part in single_fields(fields):
        if part.axis is not None or part.series_axis is not None:
            compared.schema(key, part)
    check_lengths(compared.catalog, fields, compared.files)
    parts = [(key, part) for key, part in single_fields(fields) if has_rows(part)]
    parts = [(key, part) for key, part in parts if row_numbers_of(part).is_in_unit]
    if not parts:
        raise FieldError("all fields are attributes or constants: at least one must have rows")
    catalog, files = compared.catalog, compared.files
    if all(part.extra_rows for _, part in parts):
        raise OptionError("all fields have extra_rows: at least one must have the rows of the series alone")
    plain = [(key, part) for key, part in parts if part.index is None]
    rows, remarks = _rows_of_indexes(compared, fields, _plain_rows(compared, plain) if plain else None)
    # A file without rows is a mistake; of many series in a file, some may be empty.
    may_be_empty = allow_empty or catalog.matches is not None
    if not may_be_empty and (empty := files[rows[files] == 0]).size:
        raise SchemaError(
            f"{_files(catalog, empty)} no rows (the sample axis has length 0): write the file again, or leave "
            "it out with a '!' pattern or access.on_bad_file='skip'"
        )
    if not rows[files].any():
        raise SchemaError(f"none of the {counted(len(files), catalog.noun)} holds a row")
    return rows, remarks


def _plain_rows(compared: ComparedFiles, parts: Sequence[tuple[str, SingleField]]) -> OtherRows:
    """The rows of the fields without an index, in which they must agree."""
    catalog, files = compared.catalog, compared.files
    first_key, first = next((part for part in parts if not part[1].extra_rows), parts[0])
    expected = compared.rows(first_key, first)
    for key, field in parts:
        rows = compared.rows(key, field)
        more = rows[files] - expected[files]
        differs = files[(more < 0) | (more > field.extra_rows)]
        if differs.size:
            file = int(differs[0])
            if field.extra_rows:
                raise SchemaError(
                    f"field {key!r}: in {catalog.where(file)} '/{field.path}' has {rows[file]} rows, expected "
                    f"{expected[file]} to {expected[file] + field.extra_rows}: the {expected[file]} rows of "
                    f"'/{first.path}', and up to extra_rows={field.extra_rows} more{catalog.more(differs)}"
                )
            raise SchemaError(
                f"in {catalog.where(file)} '/{field.path}' has {counted(int(rows[file]), 'row')} and "
                f"'/{first.path}' has {expected[file]}{catalog.more(differs)}: fields of one sample need one length. "
                "A dataset without a sample axis is Field(path, constant=True)"
                f"{_one_more(catalog, first, field, more[differs])}"
                f"{_last_axis(compared, file, ((first_key, first), (key, field)))}"
            )
    return OtherRows(first.path, expected)


def _rows_of_indexes(
    compared: ComparedFiles, fields: Mapping[str, Field], others: OtherRows | None
) -> tuple[Int64Array, tuple[str, ...]]:
    """The rows of each file, with which the fields with an index must agree, and remarks.

    If all fields with rows have an index, ``others`` is None, and the index of one tells the rows.
    """
    indexed = [(key, part) for key, part in single_fields(fields) if part.index is not None]
    remarks: list[str] = []

    def checked(key: str, field: SingleField, others: OtherRows | None) -> Int64Array:
        compared.schema(key, field)
        compared.check_written(field)
        rows, told = check_row_index(
            compared.catalog, compared.files, field, others, key, names_in=compared.names_in
        )
        remarks.extend(told)
        return rows

    if others is None:
        key, first = deciding_field(compared.catalog, [one for one in indexed if has_rows(one[1])])
        others = OtherRows(first.index or "", checked(key, first, None))
    for key, field in indexed:
        checked(key, field, others if has_rows(field) else None)
    return others.rows, tuple(dict.fromkeys(remarks))


def _one_more(catalog: Catalog, first: SingleField, field: SingleField, more: Int64Array) -> str:
    """The remedy if a field has one row more than another one, as observations beside actions."""
    if catalog.bounds is not None or not (abs(more) == 1).all():
        return ""
    longer = field if more[0] > 0 else first
    return f". One row more, such as the last observation, is {longer.text(extra_rows=1)}"


def _last_axis(compared: ComparedFiles, file: int, parts: Sequence[tuple[str, SingleField]]) -> str:
    """The remedy if two fields have one length along their last axis, as channels × times beside labels."""
    if any(part.axis is not None or part.index is not None for _, part in parts):
        return ""
    lengths = set()
    for key, part in parts:
        dataset = compared.dataset(key, part, file)
        lengths.add(dataset.shape[-1] if len(dataset.shape) > 1 else int(compared.rows(key, part)[file]))
    return ". Both have one length along the last axis: samples with axis=-1" if len(lengths) == 1 else ""


def _files(catalog: Catalog, files: Int64Array) -> str:
    names = ", ".join(catalog.where(file) for file in files[:3].tolist())
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return f"{names}{more} {'holds' if len(files) == 1 else 'hold'}"
