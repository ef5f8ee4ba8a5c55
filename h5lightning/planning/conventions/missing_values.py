"""Rows of a field that have no value, and category codes whose names were not read.

Planning only: the scan read what the files say.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.formatting import more_files
from h5lightning.errors import MissingDataError, SchemaError
from h5lightning.options import Field
from h5lightning.planning.catalog.annotations import Annotations, Found
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.schema import UNREAD, Member
from h5lightning.planning.conventions.error_parts import stored_remedy, where

__all__ = ["check_missing", "check_vocabularies", "shared_classes"]


def check_missing(catalog: Catalog, files: Int64Array, key: str, field: Field) -> None:
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
                f"field {key!r}: row {missing.row} of '/{field.path}'{column} in {catalog.path(int(having[0]))} "
                f"{missing.what}{more_files(having)}. A loss function would use the number as a value. "
                f"{stored_remedy(field)}, which a transform can mask; or write the files without such rows"
            )


def check_vocabularies(catalog: Catalog, files: Int64Array, key: str, field: Field) -> None:
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


def shared_classes(catalog: Catalog, files: Int64Array, field: Field) -> tuple[str, ...] | None:
    """The category names of a field if they are the same in all files, else None."""
    names = {value.categories for value, _ in _values(catalog, files, field)}
    return names.pop() if len(names) == 1 else None


def _values(catalog: Catalog, files: Int64Array, field: Field) -> Iterator[tuple[Member, int]]:
    """The field's column or element in each distinct layout, with the first file that has the layout."""
    layouts, first = np.unique(catalog.layout_of[files], return_index=True)
    for layout, position in zip(layouts.tolist(), first.tolist(), strict=True):
        for dataset in catalog.layouts[layout]:
            value = dataset.value(field.member) if dataset.path == field.path else None
            if value is not None:
                yield value, int(files[position])


def _missing_in(annotations: Annotations, field: Field) -> Found | None:
    if field.member is None:
        return annotations.missing
    return next((found for found in annotations.missing_columns if found.column == field.member), None)
