"""What the stored numbers of a field mean, file by file: their encoding, missing values, names of categories.

Planning only: the scan read what the files say. Two files that store one quantity with different scales hold different
numbers for equal values. So stored numbers are delivered only if they are the values, or if the user requests them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array, distinct
from h5lightning.errors import MissingDataError, OptionError, SchemaError, UnsupportedFieldError
from h5lightning.options import FLOAT_DTYPES, SingleField
from h5lightning.planning.catalog.annotations import NOTHING, Annotations, Encoding, Found
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.declared_names import declared_names
from h5lightning.planning.catalog.schema import UNREAD, DatasetSchema, Member
from h5lightning.planning.conventions.error_parts import stored_remedy, where
from h5lightning.planning.fields import StoredForm
from h5lightning.planning.values.categories import CodeNames

__all__ = [
    "DECODED_DTYPE",
    "check_encodings",
    "check_missing",
    "check_vocabularies",
    "forms_of",
    "is_type_said",
    "remedy",
    "shared_classes",
]

DECODED_DTYPE = "float32"


def check_encodings(catalog: Catalog, files: Int64Array, key: str, field: SingleField) -> None:
    """Raise unless the numbers of a field can be delivered as requested.

    Raises:
        UnsupportedFieldError: without ``decode``, packed numbers; without ``index``, values that an index divides
            into rows; with ``"cf"``, attributes that cannot be decoded.
        MissingDataError: without ``decode``, the scan saw a number that stands for a missing value.
        OptionError: ``decode="cf"`` for a column or for category codes.
    """
    if field.decode == "stored":
        return
    if field.decode == "cf" and field.member is not None:
        raise OptionError(
            f"field {key!r}: decode='cf' follows the attributes of a dataset, but the column {field.member!r} of "
            f"'/{field.path}' has no attributes: remove decode, and convert in a transform"
        )
    by_annotation = catalog.files_by_annotation(field.path, files, lambda annotation: annotation)
    for annotation, having in by_annotation.items():
        start, masked = where(catalog, int(having[0]), key, field), annotation.masked
        if annotation.index and field.index is None:
            raise UnsupportedFieldError(
                f"{start} {annotation.problem}. {_divided(field, annotation.index)} delivers a list of these rows; "
                f"{stored_remedy(field)}"
            )
        if annotation.encoding is not None:
            _check_encoding(start, field, annotation.encoding)
        if masked is not None and field.decode is None and field.categories is None:
            raise MissingDataError(f"{start} {masked.what} (row {masked.row}). {remedy(field)}")


def check_missing(catalog: Catalog, files: Int64Array, key: str, field: SingleField) -> None:
    """Raise if a row of a field has no value, unless the stored numbers are requested.

    Raises:
        MissingDataError: a code without a category, or a row that a mask marks as missing.
    """
    if field.decode == "stored":
        return
    by_annotation = catalog.files_by_annotation(field.path, files, lambda annotation: annotation)
    for annotation, having in by_annotation.items():
        missing = _missing_in(annotation, field)
        if missing is not None:
            column = f" (column {field.member!r})" if field.member else ""
            raise MissingDataError(
                f"field {key!r}: row {missing.row} of '/{field.path}'{column} in {catalog.where(int(having[0]))} "
                f"{missing.what}{catalog.more(having)}. A loss function would use the number as a value. "
                f"{stored_remedy(field)}, which a transform can mask; or write the files without such rows"
            )


def check_vocabularies(catalog: Catalog, files: Int64Array, key: str, field: SingleField) -> None:
    """Raise if there are several files, and the category names of one of them were not read.

    Raises:
        SchemaError: a code may mean different things in different files.
    """
    if field.decode == "stored" or len(files) < 2:
        return
    for value, file in _values(catalog, files, field):
        if value.vocabulary.startswith(UNREAD):
            raise SchemaError(
                f"{where(catalog, file, key, field)} holds category codes, and the names of its categories were "
                f"{value.vocabulary}. A code may therefore mean different things in different files. Write the names "
                f"without a plug-in filter; or, if the codes agree, request them: {stored_remedy(field)}"
            )


def forms_of(
    catalog: Catalog, files: Int64Array, field: SingleField
) -> tuple[tuple[StoredForm, ...], npt.NDArray[np.int32] | None]:
    """The ways in which files store a field, and the way of each file.

    Returns:
        The distinct ways; and the number of the way of each file, ``(files of the catalog,)``, or None if there is
        only one.
    """
    annotation_of, layout_of = catalog.annotations_of(field.path)[files], catalog.layout_of[files]
    # One number for each pair of a layout and an annotation, which is -1 where there is none.
    kinds = len(catalog.annotations) + 1
    pairs, _, which = distinct(layout_of.astype(np.int64) * kinds + annotation_of + 1)
    numbers: dict[StoredForm, int] = {}
    of_pair = [
        numbers.setdefault(_form(catalog, pair // kinds, pair % kinds - 1, field), len(numbers))
        for pair in pairs.tolist()
    ]
    if len(numbers) == 1:
        return tuple(numbers), None
    form_of = np.zeros(catalog.unit_count, np.int32)
    form_of[files] = np.asarray(of_pair, np.int32)[which]
    return tuple(numbers), form_of


def shared_classes(catalog: Catalog, files: Int64Array, field: SingleField) -> tuple[str, ...] | None:
    """The category names of a field if they are the same in all files, else None."""
    names = {value.categories for value, _ in _values(catalog, files, field)}
    return names.pop() if len(names) == 1 else None


def is_type_said(field: SingleField, dtype: str | None, *schemas: DatasetSchema) -> bool:
    """Whether the options, ``dtype`` for floating fields, fix the type of delivery, so that stored types may differ."""
    if field.dtype is not None or field.decode == "cf" or field.is_encoded:
        return True
    types = (schema.element(field.member) or "" for schema in schemas)
    return dtype is not None and all(text[1:2] == "f" for text in types)


def remedy(field: SingleField) -> str:
    """What to do about encoded numbers."""
    dtype = field.dtype if field.dtype in FLOAT_DTYPES else None  # an integer type has no NaN
    return (
        f"{field.text(decode='cf', dtype=dtype)} delivers the decoded values, NaN where one is missing; "
        f"{stored_remedy(field)}"
    )


def _divided(field: SingleField, index: str) -> str:
    """The option that makes a row of each entry of an index."""
    return field.text(index=index, ragged="list", steps=None, extra_rows=0, axis=None)


def _form(catalog: Catalog, layout: int, annotation: int, field: SingleField) -> StoredForm:
    schema = next(dataset for dataset in catalog.layouts[layout] if dataset.path == field.path)
    dtype = schema.element(field.member) or schema.dtype
    has_encoding = annotation >= 0 and field.member is None and field.decode != "stored"
    encoding = catalog.annotations[annotation].encoding if has_encoding else None
    is_used = encoding is not None and (field.decode == "cf" or encoding.is_masking)
    if field.categories is not None:
        said = catalog.annotations[annotation] if annotation >= 0 else NOTHING
        found = declared_names(schema, said, field.member)
        names = None if found is None or found.problem else CodeNames(found.numbers, found.names)
        return StoredForm(dtype, encoding if is_used and names is None else None, names)
    return StoredForm(dtype, encoding if is_used else None)


def _check_encoding(start: str, field: SingleField, encoding: Encoding) -> None:
    attributes = ", ".join(encoding.said_by)
    if encoding.problem:
        raise UnsupportedFieldError(f"{start} {encoding.problem}. {stored_remedy(field)}")
    if field.decode == "cf":
        if encoding.kind == "codes":
            raise OptionError(
                f"{start} holds numbers of categories ({attributes}), which decode='cf' does not decode: remove decode"
            )
    elif encoding.is_packed and field.member is None and field.categories is not None:
        raise UnsupportedFieldError(
            f"{start} is packed ({attributes}), and categories are whole numbers or text: leave categories out, and "
            "map the values in a transform"
        )
    elif encoding.is_packed and field.member is None:
        raise UnsupportedFieldError(
            f"{start} is packed ({attributes}): its numbers are not the values, and each file may use other factors. "
            f"{remedy(field)}"
        )


def _values(catalog: Catalog, files: Int64Array, field: SingleField) -> Iterator[tuple[Member, int]]:
    """The field's column or element in each distinct layout, with the first file that has the layout."""
    layouts, first, _ = distinct(catalog.layout_of[files])
    for layout, position in zip(layouts.tolist(), first.tolist(), strict=True):
        for dataset in catalog.layouts[layout]:
            value = dataset.value(field.member) if dataset.path == field.path else None
            if value is not None:
                yield value, int(files[position])


def _missing_in(annotations: Annotations, field: SingleField) -> Found | None:
    if field.member is None:
        return annotations.missing
    return next((found for found in annotations.missing_columns if found.column == field.member), None)
