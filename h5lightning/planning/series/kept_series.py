"""An index without some of its series: no other series gets another name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.string_table import StringTable
from h5lightning.planning.index import SampleIndex

__all__ = ["with_series"]


def with_series(index: SampleIndex, kept: Int64Array) -> SampleIndex:
    """The index with these series alone, given by their numbers, ascending.

    Series without names are named by their numbers, also if none is left out: so they keep them when one is.
    """
    names, starts = index.series_names, index.series_start
    if names is None and starts is not None:
        numbers = np.arange(len(index.series_rows)) - index.first_series[index.series_file]
        names = StringTable.of_bytes(numbers.astype("S20"))
    in_units = np.arange(len(index.series_rows)) - index.units.searchsorted(index.units)
    return replace(
        index,
        series_file=index.series_file[kept],
        series_rows=index.series_rows[kept],
        series_names=None if names is None else names.take(kept),
        series_unit=None if index.series_unit is None else index.series_unit[kept],
        series_start=None if starts is None else starts[kept],
        unit_rows=index.rows_of_units,
        files_of_units=None if index.series_unit is None else index.unit_files,
        numbers_in_units=in_units[kept],
    )
