"""Indexes without files, and what a split of them holds row by row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from h5lightning.core.permutation import KeyedPermutation
from h5lightning.core.string_table import StringTable
from h5lightning.options import Rows, Samples
from h5lightning.planning.index import SampleIndex, SampleRanges
from h5lightning.planning.splitting.split_plan import Segments, SplitPlan


def make_index(
    rows: Sequence[int | Sequence[int]],
    samples: Samples | None = None,
    *,
    root: str = "/data",
    names: Sequence[str] | None = None,
    series_names: Sequence[str] | None = None,
) -> SampleIndex:
    """An index of files with one series (a number of rows) or several (a list of them)."""
    files = [[entry] if isinstance(entry, int) else list(entry) for entry in rows]
    return SampleIndex(
        root=root,
        names=StringTable.of(names or [f"run-{number:04}.h5" for number in range(len(files))]),
        series_file=np.repeat(np.arange(len(files)), [len(file) for file in files]).astype(np.int64),
        series_rows=np.asarray([count for file in files for count in file], dtype=np.int64),
        samples=samples or Rows(),
        series_names=None if series_names is None else StringTable.of(series_names),
    )


def row_numbers(part: Segments, index: SampleIndex) -> np.ndarray:
    """The rows of a part, counted over the whole index, ascending; each run is expanded one by one."""
    first = np.concatenate([[0], np.cumsum(index.series_rows)])
    runs = [
        np.arange(first[series] + start, first[series] + stop)
        for series, start, stop in zip(part.series, part.start, part.stop, strict=True)
    ]
    rows = np.concatenate([np.zeros(0, dtype=np.int64), *runs])
    if part.subset is None:
        return rows
    slices: SampleRanges = part.subset.slices
    drawn = [np.arange(start, stop) for start, stop in zip(slices.starts, slices.stops, strict=True)]
    return np.sort(rows[KeyedPermutation(rows.size, part.subset.key)(np.concatenate(drawn))])


def rows_by_split(plan: SplitPlan, index: SampleIndex) -> dict[str, list[int]]:
    """The rows of each split, counted over the whole index."""
    return {name: row_numbers(part, index).tolist() for name, part in plan.parts.items()}


def files_by_split(plan: SplitPlan, index: SampleIndex) -> dict[str, list[int]]:
    """The files of each split."""
    return {name: part.files(index).tolist() for name, part in plan.parts.items()}
