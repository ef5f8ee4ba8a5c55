"""How much of the stored values the samples of a split read, and how much no window holds."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from h5lightning.options import Windows
from h5lightning.planning.box_field import BoxField
from h5lightning.planning.fields import RowField
from h5lightning.planning.grid import covered
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.row_numbers import OfEntries
from h5lightning.planning.sections import Section
from h5lightning.planning.splitting.split_plan import Segments

__all__ = ["decoded_bytes", "uncovered"]


def decoded_bytes(part: Segments, section: Section) -> int:
    """Bytes of the rows of a split over all fields, decoded; a dataset that two fields use counts once."""
    plans = {(plan.path, plan.member): plan for plan in section.fields.row_fields}.values()
    return sum(_decoded_bytes(part, plan, section) for plan in plans)


def _decoded_bytes(part: Segments, plan: RowField, section: Section) -> int:
    if part.subset is None and isinstance(plan.row_numbers, OfEntries):
        return _entry_rows(part, plan.row_numbers, section.index) * plan.row_bytes
    if part.subset is None and plan.shapes is not None:
        numbers = plan.shapes.shapes.prod(axis=1)[plan.shapes.of_unit[section.index.units[part.series]]]
        return int(((part.stop - part.start) * numbers).sum()) * np.dtype(plan.stored).itemsize
    lengths = section.fields.other_lengths
    if not isinstance(plan, BoxField) or not plan.other_axes or lengths is None or part.subset is not None:
        return part.rows * plan.decoded_row_bytes
    window = math.prod(plan.sizes[axis] for axis in plan.other_axes)
    units = section.index.units[part.series]
    entries = (part.stop - part.start) * lengths[units].prod(axis=1)
    return int(entries.sum()) * (plan.row_bytes // window)


def _entry_rows(part: Segments, numbers: OfEntries, index: SampleIndex) -> int:
    """Rows that the entries of an index hold, in a part of a split."""
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(numbers.index.lengths)])
    first = numbers.index.first[index.units[part.series]]
    if index.series_start is not None:
        first = first + index.series_start[part.series]
    return int((before[first + part.stop] - before[first + part.start]).sum())


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
