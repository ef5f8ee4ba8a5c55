"""Which reader reads a dataset, and why it is h5py: found out with one file for each way of storing it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from h5lightning.errors import H5LightningError
from h5lightning.options import Access
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.direct.reader import DirectReader
from h5lightning.storage.readers.protocol import DatasetColumn
from h5lightning.tools.overview.dataset_summary import DatasetSummary, Variant
from h5lightning.tools.overview.row_storage import FAST_FILTERS, filter_names
from h5lightning.tools.overview.workload import FieldStorage

__all__ = ["Reading", "readings_of", "with_reasons"]


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """How a dataset, or some columns of a table, are read in some files.

    Args:
        reader: ``direct``, ``h5py``, or ``none`` if the file is damaged.
        reason: why it is not ``direct``, as a predicate such as ``is compact``; for ``none``, the error.
        files: number of these files.
    """

    reader: str
    reason: str
    files: int


def readings_of(datasets: Sequence[DatasetSummary], catalog: Catalog) -> dict[str, tuple[Reading, ...]]:
    """How each dataset is read, by its path; empty for datasets that cannot be a field or hold no values."""
    with _direct_reader() as reader:
        return {dataset.path: _readings(reader, catalog, dataset) for dataset in datasets}


def with_reasons(catalog: Catalog, fields: Sequence[FieldStorage]) -> tuple[FieldStorage, ...]:
    """The fields, each with the reason why HDF5 reads it in one of its files."""
    with _direct_reader() as reader:
        return tuple(dataclasses.replace(field, reason=_reason(reader, catalog, field)) for field in fields)


@contextmanager
def _direct_reader() -> Iterator[DirectReader]:
    with HandlePool(Access()) as pool:
        reader = DirectReader(pool)
        yield reader
        reader.close()


def _reason(reader: DirectReader, catalog: Catalog, field: FieldStorage) -> str:
    if field.schema.refusal:
        return ""
    file, path, _ = next(field.places())
    choice, reason = _reading(reader, catalog.path(file), field.source_of(path), field.schema)
    return reason if choice == "h5py" else ""  # reading a damaged file reports the damage


def _readings(reader: DirectReader, catalog: Catalog, dataset: DatasetSummary) -> tuple[Reading, ...]:
    files: dict[tuple[str, str], int] = {}
    for path, schema, count in _examples(catalog, dataset):
        for key in dict.fromkeys(_reading(reader, path, source, schema) for source in _sources(schema)):
            files[key] = files.get(key, 0) + count
    return tuple(Reading(*key, count) for key, count in files.items())


def _sources(schema: DatasetSchema) -> Iterator[DatasetColumn]:
    """What fields can read of a dataset: each column of a table, or the whole elements."""
    columns = [column.name for column in schema.columns]
    members: list[str | None] = [*columns] if columns else [None]
    for member in members:
        dtype = schema.element(member) or schema.dtype
        yield DatasetColumn(schema.path, member, dtype, schema.row_shape_of(member))


def _examples(catalog: Catalog, dataset: DatasetSummary) -> Iterator[tuple[str, DatasetSchema, int]]:
    """For each layout a file, the dataset in it, and the number of such files; with and without unwritten chunks."""
    for variant in dataset.variants:
        if variant.schema.refusal:
            continue
        for is_unwritten in (False, True):
            occurs = (dataset.rows != 0) & ((dataset.missing > 0) == is_unwritten)
            files = np.intersect1d(variant.files, dataset.files[occurs])
            schema = _schema_in(catalog, int(files[0]), dataset, variant) if files.size else None
            if schema is not None:
                yield catalog.path(int(files[0])), schema, int(files.size)


def _schema_in(
    catalog: Catalog, file: int, dataset: DatasetSummary, variant: Variant
) -> DatasetSchema | None:
    """The dataset with this layout in a file; the first one that matches a pattern."""
    schemas = (schema for schema in catalog.schema(file).datasets if schema.path in frozenset(dataset.paths))
    return next((schema for schema in schemas if schema.rows != 0 and _has_layout(schema, variant)), None)


def _has_layout(schema: DatasetSchema, variant: Variant) -> bool:
    return dataclasses.replace(schema.layout(), path=variant.schema.path) == variant.schema


def _reading(
    reader: DirectReader, path: str, source: DatasetColumn, schema: DatasetSchema
) -> tuple[str, str]:
    """The reader, and the reason why it is not ``direct``."""
    try:
        reason = reader.reason(path, source)
    except H5LightningError as error:
        return "none", str(error)
    if reason and (unknown := [name for name in filter_names(schema) if name not in FAST_FILTERS]):
        reason = f"is stored with {' and '.join(unknown)}, which only HDF5 decodes"
    return ("h5py", reason) if reason else ("direct", "")
