"""From units and their rows to the index of all samples; opens no file."""

from __future__ import annotations

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.string_table import StringTable
from h5lightning.options import Samples
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.series_bounds import SeriesBounds
from h5lightning.planning.index import SampleIndex

__all__ = ["make_index"]


def make_index(catalog: Catalog, rows: Int64Array, samples: Samples) -> SampleIndex:
    """The samples of all units, each of which is one series, unless tables divide its rows.

    Args:
        catalog: the files, what a ``*`` matched in them, and what tables in them say.
        rows: rows of each unit, ``(units,)``.
        samples: how samples lie in a series.
    """
    matches = catalog.matches
    if catalog.bounds is not None:
        return _divided(catalog, catalog.bounds, rows, samples)
    units = np.arange(catalog.unit_count)
    if matches is None:
        return SampleIndex(catalog.root, catalog.names, units, rows, samples)
    return SampleIndex(
        catalog.root,
        catalog.names,
        catalog.unit_files,
        rows,
        samples,
        series_names=matches.names,
        series_unit=units,
        unit_texts=matches.texts,
    )


def _divided(catalog: Catalog, bounds: SeriesBounds, rows: Int64Array, samples: Samples) -> SampleIndex:
    """The samples of series that tables divide the rows of units into."""
    matches, units = catalog.matches, bounds.unit_of
    names = bounds.names
    if matches is not None:
        own = _numbers(bounds) if names is None else names
        names = _paired(matches.names.take(units), own)
    return SampleIndex(
        catalog.root,
        catalog.names,
        catalog.unit_files[units],
        bounds.rows,
        samples,
        series_names=names,
        series_unit=None if matches is None else units,
        series_start=bounds.starts,
        unit_texts=None if matches is None else matches.texts,
        unit_rows=rows,
        files_of_units=None if matches is None else catalog.unit_files,
    )


def _numbers(bounds: SeriesBounds) -> StringTable:
    """The number of each series in its unit."""
    numbers = np.arange(len(bounds.rows)) - bounds.first_series[bounds.unit_of]
    return StringTable.of_bytes(numbers.astype("S20"))


def _paired(units: StringTable, series: StringTable) -> StringTable:
    """``UNIT/SERIES`` for each series."""
    slashes = StringTable.of_bytes(np.full(len(units), b"/"))
    parts = StringTable.concatenated([units, slashes, series])
    order = np.arange(3 * len(units)).reshape(3, -1).T.reshape(-1)
    mixed = parts.take(order)
    return StringTable(mixed.blob, mixed.ends[2::3])
