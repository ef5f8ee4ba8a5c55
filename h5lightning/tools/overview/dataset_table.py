"""The catalog seen from its datasets: one entry for each, over all files."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.planning.catalog.annotations import NOTHING, Annotations, SeriesTable
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.planning.catalog.schema_difference import explain_difference
from h5lightning.tools.overview.name_patterns import families

__all__ = ["Entry", "Variant", "entries_of"]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Variant:
    """One of the layouts in which a dataset is stored.

    Args:
        schema: the layout: all but the length.
        files: the files that store it so, ascending, ``(files,)``.
    """

    schema: DatasetSchema
    files: Int64Array


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A dataset, or a family of datasets, in all files that hold it.

    Args:
        path: path in the file; with a ``*`` for a family.
        paths: the members of the family; the path alone for a dataset.
        variants: how it is stored, the most frequent first.
        files: file of each occurrence, ascending, ``(occurrences,)``.
        rows: length of the sample axis of each occurrence, -1 for a scalar.
        stored_bytes: what each occurrence takes in its file.
        missing: chunks of each occurrence that were never written.
        said: what files say around its numbers, each saying with its files; without those that say nothing.
    """

    path: str
    paths: tuple[str, ...]
    variants: tuple[Variant, ...]
    files: Int64Array
    rows: Int64Array
    stored_bytes: Int64Array
    missing: Int64Array
    said: tuple[tuple[Annotations, Int64Array], ...] = ()

    @property
    def schema(self) -> DatasetSchema:
        """The most frequent layout."""
        return self.variants[0].schema

    @property
    def is_family(self) -> bool:
        """Whether these are many datasets with similar paths."""
        return len(self.paths) > 1

    @property
    def is_usable(self) -> bool:
        """Whether a field can be made of it."""
        return not self.is_family and not self.schema.refusal

    @property
    def series(self) -> tuple[tuple[SeriesTable, Int64Array], ...]:
        """What divides the rows, each distinct table once, with the files that have it, ascending."""
        found: dict[SeriesTable, list[Int64Array]] = {}
        for said, files in self.said:
            for table in said.series[:1]:
                found.setdefault(table, []).append(files)
        return tuple((table, np.unique(np.concatenate(own))) for table, own in found.items())

    @property
    def is_float64(self) -> bool:
        """Whether values, or a column of them, are float64."""
        columns = (column.dtype for column in self.schema.columns)
        return any(dtype[1:] == "f8" for dtype in (self.schema.dtype, *columns))

    @property
    def weight(self) -> int:
        """Decoded bytes over all files; where these are unknown, what is stored, or the number of elements."""
        row_bytes = math.prod(self.schema.row_shape) * max(1, self.schema.itemsize)
        return max(int(np.abs(self.rows).sum()) * row_bytes, int(self.stored_bytes.sum()))

    def files_alike(self) -> Int64Array:
        """The files whose rows fit into one batch with those of the most frequent layout, ascending."""
        alike = [
            variant.files for variant in self.variants if not explain_difference(variant.schema, self.schema)
        ]
        return np.unique(np.concatenate(alike))

    def rows_by_file(self, files: int) -> Int64Array:
        """Length of the sample axis in each file, -2 where it is absent, ``(files,)``."""
        found = np.full(files, -2, dtype=np.int64)
        found[self.files] = self.rows
        return found


def entries_of(catalog: Catalog) -> tuple[Entry, ...]:
    """All datasets of all files, by path; copies of one structure are one entry."""
    census = _Census.of(catalog)
    entries = []
    for path, members in families(census.kinds()).items():
        places = np.sort(np.concatenate([census.places[member] for member in members]))
        entries.append(_entry(path, members, catalog, census, places))
    return tuple(entries)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Census:
    """Where in the facts of the catalog each dataset occurs.

    Args:
        schemas: the distinct layouts of single datasets.
        schema_of: the layout of each occurrence, ``(occurrences,)``.
        file_of: the file of each occurrence, ``(occurrences,)``.
        places: path → positions of its occurrences.
    """

    schemas: tuple[DatasetSchema, ...]
    schema_of: Int64Array
    file_of: Int64Array
    places: dict[str, Int64Array]

    @classmethod
    def of(cls, catalog: Catalog) -> _Census:
        numbers: dict[DatasetSchema, int] = {}
        by_layout = [
            np.asarray([numbers.setdefault(dataset, len(numbers)) for dataset in layout], dtype=np.int64)
            for layout in catalog.layouts
        ]
        parts = [by_layout[layout] for layout in catalog.layout_of.tolist()]
        schema_of = np.concatenate([np.zeros(0, dtype=np.int64), *parts])
        file_of = np.repeat(np.arange(len(catalog)), [len(part) for part in parts])
        paths: dict[str, list[Int64Array]] = {}
        for schema, places in zip(numbers, _places(schema_of, len(numbers)), strict=True):
            paths.setdefault(schema.path, []).append(places)
        return cls(
            tuple(numbers), schema_of, file_of, {path: np.concatenate(own) for path, own in paths.items()}
        )

    def kinds(self) -> dict[str, tuple[str, int]]:
        """What the members of a family have in common: type and number of axes."""
        found: dict[str, tuple[str, int]] = {}
        for schema in self.schemas:
            found.setdefault(schema.path, (schema.dtype, len(schema.shape)))
        return found


def _places(numbers: Int64Array, count: int) -> Sequence[Int64Array]:
    """Where each number in [0, count) occurs, ascending."""
    order = np.argsort(numbers, kind="stable")
    return np.split(order, np.cumsum(np.bincount(numbers, minlength=count)))[:count]


def _entry(path: str, members: Sequence[str], catalog: Catalog, census: _Census, places: Int64Array) -> Entry:
    facts = catalog.facts[places]
    return Entry(
        path=path,
        paths=tuple(members),
        variants=tuple(_variants(path, census, places)),
        files=census.file_of[places],
        rows=facts[:, 0],
        stored_bytes=facts[:, 1],
        missing=facts[:, 2],
        said=tuple(_said(catalog, census, places)),
    )


def _said(catalog: Catalog, census: _Census, places: Int64Array) -> Iterator[tuple[Annotations, Int64Array]]:
    """What files say, in the order of the first file that says so."""
    numbers = catalog.annotation_of[places]
    found, first = np.unique(numbers, return_index=True)
    for number in found[np.argsort(first)].tolist():
        if (annotations := catalog.annotations[number]) != NOTHING:
            yield annotations, np.unique(census.file_of[places[numbers == number]])


def _variants(path: str, census: _Census, places: Int64Array) -> list[Variant]:
    numbers, which = np.unique(census.schema_of[places], return_inverse=True)
    files: dict[DatasetSchema, list[Int64Array]] = {}
    for number, own in zip(numbers.tolist(), _places(which, len(numbers)), strict=True):
        schema = dataclasses.replace(census.schemas[number], path=path)
        files.setdefault(schema, []).append(census.file_of[places[own]])
    variants = [Variant(schema, np.unique(np.concatenate(own))) for schema, own in files.items()]
    # Of equally frequent layouts, the one of the first file leads.
    return sorted(variants, key=lambda variant: (-variant.files.size, int(variant.files[0])))
