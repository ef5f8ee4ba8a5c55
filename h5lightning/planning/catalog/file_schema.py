"""What the scan of one file finds: its datasets, or what the ``*`` of paths matches in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from h5lightning.planning.catalog.extents import Extents
from h5lightning.planning.catalog.schema import DatasetSchema, Stamp
from h5lightning.planning.catalog.series_bounds import SeriesBounds
from h5lightning.planning.catalog.unit_table import FileMatches

__all__ = ["FileSchema"]


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
    """

    datasets: tuple[DatasetSchema, ...]
    attrs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    extents: tuple[Extents | None, ...] = dataclasses.field(default=(), compare=False, repr=False)
    sources: tuple[tuple[str, Stamp], ...] = ()
    matches: FileMatches | None = None
    bounds: SeriesBounds | None = None

    def dataset(self, path: str) -> DatasetSchema | None:
        """The schema of ``path``, or None if the file lacks it."""
        return next((dataset for dataset in self.datasets if dataset.path == path), None)
