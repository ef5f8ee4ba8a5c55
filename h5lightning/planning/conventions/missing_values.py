"""Rows of a field without a value, and codes of which nobody knows whether they mean the same in all files.

Planning only: what files say was found by the scan.
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

__all__ = ["check_missing", "check_vocabularies", "shared_classes", "stored_remedy"]


def check_missing(catalog: Catalog, files: Int64Array, key: str, field: Field) -> None:
    """Raise if a row of a field has no value, unless the stored numbers are asked for.

    Args:
        catalog: what the files hold.
        files: the files that must agree, ascending.
        key: the sample's key.
        field: the field, which has rows or is constant.

    Raises:
        MissingDataError: a code without a category, or a row that a mask calls missing.
    """
    if field.decode == "stored":
        return
    for said, having in catalog.by_saying(field.path, files, lambda said: said).items():
        found = _of_field(said, field)
        if found is not None:
            column = f" (column {field.member!r})" if field.member else ""
            raise MissingDataError(
                f"field {key!r}: row {found.row} of '/{field.path}'{column} in {catalog.path(int(having[0]))} "
                f"{found.what}{more_files(having)}. A loss would take the number for a value. "
                f"{stored_remedy(field)}, to be masked in a transform; or write the files without such rows"
            )


def check_vocabularies(catalog: Catalog, files: Int64Array, key: str, field: Field) -> None:
    """Raise if there are several files, and the names of the codes of one of them were not read.

    Args:
        catalog: what the files hold.
        files: the files that must agree, ascending.
        key: the sample's key.
        field: the field, which has rows or is constant.

    Raises:
        SchemaError: nobody knows whether a code means the same in all files.
    """
    if field.decode == "stored" or len(files) < 2:
        return
    for value, file in _values(catalog, files, field):
        if value.vocabulary.startswith(UNREAD):
            raise SchemaError(
                f"field {key!r}: '/{field.path}' in {catalog.path(file)} holds codes, and the names of its categories "
                f"were {value.vocabulary}. So nobody knows whether a code means the same in all files. Write the names "
                f"without a plug-in filter; or, if you know that it does, ask for the codes: {stored_remedy(field)}"
            )


def shared_classes(catalog: Catalog, files: Int64Array, field: Field) -> tuple[str, ...] | None:
    """The names of the values of a field, where all files have the same; else None."""
    values = [value for value, _ in _values(catalog, files, field)]
    names = {value.categories for value in values}
    return names.pop() if len(names) == 1 else None


def stored_remedy(field: Field) -> str:
    """The option that asks for the stored numbers."""
    return f"{field.text(decode='stored')} delivers the stored numbers"


def _values(catalog: Catalog, files: Int64Array, field: Field) -> Iterator[tuple[Member, int]]:
    """What a field holds, once for each layout of the files, with the first file that has it."""
    layouts, first = np.unique(catalog.layout_of[files], return_index=True)
    for layout, place in zip(layouts.tolist(), first.tolist(), strict=True):
        for dataset in catalog.layouts[layout]:
            value = dataset.value(field.member) if dataset.path == field.path else None
            if value is not None:
                yield value, int(files[place])


def _of_field(said: Annotations, field: Field) -> Found | None:
    if field.member is None:
        return said.missing
    return next((found for found in said.missing_columns if found.column == field.member), None)
