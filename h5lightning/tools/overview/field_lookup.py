"""From the fields that the user names, or that can be guessed, to how the files store them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import FieldError, H5LightningError, MissingFieldError
from h5lightning.options import Access, Field, Whole
from h5lightning.options.checks import nearest
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.planning.field_columns import check_column
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.direct.reader import DirectReader
from h5lightning.tools.overview.dataset_table import Entry, entries_of
from h5lightning.tools.overview.guess_fields import guess
from h5lightning.tools.overview.scan import shared_attrs
from h5lightning.tools.overview.stored_fields import StoredField

__all__ = ["stored_fields_of", "with_reasons"]


def stored_fields_of(
    catalog: Catalog, fields: Mapping[str, Field] | None
) -> tuple[tuple[StoredField, ...], bool]:
    """The fields with rows as the files store them, and whether a sample is all of a file.

    Args:
        catalog: what the files hold.
        fields: sample key → `Field`; None to guess.

    Raises:
        FieldError: a field that no file holds, or files that hold nothing to train on.
        UnsupportedFieldError: a table, and no column of it that can be a field.
    """
    if not len(catalog):
        raise FieldError("none of the files can be read: see 'h5lightning inspect'")
    if fields is not None:
        return _chosen(catalog, fields), False
    entries = entries_of(catalog)
    try:
        guessed = guess(entries, len(catalog), shared_attrs(catalog))
    except H5LightningError as error:
        # What no field can be made of is what there is to say something about.
        stored = tuple(_of_entries(catalog, [entry for entry in entries if _holds_numbers(entry)]))
        if not stored:
            raise FieldError(str(error)) from error
        return stored, False
    if guessed.fields is None:
        return tuple(_of_entries(catalog, guessed.entries)), False
    return _chosen(catalog, guessed.fields), isinstance(guessed.samples, Whole)


def with_reasons(catalog: Catalog, fields: Sequence[StoredField]) -> tuple[StoredField, ...]:
    """The fields, with why they are read through HDF5, where they are: asked of one file for each.

    Args:
        catalog: where the files lie.
        fields: the fields.
    """
    with HandlePool(Access()) as pool:
        reader = DirectReader(pool)
        found = [dataclasses.replace(field, reason=_reason(reader, catalog, field)) for field in fields]
        reader.close()
    return tuple(found)


def _reason(reader: DirectReader, catalog: Catalog, field: StoredField) -> str:
    if field.schema.refusal:
        return ""
    # Of a family the first member may be in other files.
    file = field.files[int(np.argmax(field.rows > 0)) if len(field.paths) == 1 else 0]
    try:
        return reader.reason(catalog.path(int(file)), field.source)
    except H5LightningError:
        return ""  # to read it says what is wrong


def _chosen(catalog: Catalog, fields: Mapping[str, Field]) -> tuple[StoredField, ...]:
    with_rows = {key: field for key, field in fields.items() if field.attr is None and not field.constant}
    stored = [stored for key, field in with_rows.items() for stored in _required(catalog, key, field)]
    if not stored:
        raise FieldError("all fields are attributes or constants: at least one must have rows")
    return tuple(stored)


def _required(catalog: Catalog, key: str, wanted: Field) -> list[StoredField]:
    path = wanted.path
    found = list(_of_paths(catalog, key, path, (path,), wanted.member))
    if not found:
        known = sorted({dataset.path for layout in catalog.layouts for dataset in layout})
        raise MissingFieldError(f"field {key!r}: no file holds a dataset '/{path}'{nearest(path, known)}")
    for field in found:
        refusal = "" if field.schema.storage in ("virtual", "external") else field.schema.refusal
        if refusal or not field.schema.shape:
            raise FieldError(
                f"field {key!r}: '/{path}' {refusal or 'is a scalar, it has no rows'}; see 'h5lightning inspect'"
            )
        check_column(f"field {key!r}: '/{path}'", wanted, field.schema)
    return found


def _of_entries(catalog: Catalog, entries: Iterable[Entry]) -> Iterator[StoredField]:
    for entry in entries:
        member = entry.schema.columns[0].name if entry.schema.columns else None
        yield from _of_paths(catalog, entry.path, entry.path, entry.paths, member)


def _holds_numbers(entry: Entry) -> bool:
    is_elsewhere = entry.schema.storage in ("virtual", "external")
    return bool(entry.schema.shape) and (is_elsewhere or not entry.schema.refusal)


def _of_paths(
    catalog: Catalog, key: str, name: str, paths: Sequence[str], member: str | None
) -> Iterator[StoredField]:
    """One field for each way of storing these datasets."""
    wanted = set(paths)
    ways: dict[DatasetSchema, list[tuple[str, Int64Array]]] = {}
    for number, layout in enumerate(catalog.layouts):
        for dataset in layout:
            if dataset.path in wanted:
                way = dataclasses.replace(dataset, path=name)
                ways.setdefault(way, []).append((dataset.path, catalog.files_with_layout(number)))
    for schema, places in ways.items():
        facts = np.concatenate([catalog.facts_of(path)[files] for path, files in places])
        order = np.argsort(np.concatenate([files for _, files in places]), kind="stable")
        yield StoredField(
            key=key,
            paths=tuple(dict.fromkeys(path for path, _ in places)),
            member=member,
            schema=schema,
            files=np.unique(np.concatenate([files for _, files in places])),
            rows=facts[order, 0],
            stored_bytes=int(facts[:, 1].sum()),
        )
