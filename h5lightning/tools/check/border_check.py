"""Check that windows lie inside their files, and find windows with rows of two series."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
from h5py import h5t

from h5lightning.core.arrays import Int64Array
from h5lightning.core.formatting import counted
from h5lightning.core.progress import Advance
from h5lightning.errors import H5LightningError
from h5lightning.options import Windows
from h5lightning.planning.box_field import BoxField
from h5lightning.planning.catalog.annotations import SeriesTable
from h5lightning.planning.fields import RowField
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.tools.check.run import CheckResult, CheckRun, DrawnUnit, describe_id

__all__ = ["check_borders"]

_PLAIN_CLASSES = (h5t.INTEGER, h5t.ENUM, h5t.FLOAT)


def check_borders(run: CheckRun, samples: Windows, advance: Advance) -> CheckResult:
    """No window reaches past the rows of its file or of its series; windows over borders that are no series are noted.

    Args:
        run: the run. Planning refuses windows over borders, unless the user accepts them.
        samples: its windows.
        advance: called with the number of completed files.
    """
    failures: list[str] = []
    crossing, checked = 0, 0
    tables: dict[str, None] = {}
    with run.open_files() as pool:
        for file in run.files(advance):
            first, stop = _span(samples, run.fields_of(file).row_fields)
            for drawn in run.drawn_units(file):
                checked += len(drawn.ids)
                rows = int(run.index.rows_of_units[drawn.unit])
                firsts, stops = np.maximum(drawn.rows + first, 0), np.minimum(drawn.rows + stop, rows)
                if samples.pad is None:  # else, rows that are not there are padding
                    failures += _past_the_end(run, pool, file, samples, drawn)
                    failures += _past_the_series(run, (first, stop), drawn)
                for table in _tables(run, file, drawn.unit):
                    borders = _borders(pool, run.index.path(file), table)
                    # The first border after the first row of a window must not come before its last row.
                    after = np.searchsorted(borders, firsts, side="right")
                    last = np.append(borders, np.iinfo(np.int64).max)[after]
                    if count := int((last < stops).sum()):
                        crossing, tables[table.paths[0]] = crossing + count, None
    note = ""
    if crossing:
        paths = ", ".join(f"'/{path}'" for path in itertools.islice(tables, 3))
        note = f"{counted(crossing, 'window')} with rows of two series, divided by {paths}, as series or decode accepts"
    scope = f"{counted(len(run.index.names), 'file')}, {counted(checked, 'window')}"
    return CheckResult("windows lie inside their files", scope, tuple(failures), note)


def _past_the_end(
    run: CheckRun, pool: HandlePool, file: int, samples: Windows, drawn: DrawnUnit
) -> Iterator[str]:
    by_path: dict[str, list[RowField]] = {}
    for plan in run.fields_of(file).row_fields:
        by_path.setdefault(run.path_in(plan, drawn.unit), []).append(plan)
    for path, plans in by_path.items():
        try:
            with pool.dataset(run.index.path(file), path) as dataset:
                shape = dataset.shape
        except (H5LightningError, OSError):
            continue  # the check of both readers reports it
        length = math.prod(shape[axis] for axis in plans[0].row_numbers.row_axes)
        first, stop = _span(samples, plans)
        rows = run.first_rows(plans[0], drawn)
        beyond = np.flatnonzero((rows + first < 0) | (rows + stop > length))
        if beyond.size:
            where = describe_id(run.index, int(drawn.ids[beyond[0]]))
            yield f"the window at {where} reaches past the {length:,} rows of '/{path}'"
        if isinstance(plans[0], BoxField) and plans[0].other_axes:
            yield from _past_the_axes(run, plans[0], drawn, shape)


def _past_the_axes(run: CheckRun, plan: BoxField, drawn: DrawnUnit, shape: tuple[int, ...]) -> Iterator[str]:
    """Windows that reach past the end of an axis beside that of the rows."""
    axes = list(plan.other_axes)
    lengths = np.asarray(shape, np.int64)[axes]
    stops = run.index.starts(run.index.locate(drawn.ids))[:, 1:] + np.asarray(plan.sizes)[axes]
    beyond = np.flatnonzero((stops > lengths).any(axis=1))
    if beyond.size:
        where = describe_id(run.index, int(drawn.ids[beyond[0]]))
        yield f"the window at {where} reaches past the shape {shape} of '/{plan.path}'"


def _span(samples: Windows, fields: Iterable[RowField]) -> tuple[int, int]:
    """The first row that a window needs for some fields, counted from its own first row, and one past the last."""
    steps = [plan.steps or (0, 1) for plan in fields]
    first, last = min(start for start, _ in steps), max(stop - 1 for _, stop in steps)
    return first * samples.dilation, last * samples.dilation + 1


def _past_the_series(run: CheckRun, span: tuple[int, int], drawn: DrawnUnit) -> Iterator[str]:
    if run.index.series_start is None:
        return  # each series is all rows of its datasets
    where = run.index.locate(drawn.ids)
    rows = run.index.series_rows[where.series]
    beyond = np.flatnonzero((where.row + span[0] < 0) | (where.row + span[1] > rows))
    if beyond.size:
        first = int(beyond[0])
        at = describe_id(run.index, int(drawn.ids[first]))
        yield f"the window at {at} reaches past the {int(rows[first]):,} rows of its series"


def _tables(run: CheckRun, file: int, unit: int) -> tuple[SeriesTable, ...]:
    """The distinct tables that divide the rows of the fields of one unit into series."""
    catalog = run.data.survey.catalog
    tables: dict[SeriesTable, None] = {}
    for plan in run.fields_of(file).row_fields:
        if isinstance(plan, BoxField) and plan.row_axis:
            continue  # tables divide the rows along axis 0
        number = int(catalog.annotations_of(plan.path)[unit])
        if number >= 0:
            tables |= dict.fromkeys(catalog.annotations[number].series)
    return tuple(tables)


def _borders(pool: HandlePool, path: str, table: SeriesTable) -> Int64Array:
    """Rows at which a series begins or ends, ascending; empty where they cannot be read."""
    try:
        values = [_values(pool, path, name) for name in table.paths]
    except (H5LightningError, OSError):
        return np.zeros(0, np.int64)
    if table.kind == "flags":
        return np.flatnonzero(np.any(values, axis=0)) + 1
    first = values[0].astype(np.int64)
    if table.kind == "lengths":
        return np.cumsum(first)
    if table.kind == "runs":
        return np.flatnonzero(np.diff(first)) + 1
    return np.unique(first)


def _values(pool: HandlePool, path: str, name: str) -> npt.NDArray[np.generic]:
    with pool.dataset(path, name) as dataset:
        if dataset.id.get_type().get_class() not in _PLAIN_CLASSES:
            return np.zeros(0, np.int64)
        values: npt.NDArray[np.generic] = np.asarray(dataset[()]).ravel()
        return values
