"""Find the fields that the user names, or those that are inferred, in the files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import FieldError, H5LightningError, MissingFieldError
from h5lightning.options import Field, SingleField, Whole, single_fields
from h5lightning.options.checks import did_you_mean
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.planning.compared_files import check_column
from h5lightning.tools.overview.dataset_summary import DatasetSummary, summarize_datasets
from h5lightning.tools.overview.infer_fields import infer_fields
from h5lightning.tools.overview.scan import shared_attrs
from h5lightning.tools.overview.workload import FieldStorage

__all__ = ["stored_fields_of"]

_STORED_ELSEWHERE = ("virtual", "external")


def stored_fields_of(
    catalog: Catalog, fields: Mapping[str, Field] | None
) -> tuple[tuple[FieldStorage, ...], bool]:
    """The fields with rows, once for each way in which files store them, and whether a sample is a whole file.

    Args:
        catalog: the files.
        fields: sample key → `Field`; None to infer them.

    Raises:
        FieldError: no file holds a field, or the files hold nothing to train on.
        UnsupportedFieldError: a field is a table and names no column that can be a field.
    """
    if not len(catalog):
        raise FieldError("none of the files can be read: see 'h5lightning inspect'")
    if fields is not None:
        return _named_fields(catalog, fields), False
    datasets = summarize_datasets(catalog)
    try:
        inferred = infer_fields(datasets, len(catalog), shared_attrs(catalog))
    except H5LightningError as error:
        # Datasets that cannot be fields are still worth a diagnosis.
        stored = tuple(_of_datasets(catalog, [dataset for dataset in datasets if _holds_numbers(dataset)]))
        if not stored:
            raise FieldError(str(error)) from error
        return stored, False
    if inferred.fields is None:
        return tuple(_of_datasets(catalog, inferred.datasets)), False
    return _named_fields(catalog, inferred.fields), isinstance(inferred.samples, Whole)


def _named_fields(catalog: Catalog, fields: Mapping[str, Field]) -> tuple[FieldStorage, ...]:
    with_rows = [
        (key, field) for key, field in single_fields(fields) if field.attr is None and not field.constant
    ]
    stored = [stored for key, field in with_rows for stored in _named_field(catalog, key, field)]
    if not stored:
        raise FieldError("all fields are attributes or constants: at least one must have rows")
    return tuple(stored)


def _named_field(catalog: Catalog, key: str, field: SingleField) -> list[FieldStorage]:
    stored = list(_of_paths(catalog, key, field.path, (field.path,), field.member))
    if not stored:
        known = sorted({schema.path for layout in catalog.layouts for schema in layout})
        raise MissingFieldError(
            f"field {key!r}: no file holds a dataset '/{field.path}'{did_you_mean(field.path, known)}"
        )
    for schema in (one.schema for one in stored):
        refusal = "" if schema.storage in _STORED_ELSEWHERE else schema.refusal
        if refusal or not schema.shape:
            raise FieldError(
                f"field {key!r}: '/{field.path}' {refusal or 'is a scalar and has no rows'}; see 'h5lightning inspect'"
            )
        check_column(f"field {key!r}: '/{field.path}'", field, schema)
    return stored


def _of_datasets(catalog: Catalog, datasets: Iterable[DatasetSummary]) -> Iterator[FieldStorage]:
    for dataset in datasets:
        member = dataset.schema.columns[0].name if dataset.schema.columns else None
        yield from _of_paths(catalog, dataset.path, dataset.path, dataset.paths, member)


def _holds_numbers(dataset: DatasetSummary) -> bool:
    schema = dataset.schema
    return bool(schema.shape) and (schema.storage in _STORED_ELSEWHERE or not schema.refusal)


def _of_paths(
    catalog: Catalog, key: str, name: str, paths: Sequence[str], member: str | None
) -> Iterator[FieldStorage]:
    """One field for each way of storing these datasets."""
    chosen = set(paths)
    by_layout: dict[DatasetSchema, list[tuple[str, Int64Array]]] = {}
    for number, layout in enumerate(catalog.layouts):
        for schema in layout:
            if schema.path in chosen:
                occurrence = schema.path, np.flatnonzero(catalog.layout_of == number)
                by_layout.setdefault(dataclasses.replace(schema, path=name), []).append(occurrence)
    for schema, occurrences in by_layout.items():
        facts = np.concatenate([catalog.facts_of(path)[files] for path, files in occurrences])
        files = np.concatenate([files for _, files in occurrences])
        yield FieldStorage(
            key=key,
            paths=tuple(dict.fromkeys(path for path, _ in occurrences)),
            member=member,
            schema=schema,
            files=np.unique(files),
            rows=facts[np.argsort(files, kind="stable"), 0],
            stored_bytes=int(facts[:, 1].sum()),
        )
