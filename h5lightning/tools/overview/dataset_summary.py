"""Each dataset over all files: in how many layouts it is stored, where, and with how many rows."""

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
from h5lightning.tools.overview.dataset_paths import path_patterns
from h5lightning.tools.overview.row_storage import RowStorage

__all__ = ["DatasetSummary", "Variant", "summarize_datasets"]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Variant:
    """One of the layouts in which a dataset is stored, and the files that have it, ascending, ``(files,)``."""

    schema: DatasetSchema
    files: Int64Array


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class DatasetSummary(RowStorage):
    """A dataset, or the datasets of a path pattern, in all files that hold it.

    Args:
        path: path in the file, or a pattern with a ``*``.
        paths: the paths that match the pattern; the path alone for a dataset.
        schema: the most frequent layout.
        variants: all layouts, the most frequent first.
        files: file of each occurrence, ascending, ``(occurrences,)``.
        rows: rows of each occurrence, -1 for a scalar, ``(occurrences,)``.
        stored_bytes: bytes of each occurrence in its file, ``(occurrences,)``.
        missing: chunks of each occurrence that were never written, ``(occurrences,)``.
        annotations: the distinct annotations, each with its files; without empty ones.
    """

    path: str
    paths: tuple[str, ...]
    schema: DatasetSchema
    variants: tuple[Variant, ...]
    files: Int64Array
    rows: Int64Array
    stored_bytes: Int64Array
    missing: Int64Array
    annotations: tuple[tuple[Annotations, Int64Array], ...] = ()

    @property
    def is_pattern(self) -> bool:
        """Whether these are many datasets with similar paths."""
        return len(self.paths) > 1

    @property
    def is_usable(self) -> bool:
        """Whether it can be a field."""
        return not self.is_pattern and not self.schema.refusal

    @property
    def series(self) -> tuple[tuple[SeriesTable, Int64Array], ...]:
        """The distinct tables that divide its rows into series, each with its files, ascending."""
        files_of: dict[SeriesTable, list[Int64Array]] = {}
        for notes, files in self.annotations:
            for table in notes.series[:1]:
                files_of.setdefault(table, []).append(files)
        return tuple((table, np.unique(np.concatenate(files))) for table, files in files_of.items())

    @property
    def weight(self) -> int:
        """Decoded bytes in all files; if they are unknown, the stored bytes or the number of elements."""
        row_bytes = math.prod(self.schema.row_shape) * max(1, self.schema.itemsize)
        decoded_bytes = int(np.abs(self.rows).sum()) * row_bytes
        return max(decoded_bytes, int(self.stored_bytes.sum()))

    def files_alike(self) -> Int64Array:
        """The files whose rows fit into one batch with those of the most frequent layout, ascending."""
        alike = [
            variant.files for variant in self.variants if not explain_difference(variant.schema, self.schema)
        ]
        return np.unique(np.concatenate(alike))

    def rows_by_file(self, files: int) -> Int64Array:
        """Rows in each file, -2 where the dataset is absent, ``(files,)``."""
        rows = np.full(files, -2, dtype=np.int64)
        rows[self.files] = self.rows
        return rows


def summarize_datasets(catalog: Catalog) -> tuple[DatasetSummary, ...]:
    """All datasets of all files, by path; datasets with similar paths are one summary."""
    occurrences = _Occurrences.of(catalog)
    return tuple(
        _summary(pattern, paths, catalog, occurrences)
        for pattern, paths in path_patterns(occurrences.kinds()).items()
    )


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Occurrences:
    """Where each dataset occurs in the facts of the catalog."""

    schemas: tuple[DatasetSchema, ...]  # the distinct layouts of single datasets
    schema_of: Int64Array  # of each occurrence
    file_of: Int64Array  # of each occurrence
    of_path: dict[str, Int64Array]  # path → its occurrences

    @classmethod
    def of(cls, catalog: Catalog) -> _Occurrences:
        numbers: dict[DatasetSchema, int] = {}
        by_layout = [
            np.asarray([numbers.setdefault(schema, len(numbers)) for schema in layout], dtype=np.int64)
            for layout in catalog.layouts
        ]
        by_file = [by_layout[layout] for layout in catalog.layout_of.tolist()]
        schema_of = np.concatenate([np.zeros(0, dtype=np.int64), *by_file])
        file_of = np.repeat(np.arange(len(catalog)), [len(schemas) for schemas in by_file])
        of_path: dict[str, list[Int64Array]] = {}
        for schema, occurrences in zip(numbers, _positions(schema_of, len(numbers)), strict=True):
            of_path.setdefault(schema.path, []).append(occurrences)
        joined = {path: np.concatenate(occurrences) for path, occurrences in of_path.items()}
        return cls(tuple(numbers), schema_of, file_of, joined)

    def kinds(self) -> dict[str, tuple[str, int]]:
        """What the datasets of one pattern have in common: type and number of axes."""
        kinds: dict[str, tuple[str, int]] = {}
        for schema in self.schemas:
            kinds.setdefault(schema.path, (schema.dtype, len(schema.shape)))
        return kinds


def _positions(numbers: Int64Array, count: int) -> Sequence[Int64Array]:
    """Where each number in [0, count) occurs, ascending."""
    order = np.argsort(numbers, kind="stable")
    return np.split(order, np.cumsum(np.bincount(numbers, minlength=count)))[:count]


def _summary(
    pattern: str, paths: Sequence[str], catalog: Catalog, occurrences: _Occurrences
) -> DatasetSummary:
    chosen = np.sort(np.concatenate([occurrences.of_path[path] for path in paths]))
    facts = catalog.facts[chosen]
    variants = tuple(_variants(pattern, occurrences, chosen))
    return DatasetSummary(
        path=pattern,
        paths=tuple(paths),
        schema=variants[0].schema,
        variants=variants,
        files=occurrences.file_of[chosen],
        rows=facts[:, 0],
        stored_bytes=facts[:, 1],
        missing=facts[:, 2],
        annotations=tuple(_annotations(catalog, occurrences, chosen)),
    )


def _annotations(
    catalog: Catalog, occurrences: _Occurrences, chosen: Int64Array
) -> Iterator[tuple[Annotations, Int64Array]]:
    """The distinct annotations of some occurrences, in the order of the first file that has them."""
    annotation_of = catalog.annotation_of[chosen]
    numbers, first = np.unique(annotation_of, return_index=True)
    for number in numbers[np.argsort(first)].tolist():
        if (annotations := catalog.annotations[number]) != NOTHING:
            yield annotations, np.unique(occurrences.file_of[chosen[annotation_of == number]])


def _variants(pattern: str, occurrences: _Occurrences, chosen: Int64Array) -> list[Variant]:
    numbers, which = np.unique(occurrences.schema_of[chosen], return_inverse=True)
    files_of: dict[DatasetSchema, list[Int64Array]] = {}
    for number, positions in zip(numbers.tolist(), _positions(which, len(numbers)), strict=True):
        schema = dataclasses.replace(occurrences.schemas[number], path=pattern)
        files_of.setdefault(schema, []).append(occurrences.file_of[chosen[positions]])
    variants = [Variant(schema, np.unique(np.concatenate(files))) for schema, files in files_of.items()]
    # Of equally frequent layouts, that of the first file comes first.
    return sorted(variants, key=lambda variant: (-variant.files.size, int(variant.files[0])))
