"""Plans of datasets with categories: their rows in memory, or their stored numbers and what these stand for."""

from __future__ import annotations

from typing import Any

import numpy as np

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.errors import UnsupportedFieldError
from h5lightning.options import SingleField
from h5lightning.planning.catalog.annotations import NOTHING
from h5lightning.planning.catalog.declared_names import declared_names
from h5lightning.planning.catalog.row_values import RowValues, values_name
from h5lightning.planning.categories import check_kind, delivered_classes, row_values_of
from h5lightning.planning.category_errors import unknown_value
from h5lightning.planning.compared_files import ComparedFiles
from h5lightning.planning.conventions.encoding_checks import check_encodings, check_missing, forms_of
from h5lightning.planning.conventions.error_parts import where
from h5lightning.planning.fields import StoredForm
from h5lightning.planning.kept_rows import KeptRows
from h5lightning.planning.row_numbers import AlongAxes
from h5lightning.planning.series.axes import row_numbers_of
from h5lightning.planning.values.categories import NO_CATEGORY
from h5lightning.planning.values.conversions import delivery_dtype

__all__ = ["plan_classes"]

_TEXT = 0  # in `RowValues.unit_kinds`
_NO_VALUE = 255


def plan_classes(
    compared: ComparedFiles, key: str, field: SingleField
) -> tuple[dict[str, Any], tuple[str, tuple[str, ...]]]:
    """Arguments of `StoredField` but the shape, and what is delivered: the type, and the names of the categories.

    Raises:
        FieldError: a row has no category, and no number was given for such rows; categories of another kind.
        MissingDataError: a row has no value, and no number was given for such rows.
        OptionError: a type of delivery that does not hold the numbers of all categories.
    """
    categories, files = compared.categories[key], compared.files
    delivered = delivered_classes(key, field, categories)
    check_encodings(compared.catalog, files, key, field)
    values = row_values_of(compared.catalog, field)
    options: dict[str, Any] = {
        "key": key,
        "path": field.path,
        "member": field.member,
        "asked": field,
        "categories": categories,
    }
    if values is not None and values.has_rows[files].all() and not _is_box(field):
        options["kept"] = kept = _kept(compared, key, field, values)
        if compared.checks_rows and categories.unknown is None:
            _check_rows(compared, key, field, values, kept)
        options["forms"] = (StoredForm(delivery_dtype(delivered).str),)
    else:
        options["forms"], options["form_of"] = _forms(compared, key, field)
    return options, (delivered, categories.names)


def _is_box(field: SingleField) -> bool:
    return isinstance(row_numbers_of(field), AlongAxes)


def _kept(compared: ComparedFiles, key: str, field: SingleField, values: RowValues) -> KeptRows:
    """The rows of a field in memory."""
    files, kinds = compared.files, values.unit_kinds[compared.files]
    path = f"'/{values_name(field.path, field.member)}'"
    for kind in np.unique(kinds[kinds != _NO_VALUE]).tolist():
        unit = int(files[np.argmax(kinds == kind)])
        check_kind(
            compared.catalog, key, path, unit, is_text=kind == _TEXT, expected=compared.categories[key]
        )
    union, numbers = values.vocabulary(files)
    return KeptRows(values.codes, values.first_code, values.first_value, numbers, tuple(union))


def _forms(compared: ComparedFiles, key: str, field: SingleField) -> tuple[Any, Any]:
    """The ways in which files store the numbers of a field, and the way of each file."""
    catalog, files = compared.catalog, compared.files
    forms, form_of = forms_of(catalog, files, field)
    categories = compared.categories[key]
    for number, form in enumerate(forms):
        unit = int(files[0 if form_of is None else np.argmax(form_of[files] == number)])
        schema = catalog.schema(unit).dataset(field.path)
        value = None if schema is None else schema.value(field.member)
        if schema is not None and (refusal := schema.refusal or (value is not None and value.refusal)):
            raise UnsupportedFieldError(
                f"{where(catalog, unit, key, field)} {refusal}. Text can have categories where rows lie along the "
                "first axis, with up to 65,536 values each"
            )
        said = NOTHING if schema is None else schema.annotations
        declared = None if schema is None else declared_names(schema, said, field.member)
        if declared is not None and declared.problem:
            raise UnsupportedFieldError(
                f"{where(catalog, unit, key, field)} {declared.problem}. Without categories, the numbers are delivered"
            )
        is_text = form.names is not None
        check_kind(catalog, key, f"'/{field.path}'", unit, is_text=is_text, expected=categories)
        if not is_text:
            check_missing(catalog, files, key, field)
    return forms, form_of


def _check_rows(
    compared: ComparedFiles, key: str, field: SingleField, values: RowValues, kept: KeptRows
) -> None:
    """Raise if a row has no category."""
    categories, files = compared.categories[key], compared.files
    is_none = kept.numbers(categories) == NO_CATEGORY
    columns = values.column_of[files]
    is_wrong = _lists_with(values, is_none[:-1])[values.list_of[columns]] | _columns_without(values)[columns]
    for unit in files[is_wrong].tolist():
        rows = np.arange(int(values.unit_rows[unit]))
        places = kept.places(np.full(len(rows), unit), rows, int(values.unit_row_sizes[unit]))
        wrong = np.argwhere(is_none[places])
        if wrong.size:
            row, number = wrong[0].tolist()
            value = kept.value(int(places[row, number]))
            at = f"at row {row} of {compared.catalog.where(unit)}{compared.catalog.more(files[is_wrong])}"
            raise unknown_value(
                f"field {key!r} ('/{values_name(field.path, field.member)}')", field, categories, value, at
            )


def _lists_with(values: RowValues, is_none: BoolArray) -> BoolArray:
    """Whether each list has a value that is no category."""
    found = np.zeros(len(values.counts), np.bool_)
    ends = np.cumsum(values.counts)
    found[ends.searchsorted(np.flatnonzero(is_none), side="right")] = True
    return found


def _columns_without(values: RowValues) -> BoolArray:
    """Whether each column has a row without a value."""
    found = np.zeros(len(values.rows), np.bool_)
    codes = values.codes
    if codes.size and codes.min() < 0:
        ends: Int64Array = np.cumsum(np.where(values.has_codes, values.rows * values.row_sizes, 0))
        found[ends.searchsorted(np.flatnonzero(codes < 0), side="right")] = True
    return found
