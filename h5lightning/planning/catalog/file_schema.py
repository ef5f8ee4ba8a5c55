"""What the scan of one file finds: its datasets, or what the ``*`` of paths matches in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from h5lightning.core.string_table import StringTable
from h5lightning.planning.catalog.extents import Extents
from h5lightning.planning.catalog.match_table import MatchTable
from h5lightning.planning.catalog.row_index import IndexTable
from h5lightning.planning.catalog.row_values import RowValues
from h5lightning.planning.catalog.schema import DatasetSchema, Stamp
from h5lightning.planning.catalog.series_bounds import SeriesBounds
from h5lightning.planning.catalog.unit_table import FileMatches, UnitTable, UnitTableBuilder

__all__ = ["FileSchema", "units_of"]


@dataclasses.dataclass(frozen=True, slots=True)
class FileSchema:
    """The contents of one file.

    Args:
        datasets: the requested objects that exist, or all datasets of the file.
        attrs: the requested attributes that exist, by ``object@name`` (``@name`` for attributes of the file):
            numbers, strings, and nested lists of them, see `typed`.
        extents: positions of the values of each dataset, None if they are not known; empty if not requested.
        sources: the other files that hold its values, each with its stamp from before the scan.
        matches: what the ``*`` of paths matched; then datasets, attributes and extents are those of each match, and
            `datasets`, `attrs` and `extents` are empty.
        bounds: the series of its units; None if no table divides their rows.
        row_indexes: path of an index in the request → its numbers in the units.
        row_values: name of a dataset or column in the request → its values in the units.
    """

    datasets: tuple[DatasetSchema, ...]
    attrs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    extents: tuple[Extents | None, ...] = dataclasses.field(default=(), compare=False, repr=False)
    sources: tuple[tuple[str, Stamp], ...] = ()
    matches: FileMatches | None = None
    bounds: SeriesBounds | None = None
    row_indexes: Mapping[str, IndexTable] = dataclasses.field(default_factory=dict)
    row_values: Mapping[str, RowValues] = dataclasses.field(default_factory=dict)

    def dataset(self, path: str) -> DatasetSchema | None:
        """The schema of ``path``, or None if the file lacks it."""
        return next((dataset for dataset in self.datasets if dataset.path == path), None)


def units_of(schemas: Sequence[FileSchema]) -> tuple[UnitTable, MatchTable | None]:
    """The units of files, and what a ``*`` matched in them; None if each file is one unit."""
    found = [schema.matches for schema in schemas if schema.matches is not None]
    if found:
        counts = np.asarray([len(each.texts) for each in found], np.int64)
        texts = StringTable.concatenated([each.texts for each in found])
        return UnitTable.joined([each.units for each in found]), MatchTable(found[0].part, counts, texts)
    builder = UnitTableBuilder()
    for schema in schemas:
        extents = schema.extents or [None] * len(schema.datasets)
        builder.add(list(map(builder.entry, schema.datasets, extents)), schema.attrs)
    return builder.table(), None
