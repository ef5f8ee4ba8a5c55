"""How much of the stored values the samples of a split read, and how much no window holds or conditions leave out."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.options import Windows
from h5lightning.planning.box_field import BoxField
from h5lightning.planning.fields import RowField
from h5lightning.planning.grid import covered
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.passes.row_blocks import rows_index
from h5lightning.planning.row_numbers import OfEntries
from h5lightning.planning.sections import Section
from h5lightning.planning.splitting.split_plan import Segments

__all__ = ["decoded_bytes", "left_out_rows", "uncovered"]


def decoded_bytes(part: Segments, section: Section) -> int:
    """Bytes of the rows of a split over all fields, decoded; a dataset that two fields use counts once."""
    plans = {(plan.path, plan.member): plan for plan in section.fields.row_fields}.values()
    return sum(_decoded_bytes(part, plan, section) for plan in plans)


def _decoded_bytes(part: Segments, plan: RowField, section: Section) -> int:
    if part.subset is None and isinstance(plan.row_numbers, OfEntries):
        return _entry_rows(part, plan.row_numbers, section.index) * plan.row_bytes
    units = section.index.units
    if part.subset is None and plan.shapes is not None:
        numbers = plan.shapes.shapes.prod(axis=1)[plan.shapes.of_unit]
        return _weighted_rows(part, numbers[units]) * np.dtype(plan.stored).itemsize
    lengths = section.fields.other_lengths
    if not isinstance(plan, BoxField) or not plan.other_axes or lengths is None or part.subset is not None:
        return part.rows * plan.decoded_row_bytes
    window = math.prod(plan.sizes[axis] for axis in plan.other_axes)
    return _weighted_rows(part, lengths.prod(axis=1)[units]) * (plan.row_bytes // window)


def _weighted_rows(part: Segments, weights: Int64Array) -> int:
    """The rows of a part, each with the weight of its series, ``(series,)``."""
    return sum(int(((runs.stop - runs.start) * weights[runs.series]).sum()) for runs in part.runs())


def _entry_rows(part: Segments, numbers: OfEntries, index: SampleIndex) -> int:
    """Rows that the entries of an index hold, in a part of a split."""
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(numbers.index.lengths)])
    first = numbers.index.first[index.units]
    if index.series_start is not None:
        first = first + index.series_start
    return sum(
        int((before[first[runs.series] + runs.stop] - before[first[runs.series] + runs.start]).sum())
        for runs in part.runs()
    )


def left_out_rows(part: Segments, index: SampleIndex) -> int:
    """How many rows of a part of a split conditions leave out."""
    return 0 if index.filter is None else part.rows - len(part.selection(rows_index(index)))


def uncovered(index: SampleIndex, stages: Iterable[str]) -> Iterable[str]:
    """A sentence about the border that a grid of windows along several axes leaves out, if it does."""
    grid, samples = index.grid, index.samples
    if grid is None or not isinstance(samples, Windows) or samples.pad is not None:
        return
    rows = index.series_rows
    inside = covered(index.reach.counts(rows), samples.stride_rows, samples.span_rows, rows)
    every = (rows * grid.lengths[index.units].prod(axis=1, dtype=np.float64)).sum()
    within = (inside * grid.covered[index.units].prod(axis=1, dtype=np.float64)).sum()
    if within < every:
        yield (
            f"Lie in no window: {100 * (1 - within / every):.3g} % of all entries ({', '.join(stages)}): the strides "
            "do not divide the axes; pad='edge' covers the borders"
        )
