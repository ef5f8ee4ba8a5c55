"""The contents of all files: the result of a scan, compact enough for a million files, or for a million series.

What is described and compared as one is a unit: a file, or each match of the ``*`` in the paths of fields (see
`MatchTable`). Paths in the layouts keep their ``*``, so that a million series share one layout.

Files of one data set have few distinct layouts, so each layout is kept once. Arrays hold what differs between files.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array, distinct, flat_positions
from h5lightning.core.formatting import more_files
from h5lightning.core.frozen import Frozen, once
from h5lightning.core.star_paths import concrete
from h5lightning.core.string_table import StringTable
from h5lightning.planning.catalog.annotations import Annotations
from h5lightning.planning.catalog.extents import ExtentTable
from h5lightning.planning.catalog.file_schema import FileSchema, units_of
from h5lightning.planning.catalog.match_table import MatchTable
from h5lightning.planning.catalog.row_index import IndexTable, joined_indexes
from h5lightning.planning.catalog.row_values import RowValues, joined_row_values
from h5lightning.planning.catalog.schema import DatasetSchema, untyped
from h5lightning.planning.catalog.series_bounds import SeriesBounds
from h5lightning.planning.catalog.source_files import SourceTable
from h5lightning.planning.catalog.stored_dataset import StoredDataset
from h5lightning.planning.catalog.unit_table import UnitTable

__all__ = ["Catalog", "SkippedFile", "StoredDataset"]

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file that was left out, and the reason."""

    name: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Catalog(Frozen):
    """The schemas of many files, in path order; without `matches`, the units are the files.

    Args:
        root: the directory that contains the files now; it is no part of their identity.
        names: path of each file relative to ``root``: the identity of the file.
        stamps: size in bytes, mtime_ns, ctime_ns, inode of each file when it was scanned, ``(files, 4)``.
        layouts: the distinct layouts: the datasets of a unit without their lengths.
        layout_of: the layout of each unit, ``(units,)`` int32.
        facts: length of the sample axis (-1 for a scalar), stored bytes and missing chunks of each dataset
            of each unit, ``(datasets over all units, 3)`` int64, unit after unit.
        annotations: the distinct annotations of datasets.
        annotation_of: the annotation of each dataset of each unit, in the order of `facts`, int32.
        attrs: the requested attributes of each unit, as JSON.
        extents: positions of the values of each dataset of each unit, in the order of `facts`; those of a path without
            ``*`` are kept only for the first unit of a file, see `stored`.
        skipped: the files that were left out.
        sources: other files that hold values of these files.
        matches: the units of each file; None if each file is one unit.
        bounds: the series of each unit; None if each unit is one series.
        row_indexes: path of an index in the request → its numbers in each unit.
        row_values: name in the request (`values_name`) → its values in each unit.
    """

    root: str
    names: StringTable
    stamps: Int64Array
    layouts: tuple[tuple[DatasetSchema, ...], ...]
    layout_of: npt.NDArray[np.int32]
    facts: Int64Array
    annotations: tuple[Annotations, ...]
    annotation_of: npt.NDArray[np.int32]
    attrs: StringTable
    extents: ExtentTable
    skipped: tuple[SkippedFile, ...] = ()
    sources: SourceTable = dataclasses.field(default_factory=lambda: SourceTable.of(()))
    matches: MatchTable | None = None
    bounds: SeriesBounds | None = None
    row_indexes: Mapping[str, IndexTable] = dataclasses.field(default_factory=dict)
    row_values: Mapping[str, RowValues] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        files, units = len(self.names), self.unit_count
        facts = int(self.first_fact[-1])
        counted = files if self.matches is None else len(self.matches.counts)
        sizes = [len(self.stamps), counted, len(self.layout_of), len(self.attrs)]
        sizes += [facts, len(self.extents), len(self.annotation_of)]
        expected = [files, files, units, units, *[len(self.facts)] * 3]
        if sizes != expected:
            raise ValueError(f"a catalog of {files} files: found parts of {sizes}, expected {expected}")

    @classmethod
    def of(
        cls,
        root: str,
        names: Sequence[str],
        stamps: Int64Array,
        schemas: Iterable[FileSchema],
        skipped: Iterable[SkippedFile] = (),
    ) -> Catalog:
        """The catalog of files, with names and schemas in the same order."""
        schemas = list(schemas)
        units, matches = units_of(schemas)
        return cls(
            root=root,
            names=StringTable.of(names),
            stamps=np.asarray(stamps, dtype=np.int64).reshape(-1, 4),
            **{item.name: getattr(units, item.name) for item in dataclasses.fields(units)},
            skipped=tuple(skipped),
            sources=SourceTable.of([schema.sources for schema in schemas]),
            matches=matches,
            bounds=_joined((schema.bounds for schema in schemas), SeriesBounds.joined),
            row_indexes=joined_indexes([schema.row_indexes for schema in schemas]),
            row_values=joined_row_values([schema.row_values for schema in schemas]),
        )

    @classmethod
    def joined(cls, first: Catalog, second: Catalog) -> Catalog:
        """The files of both, one after the other, under the root of the first."""
        units = UnitTable.joined([first._units(), second._units()])
        return cls(
            root=first.root,
            names=StringTable.concatenated([first.names, second.names]),
            stamps=np.concatenate([first.stamps, second.stamps]),
            **{item.name: getattr(units, item.name) for item in dataclasses.fields(units)},
            skipped=(*first.skipped, *second.skipped),
            sources=SourceTable.joined(first.sources, second.sources, files=len(first)),
            matches=_joined((first.matches, second.matches), MatchTable.joined),
            bounds=_joined((first.bounds, second.bounds), SeriesBounds.joined),
            row_indexes=joined_indexes([first.row_indexes, second.row_indexes]),
            row_values=joined_row_values([first.row_values, second.row_values]),
        )

    def take(self, files: Int64Array) -> Catalog:
        """The files at these positions, ``(files,)``, in that order; without skipped files."""
        units = self.units_of(files)
        starts, stops = self.first_fact[units], self.first_fact[units + 1]
        facts = flat_positions(starts, stops - starts)
        used, _, layout_of = distinct(self.layout_of[units])
        used_annotations, _, annotation_of = distinct(self.annotation_of[facts])
        return Catalog(
            root=self.root,
            names=self.names.take(files),
            stamps=self.stamps[files],
            layouts=tuple(self.layouts[number] for number in used.tolist()),
            layout_of=layout_of.astype(np.int32),
            facts=self.facts[facts],
            annotations=tuple(self.annotations[number] for number in used_annotations.tolist()),
            annotation_of=annotation_of.astype(np.int32),
            attrs=self.attrs.take(units),
            extents=self.extents.take(facts),
            sources=self.sources.take(files),
            matches=None if self.matches is None else self.matches.take(files),
            bounds=None if self.bounds is None else self.bounds.take(units),
            row_indexes={path: table.take(units) for path, table in self.row_indexes.items()},
            row_values={name: values.take(units) for name, values in self.row_values.items()},
        )

    def __len__(self) -> int:
        """Number of files."""
        return len(self.names)

    @property
    def unit_count(self) -> int:
        """Number of units."""
        return len(self.names) if self.matches is None else len(self.matches.texts)

    @once
    def unit_files(self) -> Int64Array:
        """The file of each unit, ``(units,)``, ascending."""
        return np.arange(len(self.names)) if self.matches is None else self.matches.file_of

    def units_of(self, files: Int64Array) -> Int64Array:
        """The units of some files, file after file."""
        return files if self.matches is None else self.matches.units_of(files)

    def path(self, file: int) -> str:
        """The absolute path of the file."""
        return os.path.join(self.root, self.names[file])

    def unit_path(self, unit: int) -> str:
        """The absolute path of the file of a unit."""
        return self.path(int(self.unit_files[unit]))

    def where(self, unit: int) -> str:
        """The unit for messages: the path of its file, after the name of its series if a ``*`` matched it."""
        series = "" if self.matches is None else f"series {self.matches.name(unit)!r} of "
        return f"{series}{self.unit_path(unit)}"

    def with_text(self, unit: int, text: str) -> str:
        """A path, or a message with a path, in which the ``*`` stands for what it matched in a unit."""
        return text if self.matches is None else concrete(text, self.matches.texts[unit])

    @property
    def noun(self) -> str:
        """What a unit is, for messages."""
        return "file" if self.matches is None else "series"

    def more(self, units: Sized) -> str:
        """The number of further units, to follow the first one in a message; empty if there is only one."""
        if self.matches is None:
            return more_files(units)
        return f" (and {len(units) - 1:,} more series)" if len(units) > 1 else ""

    @once
    def first_fact(self) -> Int64Array:
        """Position in `facts` of each unit's first dataset, ``(units + 1,)``."""
        sizes = np.asarray([len(layout) for layout in self.layouts], dtype=np.int64)
        counts = sizes[self.layout_of] if len(self.layout_of) else np.zeros(0, dtype=np.int64)
        return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)])

    def schema(self, unit: int) -> FileSchema:
        """The whole schema of one unit."""
        own = slice(self.first_fact[unit], self.first_fact[unit + 1])
        layout = self.layouts[int(self.layout_of[unit])]
        annotations = (self.annotations[number] for number in self.annotation_of[own].tolist())
        parts = zip(layout, self.facts[own].tolist(), annotations, strict=True)
        datasets = tuple(dataset.with_facts(facts, annotation) for dataset, facts, annotation in parts)
        sources = self.sources.of_file(int(self.unit_files[unit]))
        return FileSchema(datasets=datasets, attrs=self.typed_attrs(unit), sources=sources)

    def schemas(self) -> Iterator[FileSchema]:
        """The schema of each unit, in order."""
        return (self.schema(unit) for unit in range(self.unit_count))

    def attrs_of(self, unit: int) -> dict[str, Any]:
        """The values of the requested attributes of one unit, by ``object@name``."""
        return {name: untyped(value) for name, value in self.typed_attrs(unit).items()}

    def typed_attrs(self, unit: int) -> dict[str, Any]:
        """The requested attributes of one unit with their types, as `schema.typed` writes them."""
        return dict(json.loads(self.attrs[unit]))

    @once
    def distinct_attrs(self) -> tuple[tuple[dict[str, Any], ...], Int64Array]:
        """The distinct attributes of units, as `typed_attrs`, and the number of those of each unit, ``(units,)``."""
        numbers: dict[str, int] = {}
        if self.attrs.blob.size == 2 * self.unit_count:
            return ({},), np.zeros(self.unit_count, np.int64)
        number_of = [numbers.setdefault(text, len(numbers)) for text in self.attrs]
        return tuple(json.loads(text) for text in numbers), np.asarray(number_of, np.int64)

    def facts_of(self, path: str) -> Int64Array:
        """Length, stored bytes and missing chunks of ``path`` in each unit, ``(units, 3)``; -2 if absent."""
        return self._in_units(path, self.facts, absent=-2)

    def rows_of(self, path: str, axes: Sequence[int] = (0,)) -> Int64Array:
        """Rows of ``path`` along some axes in each unit, ``(units,)``; negative if it is absent or a scalar."""
        rows: Int64Array = self.axis_lengths(path, axes[0])
        for axis in axes[1:]:
            more = self.axis_lengths(path, axis)
            rows = np.where((rows < 0) | (more < 0), np.minimum(rows, more), rows * more)
        return rows

    def axis_lengths(self, path: str, axis: int) -> Int64Array:
        """Length of one axis of ``path`` in each unit, ``(units,)``; negative if it is absent or has fewer axes."""
        first = self.facts_of(path)[:, 0]
        if axis == 0 or not len(first):
            return first
        shapes = (
            next((dataset.shape for dataset in layout if dataset.path == path), ()) for layout in self.layouts
        )
        by_layout = [shape[axis] if axis < len(shape) else -1 for shape in shapes]
        lengths: Int64Array = np.where(first < 0, first, np.asarray(by_layout, np.int64)[self.layout_of])
        return lengths

    def annotations_of(self, path: str) -> npt.NDArray[np.int32]:
        """The number of the annotation of ``path`` in each unit, ``(units,)``; -1 if it is absent."""
        return self._in_units(path, self.annotation_of, absent=-1)

    def files_by_annotation(
        self, path: str, files: Int64Array, key: Callable[[Annotations], T]
    ) -> dict[T, Int64Array]:
        """A property of the annotations of a dataset → the units that have it, ascending; that of the first unit first.

        Args:
            path: the dataset; units that lack it do not count.
            files: the units to group, ascending.
            key: the property; called once for each distinct annotation, however many files there are.
        """
        annotation_of = self.annotations_of(path)[files]
        numbers, first, of_file = distinct(annotation_of)
        kinds: dict[T, int] = {}
        kind_of = np.full(len(numbers), -1)
        for position in np.argsort(first).tolist():
            if numbers[position] >= 0:
                kind_of[position] = kinds.setdefault(key(self.annotations[numbers[position]]), len(kinds))
        if len(kinds) == 1 and (kind_of == 0).all():
            return dict.fromkeys(kinds, files)
        has = annotation_of >= 0
        kind_of_file = kind_of[of_file][has]
        # Sorted once for all kinds, since there may be as many kinds as files.
        by_kind = files[has][np.argsort(kind_of_file, kind="stable")]
        groups = np.split(by_kind, np.cumsum(np.bincount(kind_of_file))[:-1])
        return dict(zip(kinds, groups, strict=False))

    def _units(self) -> UnitTable:
        names = [item.name for item in dataclasses.fields(UnitTable)]
        return UnitTable(**{name: getattr(self, name) for name in names})

    def _in_units(self, path: str, values: npt.NDArray[Any], *, absent: int) -> npt.NDArray[Any]:
        """The value of a dataset in each unit, of values in the order of `facts`; ``absent`` in units that lack it."""
        within = np.asarray([_position(layout, path) for layout in self.layouts], dtype=np.int64)
        if len(self.layouts) == 1 and self.unit_count and within[0] >= 0:
            by_unit = values.reshape(self.unit_count, -1, *values.shape[1:])
            own: npt.NDArray[Any] = by_unit[:, int(within[0])].copy()
            return own
        of_units = np.full((self.unit_count, *values.shape[1:]), absent, dtype=values.dtype)
        if self.unit_count:
            position = within[self.layout_of]
            has = np.flatnonzero(position >= 0)
            of_units[has] = values[self.first_fact[has] + position[has]]
        return of_units

    def stored(self, unit: int, path: str) -> StoredDataset | None:
        """A dataset of one unit with the positions of its values; None if those are not known."""
        if self.matches is not None and "*" not in path:
            # One dataset for all units of the file.
            unit = int(self.matches.first_unit[self.unit_files[unit]])
        layout = self.layouts[int(self.layout_of[unit])]
        position = _position(layout, path)
        fact = int(self.first_fact[unit]) + position
        extents = self.extents[fact] if position >= 0 else None
        if extents is None:
            return None
        rows, schema = int(self.facts[fact, 0]), layout[position]
        return StoredDataset(schema, (rows, *schema.row_shape) if rows >= 0 else (), extents)


def _joined(parts: Iterable[T | None], join: Callable[[Sequence[T]], T]) -> T | None:
    """The parts of catalogs of one scan as one; a catalog without files may have none."""
    found = [part for part in parts if part is not None]
    return join(found) if found else None


def _position(layout: tuple[DatasetSchema, ...], path: str) -> int:
    for position, dataset in enumerate(layout):
        if dataset.path == path:
            return position
    return -1
