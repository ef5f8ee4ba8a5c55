"""Samples as h5py slices them, one at a time: boxes, samples of different shapes, rows of an index, padded windows.

This shares no code with the planning of rows and with readers: it takes from the run which samples there are, and what
is drawn for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.core.star_paths import concrete
from h5lightning.options import Windows
from h5lightning.planning.box_field import BoxField
from h5lightning.planning.draws import SampleDraws
from h5lightning.planning.fields import FieldPlan, RowField, SeriesField, StoredField
from h5lightning.planning.index import Location
from h5lightning.planning.ragged_fields import BoxRunField, RunField
from h5lightning.planning.row_numbers import IN_SERIES
from h5lightning.planning.row_runs import WholeRuns
from h5lightning.tools.check.run import CheckRun, DrawnUnit

__all__ = ["Sliced", "cell_starts", "is_sliced", "sliced_samples"]

Array = npt.NDArray[Any]


class Sliced(NamedTuple):
    """One sample.

    Args:
        stored: the stored numbers, of the shape that the sample has; beyond borders, those at the border.
        is_padding: which of them lie beyond borders, of the same shape.
    """

    stored: Array
    is_padding: BoolArray


def is_sliced(run: CheckRun, whole: FieldPlan, plan: StoredField) -> bool:
    """Whether the samples of a field, a part of ``whole``, are compared one by one with slices of h5py."""
    if isinstance(plan, (BoxField, RunField)) or whole.ragged is not None:
        return True
    return isinstance(plan, RowField) and (run.index.reach.pad is not None or run.index.samples.jitter)


def cell_starts(run: CheckRun, drawn: DrawnUnit, lengths: Int64Array) -> Int64Array:
    """Where the window of each sample begins along each of its axes, before anything is drawn, ``(N, axes)``.

    Args:
        run: the run.
        drawn: the samples.
        lengths: entries of their unit along the axes of windows beside that of the rows.
    """
    where, samples = run.index.locate(drawn.ids), run.index.samples
    starts = where.row[:, None]
    if not isinstance(samples, Windows) or where.cell is None or not len(lengths):
        return starts
    windows, strides = np.asarray(samples.lengths[1:]), np.asarray(samples.strides[1:])
    room = lengths if samples.pad is not None else lengths - windows + 1
    others = np.unravel_index(where.cell, tuple((-(-room // strides)).tolist()))
    return np.concatenate([starts, np.stack(others, axis=1) * strides], axis=1)


def sliced_samples(
    run: CheckRun,
    open_dataset: Callable[[str], Any],
    plan: StoredField,
    drawn: DrawnUnit,
    starts: Int64Array,
) -> Iterator[Sliced]:
    """Some samples of one unit.

    Args:
        run: the run.
        open_dataset: opens a dataset of the unit, for a ``with`` statement.
        plan: the field.
        drawn: the samples.
        starts: where the window of each begins along each of its axes, ``(N, axes)``: the row in its series, then the
            other axes.
    """
    path = concrete(plan.path, run.text_of(drawn.unit))
    rows = _rows_of(run, open_dataset, plan, drawn, starts)
    with open_dataset(path) as dataset:
        for number, (entries, is_outside) in enumerate(rows):
            axes, outside = _axes_of(plan, entries, is_outside)
            series_axis = _series_axis(plan)
            if series_axis is not None:
                axes[series_axis] = np.asarray([_series_number(run, drawn)[number]])
            if isinstance(plan, BoxField):
                for axis, start in zip(plan.other_axes, starts[number, 1:].tolist(), strict=True):
                    each = np.arange(start, start + plan.sizes[axis])
                    axes[axis] = each.clip(0, dataset.shape[axis] - 1)
                    outside[axis] = each >= dataset.shape[axis]
            dropped = {series_axis} if series_axis is not None else set()
            if _row_axis(plan) is not None and not _has_steps(plan):
                dropped.add(_row_axis(plan) or 0)
            yield _taken(dataset, plan.member, axes, outside, tuple(sorted(dropped)))


def _taken(
    dataset: h5py.Dataset,
    member: str | None,
    axes: dict[int, Int64Array],
    outside: dict[int, BoolArray],
    dropped: tuple[int, ...],
) -> Sliced:
    """Some entries along some axes, of which those with one entry may be dropped."""
    where: list[slice] = [slice(None)] * dataset.ndim
    for axis, each in axes.items():
        where[axis] = slice(int(each.min()), int(each.max()) + 1) if each.size else slice(0, 0)
    values = dataset[tuple(where)]
    values = np.asarray(values if member is None else values[member])
    is_padding = np.zeros(values.shape, np.bool_)
    for axis, each in axes.items():
        values = values.take(each - where[axis].start, axis)
        is_padding = is_padding.take(each - where[axis].start, axis)
    for axis, beyond in outside.items():
        shape = [1] * values.ndim
        shape[axis] = len(beyond)
        is_padding |= beyond.reshape(shape)
    return Sliced(values.squeeze(dropped), is_padding.squeeze(dropped))


def _rows_of(
    run: CheckRun,
    open_dataset: Callable[[str], Any],
    plan: StoredField,
    drawn: DrawnUnit,
    starts: Int64Array,
) -> Iterator[tuple[Int64Array | None, BoolArray | None]]:
    """The rows of the dataset that each sample has, and which of them lie beyond borders; None for a constant."""
    where = run.index.locate(drawn.ids)
    if isinstance(plan, SeriesField):
        yield from ((np.asarray([number]), None) for number in _series_number(run, drawn))
    elif not isinstance(plan, RowField):
        yield from ((None, None) for _ in drawn.ids)
    elif plan.as_asked.index is not None:
        ends = _ends(run, open_dataset, plan.as_asked.index, drawn.unit)
        for entry in (_in_unit(run, where) + where.row).tolist():
            yield np.arange(ends[entry], ends[entry + 1]), None
    else:
        in_series = plan.row_numbers == IN_SERIES or _series_axis(plan) is not None
        firsts = np.zeros(len(drawn.ids), np.int64) if in_series else _in_unit(run, where)
        each = _rows_in_series(run, plan, drawn, starts)
        yield from ((first + rows, beyond) for first, (rows, beyond) in zip(firsts, each, strict=True))


def _rows_in_series(
    run: CheckRun, plan: RowField, drawn: DrawnUnit, starts: Int64Array
) -> Iterator[tuple[Int64Array, BoolArray | None]]:
    """As `_rows_of`, counted in the series."""
    counts = run.index.series_rows[run.index.locate(drawn.ids).series]
    take = _take(plan)
    if take is not None:
        rows, sizes = SampleDraws(run.data.seed, 0, jitters=True).rows(drawn.ids, counts, take)
        yield from ((part, None) for part in np.split(rows, np.cumsum(sizes)[:-1]))
        return
    extra = int(np.broadcast_to(plan.extra_rows_of(np.asarray([drawn.unit])), 1)[0])
    for start, count in zip(starts[:, 0].tolist(), (counts + extra).tolist(), strict=True):
        if isinstance(plan, (BoxRunField, RunField)):
            yield np.arange(count), None
        else:
            rows = start + plan.offsets
            yield rows.clip(0, count - 1), (rows < 0) | (rows >= count)


def _ends(run: CheckRun, open_dataset: Callable[[str], Any], path: str, unit: int) -> Int64Array:
    """Where the entries of an index begin, and where the last one ends: ends of entries have no 0 before them."""
    with open_dataset(concrete(path, run.text_of(unit))) as dataset:
        numbers = np.asarray(dataset[()]).astype(np.int64)
    is_ends = len(numbers) == int(run.index.rows_of_units[unit])
    return np.concatenate([[0], numbers]) if is_ends else numbers


def _take(plan: RowField) -> int | None:
    runs = plan.runs if isinstance(plan, (BoxRunField, RunField)) else None
    return runs.take if isinstance(runs, WholeRuns) else None


def _in_unit(run: CheckRun, where: Location) -> Int64Array:
    """The first row of the series of each sample, counted in its unit, ``(N,)``."""
    starts = run.index.series_start
    return np.zeros(len(where.series), np.int64) if starts is None else starts[where.series]


def _series_number(run: CheckRun, drawn: DrawnUnit) -> list[int]:
    """The number in its unit of the series of each sample."""
    first = int(run.index.units.searchsorted(drawn.unit))
    numbers: list[int] = (run.index.locate(drawn.ids).series - first).tolist()
    return numbers


def _axes_of(
    plan: StoredField, rows: Int64Array | None, is_outside: BoolArray | None
) -> tuple[dict[int, Int64Array], dict[int, BoolArray]]:
    axis = _row_axis(plan)
    if axis is None or rows is None:
        return {}, {}
    return {axis: rows}, {} if is_outside is None else {axis: is_outside}


def _row_axis(plan: StoredField) -> int | None:
    """The axis of a dataset along which its rows lie; None for a constant."""
    if isinstance(plan, BoxField):
        return plan.row_axis
    if isinstance(plan, SeriesField):
        return 0
    return plan.leading - 1 if isinstance(plan, RowField) else None


def _series_axis(plan: StoredField) -> int | None:
    """The axis of a dataset whose entries are series, beside that of the rows; None if there is none."""
    if isinstance(plan, BoxField):
        return plan.row_numbers.series_axis
    return 0 if plan.leading > 1 else None


def _has_steps(plan: StoredField) -> bool:
    return isinstance(plan, RowField) and plan.steps is not None
