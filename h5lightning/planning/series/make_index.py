"""From units and their rows to the index of all samples; opens no file."""

from __future__ import annotations

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.options import Samples
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.reach import Reach

__all__ = ["make_index"]


def make_index(
    catalog: Catalog, rows: Int64Array, samples: Samples, reach: Reach | None = None
) -> SampleIndex:
    """The samples of all units, each of which is one series.

    Args:
        catalog: the files, and what a ``*`` matched in them.
        rows: rows of each unit, ``(units,)``.
        samples: how samples lie in a series.
        reach: the rows that samples need, by unit where units differ; None for what ``samples`` says.
    """
    units, matches = np.arange(catalog.unit_count), catalog.matches
    if matches is None:
        return SampleIndex(catalog.root, catalog.names, units, rows, samples, given_reach=reach)
    return SampleIndex(
        catalog.root,
        catalog.names,
        catalog.unit_files,
        rows,
        samples,
        series_names=matches.names,
        series_unit=units,
        unit_texts=matches.texts,
        given_reach=reach,
    )
