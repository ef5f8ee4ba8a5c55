"""Which reader reads a dataset, and why it is h5py where it is: asked of one file for each way of storing it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from h5lightning.errors import H5LightningError
from h5lightning.options import Access
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.direct.reader import DirectReader
from h5lightning.storage.readers.protocol import DatasetColumn
from h5lightning.tools.overview.dataset_table import Entry, Variant

__all__ = ["Reading", "readings_of"]


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """How some files' values of a dataset are read.

    Args:
        reader: ``direct``, ``h5py``, or ``none`` where the file is damaged.
        reason: why it is not ``direct``, as what a sentence says of the dataset; the error for ``none``.
        files: how many files are alike in this.
    """

    reader: str
    reason: str
    files: int


def readings_of(entries: Sequence[Entry], catalog: Catalog) -> dict[str, tuple[Reading, ...]]:
    """How each dataset is read, by its path; nothing for what cannot be a field or holds no values.

    Args:
        entries: the datasets.
        catalog: where the files lie.
    """
    with HandlePool(Access()) as pool:
        reader = DirectReader(pool)
        found = {entry.path: _readings(reader, catalog, entry) for entry in entries}
        reader.close()
    return found


def _readings(reader: DirectReader, catalog: Catalog, entry: Entry) -> tuple[Reading, ...]:
    files: dict[tuple[str, str], int] = {}
    for path, dataset, count in _examples(catalog, entry):
        key = _reading(reader, path, dataset)
        files[key] = files.get(key, 0) + count
    return tuple(Reading(*key, count) for key, count in files.items())


def _examples(catalog: Catalog, entry: Entry) -> Iterator[tuple[str, DatasetSchema, int]]:
    """A file, the dataset in it, and the number of files that are alike: those in which values are missing apart."""
    for variant in entry.variants:
        if variant.schema.refusal:
            continue
        for has_holes in (False, True):
            alike = (entry.rows != 0) & ((entry.missing > 0) == has_holes)
            files = np.intersect1d(variant.files, entry.files[alike])
            dataset = _dataset(catalog, int(files[0]), entry, variant) if files.size else None
            if dataset is not None:
                yield catalog.path(int(files[0])), dataset, int(files.size)


def _dataset(catalog: Catalog, file: int, entry: Entry, variant: Variant) -> DatasetSchema | None:
    """The dataset in this file that is stored so; of a family the first member."""
    members = frozenset(entry.paths)
    datasets = (dataset for dataset in catalog.schema(file).datasets if dataset.path in members)
    return next((one for one in datasets if one.rows != 0 and _is_stored_so(one, variant)), None)


def _is_stored_so(dataset: DatasetSchema, variant: Variant) -> bool:
    return dataclasses.replace(dataset.layout(), path=variant.schema.path) == variant.schema


def _reading(reader: DirectReader, path: str, dataset: DatasetSchema) -> tuple[str, str]:
    member = dataset.columns[0].name if dataset.columns else None
    dtype = dataset.element(member) or dataset.dtype
    try:
        reason = reader.reason(path, DatasetColumn(dataset.path, member, dtype, dataset.row_shape_of(member)))
    except H5LightningError as error:
        return "none", str(error)
    return ("h5py", reason) if reason else ("direct", "")
