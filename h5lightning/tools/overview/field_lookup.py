"""Find the fields that the user names, or those that are inferred, in the files."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import FieldError, H5LightningError, MissingFieldError
from h5lightning.options import Field, Rows, Samples, Series, SingleField, Whole, single_fields
from h5lightning.options.checks import did_you_mean
from h5lightning.options.coerce import SeriesOption
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.planning.categories import refusal_remedy
from h5lightning.planning.compared_files import check_column
from h5lightning.planning.row_numbers import AlongAxes
from h5lightning.planning.series.axes import row_numbers_of, with_axes
from h5lightning.tools.overview.box_windows import BoxWindows
from h5lightning.tools.overview.dataset_summary import DatasetSummary, summarize_datasets
from h5lightning.tools.overview.infer_fields import infer_fields
from h5lightning.tools.overview.scan import shared_attrs
from h5lightning.tools.overview.workload import FieldStorage

__all__ = ["StoredFields", "samples_for", "stored_fields_of"]

_STORED_ELSEWHERE = ("virtual", "external")


@dataclasses.dataclass(frozen=True, slots=True)
class StoredFields:
    """The fields with rows, and what a sample is.

    Args:
        fields: the fields, once for each way in which files store them.
        samples: how samples lie in a series.
        series: what a series is; None for a file, or a match of the ``*`` in the paths of fields.
    """

    fields: tuple[FieldStorage, ...]
    samples: Samples
    series: SeriesOption = None

    @property
    def is_whole(self) -> bool:
        """Whether a sample is a whole series."""
        return isinstance(self.samples, Whole)

    @property
    def has_series(self) -> bool:
        """Whether a file may hold several series."""
        return isinstance(self.series, Series) or any(field.is_family for field in self.fields)


def samples_for(samples: Samples | None, series: SeriesOption) -> Samples:
    """What a sample is, if the user does not say it: one row."""
    has_axis = isinstance(series, Series) and series.axis is not None
    return samples or Rows(axis=1 if has_axis else 0)


def stored_fields_of(
    catalog: Catalog,
    fields: Mapping[str, Field] | None,
    *,
    samples: Samples | None = None,
    series: SeriesOption = None,
) -> StoredFields:
    """The fields with rows, as files store them.

    Args:
        catalog: the files.
        fields: sample key → `Field`; None to infer them.
        samples: how samples lie in a series; None for what is inferred, or for rows.
        series: what a series is; None for what is inferred, if fields are.

    Raises:
        FieldError: no file holds a field, or the files hold nothing to train on.
        OptionError: samples and series contradict each other.
        UnsupportedFieldError: a field is a table and names no column that can be a field.
    """
    if not len(catalog):
        raise FieldError("none of the files can be read: see 'h5lightning inspect'")
    if fields is not None:
        return _named_fields(catalog, fields, samples_for(samples, series), series)
    datasets = summarize_datasets(catalog)
    try:
        inferred = infer_fields(datasets, len(catalog), shared_attrs(catalog))
    except H5LightningError as error:
        # Datasets that cannot be fields are still worth a diagnosis.
        stored = tuple(_of_datasets(catalog, [dataset for dataset in datasets if _holds_numbers(dataset)]))
        if not stored:
            raise FieldError(str(error)) from error
        return StoredFields(stored, samples or Rows(), series)
    if inferred.fields is None:
        return StoredFields(tuple(_of_datasets(catalog, inferred.datasets)), samples or Rows(), series)
    if series is not None:
        return _named_fields(catalog, inferred.fields, samples_for(samples, series), series)
    return _named_fields(catalog, inferred.fields, samples or inferred.samples, inferred.series)


def _named_fields(
    catalog: Catalog, fields: Mapping[str, Field], samples: Samples, series: SeriesOption
) -> StoredFields:
    with_rows = [
        (key, field)
        for key, field in single_fields(with_axes(fields, samples, series))
        if field.attr is None and not field.constant and not _is_in_memory(field)
    ]
    stored = [stored for key, field in with_rows for stored in _named_field(catalog, key, field, samples)]
    if not stored:
        raise FieldError(
            "all fields are attributes or constants, or lie in memory: at least one must have rows"
        )
    return StoredFields(tuple(stored), samples, series)


def _is_in_memory(field: Field) -> bool:
    """Whether the scan keeps the rows of a field with categories, so that training reads none."""
    if not isinstance(field.categories, tuple):
        return field.categories is True
    return isinstance(field.categories[0], str)


def _named_field(catalog: Catalog, key: str, field: SingleField, samples: Samples) -> list[FieldStorage]:
    numbers = row_numbers_of(field)
    leading = numbers.leading
    is_family, matches = "*" in field.path, _matcher(field.path)
    boxes = numbers if isinstance(numbers, AlongAxes) else None
    stored = list(
        _of_paths(catalog, key, field.path, matches, field.member, is_family=is_family, boxes=boxes)
    )
    if field.is_encoded:
        stored = [dataclasses.replace(one, schema=_of_bytes(one.schema)) for one in stored]
    if not stored:
        known = sorted({schema.path for layout in catalog.layouts for schema in layout})
        raise MissingFieldError(
            f"field {key!r}: no file holds a dataset '/{field.path}'{did_you_mean(field.path, known)}"
        )
    for schema in (one.schema for one in stored):
        refusal = "" if schema.storage in _STORED_ELSEWHERE else schema.refusal
        if not refusal and len(schema.shape) < leading:
            refusal = (
                "is a scalar and has no rows" if leading == 1 else "has no axis of rows beside that of series"
            )
        if refusal:
            remedy = refusal_remedy(field, schema.dtype, refusal)
            raise FieldError(f"field {key!r}: '/{field.path}' {refusal}{remedy}; see 'h5lightning inspect'")
        if boxes is not None and not all(
            -len(schema.shape) <= axis < len(schema.shape) for axis in boxes.axes
        ):
            axes = ", ".join(map(str, boxes.axes))
            raise FieldError(
                f"field {key!r}: '/{field.path}' has {len(schema.shape)} axes, and samples lie along {axes}"
            )
        check_column(f"field {key!r}: '/{field.path}'", field, schema)
    if boxes is not None:
        return [_in_boxes(catalog, one, boxes, samples) for one in stored]
    index_rows = 0.0 if field.index is None else _index_rows(catalog, field.index, stored)
    return [dataclasses.replace(_along(one, leading), index_rows=index_rows) for one in stored]


def _of_bytes(schema: DatasetSchema) -> DatasetSchema:
    """A dataset as a field of encoded bytes, such as images, reads it."""
    return dataclasses.replace(schema, refusal="", dtype=schema.raw) if schema.raw else schema


def _in_boxes(catalog: Catalog, stored: FieldStorage, numbers: AlongAxes, samples: Samples) -> FieldStorage:
    """The field with its rows along the axis of its boxes."""
    ndim = len(stored.schema.shape)
    lengths = np.zeros((len(stored.rows), ndim), np.int64)
    lengths[:, 0] = stored.rows
    shapes = {
        (layout, schema.path): schema.shape
        for layout, schemas in enumerate(catalog.layouts)
        for schema in schemas
        if schema.path in stored.paths
    }
    layouts = catalog.layout_of[stored.file_of].tolist()
    for one, (layout, path) in enumerate(zip(layouts, stored.path_of.tolist(), strict=True)):
        lengths[one, 1:] = shapes[layout, stored.paths[path]][1:]
    numbers = dataclasses.replace(numbers, axes=tuple(axis % ndim for axis in numbers.axes))
    boxes = BoxWindows.of(numbers, samples, stored.schema, lengths)
    schema = dataclasses.replace(stored.schema, shape=boxes.shape)
    rows = lengths[:, boxes.row_axes].prod(axis=1)
    return dataclasses.replace(stored, rows=rows, schema=schema, boxes=boxes)


def _index_rows(catalog: Catalog, path: str, stored: Sequence[FieldStorage]) -> float:
    """Rows of an entry of an index, on average."""
    entries = sum(one.total_rows for one in _of_paths(catalog, path, path, _matcher(path), None))
    return max(1.0, sum(one.total_rows for one in stored) / max(1, entries))


def _along(stored: FieldStorage, leading: int) -> FieldStorage:
    """The field with its rows along this many axes."""
    further = stored.schema.shape[1] if leading > 1 else 1
    return dataclasses.replace(stored, rows=stored.rows * further, leading=leading)


def _matcher(path: str) -> Callable[[str], object]:
    """Whether a path is this one, or matches it: a ``*`` stands for any text in a part of a path."""
    before, star, after = path.partition("*")
    return re.compile(f"{re.escape(before)}{'[^/]*' if star else ''}{re.escape(after)}").fullmatch


def _of_datasets(catalog: Catalog, datasets: Iterable[DatasetSummary]) -> Iterator[FieldStorage]:
    for dataset in datasets:
        member = dataset.schema.columns[0].name if dataset.schema.columns else None
        yield from _of_paths(
            catalog, dataset.path, dataset.path, frozenset(dataset.paths).__contains__, member
        )


def _holds_numbers(dataset: DatasetSummary) -> bool:
    schema = dataset.schema
    return bool(schema.shape) and (schema.storage in _STORED_ELSEWHERE or not schema.refusal)


@dataclasses.dataclass(frozen=True, slots=True)
class _Occurrence:
    """A dataset in the files of one layout."""

    schema: DatasetSchema
    files: Int64Array
    facts: Int64Array  # (files, 3)

    @property
    def rows(self) -> int:
        return int(np.maximum(self.facts[:, 0], 0).sum())


def _of_paths(
    catalog: Catalog,
    key: str,
    name: str,
    is_chosen: Callable[[str], object],
    member: str | None,
    *,
    is_family: bool = False,
    boxes: AlongAxes | None = None,
) -> Iterator[FieldStorage]:
    """One field for each way of storing these datasets; the series of a family may have chunks of any size."""
    order = np.argsort(catalog.layout_of, kind="stable")
    counts = np.bincount(catalog.layout_of, minlength=len(catalog.layouts))
    by_layout: dict[DatasetSchema, list[_Occurrence]] = {}
    for files, layout in zip(np.split(order, np.cumsum(counts)[:-1]), catalog.layouts, strict=True):
        first = catalog.first_fact[files]
        for position, schema in enumerate(layout):
            if is_chosen(schema.path):
                chunks = () if is_family and schema.chunks else schema.chunks
                found = _Occurrence(schema, files, catalog.facts[first + position])
                like = dataclasses.replace(schema, path=name, chunks=chunks)
                by_layout.setdefault(like if boxes is None else _without_lengths(like, boxes), []).append(
                    found
                )
    for occurrences in by_layout.values():
        yield _field_storage(key, name, member, occurrences, is_family=is_family)


def _without_lengths(schema: DatasetSchema, boxes: AlongAxes) -> DatasetSchema:
    """A dataset whose lengths along the axes of boxes do not count."""
    free = {axis % len(schema.shape) for axis in boxes.free_axes if schema.shape}
    return dataclasses.replace(
        schema, shape=tuple(0 if axis in free else length for axis, length in enumerate(schema.shape))
    )


def _field_storage(
    key: str, name: str, member: str | None, occurrences: Sequence[_Occurrence], *, is_family: bool
) -> FieldStorage:
    paths = {
        path: number for number, path in enumerate(dict.fromkeys(one.schema.path for one in occurrences))
    }
    schema = max(occurrences, key=lambda one: one.rows).schema
    facts = np.concatenate([one.facts for one in occurrences])
    files = np.concatenate([one.files for one in occurrences])
    numbers = np.asarray([paths[one.schema.path] for one in occurrences])
    order = np.argsort(files, kind="stable")
    is_family = is_family and tuple(paths) != (name,)  # a name may hold a '*' of its own
    return FieldStorage(
        key=key,
        paths=tuple(paths),
        member=member,
        schema=dataclasses.replace(schema, path=name),
        files=np.unique(files),
        rows=facts[order, 0],
        stored_bytes=int(facts[:, 1].sum()),
        file_of=files[order],
        path_of=numbers.repeat([one.files.size for one in occurrences])[order],
        is_family=is_family,
        chunk_rows=_chunk_rows(occurrences) if is_family and schema.chunks else None,
    )


def _chunk_rows(occurrences: Sequence[_Occurrence]) -> tuple[int, int]:
    """Chunk rows of all occurrences, and the rows for which they have room."""
    heights = [one.schema.chunks[0] if one.schema.chunks else 1 for one in occurrences]
    height_of = np.asarray(heights).repeat([one.files.size for one in occurrences])
    counts = -(-np.concatenate([one.facts[:, 0] for one in occurrences]).clip(0) // height_of)
    return int(counts.sum()), int((counts * height_of).sum())
