"""Check that files are written to their end: after a killed job, HDF5 fills the remaining rows."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from h5py import h5d

from h5lightning.core.arrays import BoolArray
from h5lightning.core.formatting import counted, listed
from h5lightning.core.progress import Advance
from h5lightning.errors import H5LightningError
from h5lightning.planning.box_field import BoxField
from h5lightning.planning.encoded_field import encoded_of
from h5lightning.planning.fields import RowField
from h5lightning.planning.row_numbers import OfEntries
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.protocol import DatasetColumn
from h5lightning.tools.check.run import MOST_NAMED, CheckResult, CheckRun

__all__ = ["check_written_ends"]

_BYTES_AT_ONCE = 16 * 1024 * 1024
_MOST_INTEGER_BYTES = 64 * 1024 * 1024  # integers can lead to a remark only, which is worth no more reading


@dataclass(frozen=True, slots=True)
class _FilledEnd:
    """The last rows of a dataset column: ``trailing`` of them, at least one, hold nothing but the fill value.

    ``is_alone``: no other row does; False also where that was not checked.
    """

    file: str
    column: str
    fill: str
    is_floating: bool
    rows: int
    trailing: int
    is_alone: bool

    @property
    def has_failed(self) -> bool:
        """Whether this looks like a half-written file."""
        return self.is_floating and self.is_alone and self.trailing < self.rows

    @property
    def is_worth_a_remark(self) -> bool:
        """Whether a user should know; integers often end with meaningful zeros."""
        return self.is_floating or (self.is_alone and self.trailing < self.rows)

    def __str__(self) -> str:
        start = self.rows - self.trailing
        if not start:
            return f"{self.file}: {self.column} holds nothing but the fill value {self.fill}"
        before = "no row before does" if self.is_alone else "so do other rows"
        return (
            f"{self.file}: {self.column} holds nothing but the fill value {self.fill} from row {start} on "
            f"({self.trailing:,} of {counted(self.rows, 'row')}), and {before}"
        )


def check_written_ends(run: CheckRun, advance: Advance) -> CheckResult:
    """No floating field ends with rows that hold nothing but the fill value, unless earlier rows do too."""
    failures: list[str] = []
    remarks: list[str] = []
    with run.open_files() as pool:
        for file in run.files(advance):
            # One of the fields that share a dataset column.
            fields = [plan for plan in run.fields_of(file).row_fields if _has_own_end(plan)]
            plans = {(plan.path, plan.member): plan for plan in fields}.values()
            for unit, plan in itertools.product(_units(run, file), plans):
                try:
                    end = _end_of(run, pool, unit, plan)
                except (H5LightningError, OSError) as error:
                    failures.append(f"{run.name_of(unit)}: {_column(plan)} cannot be read: {error}")
                    continue
                if end is not None and end.has_failed:
                    failures.append(
                        f"{end}. Perhaps the program that wrote it was killed: write the file again, exclude it, or "
                        "accept it with access.on_missing='fill'"
                    )
                elif end is not None and end.is_worth_a_remark:
                    remarks.append(str(end))
    scope = counted(len(run.index.names), "file")
    note = listed(remarks, MOST_NAMED, separator="; ")
    return CheckResult("files are written to their end", scope, tuple(failures), note)


def _units(run: CheckRun, file: int) -> list[int]:
    """The units of a file to look at: the file itself, or the series of the drawn samples."""
    if run.index.unit_texts is None:
        return [file]
    return [drawn.unit for drawn in run.drawn_units(file)]


def _has_own_end(plan: RowField) -> bool:
    """Whether a dataset ends with the rows of its unit, or with those of its index."""
    is_read = plan.kept is None and plan.categories is None and encoded_of(plan) is None
    return is_read and (plan.row_numbers.is_in_unit or isinstance(plan.row_numbers, OfEntries))


def _column(plan: RowField) -> str:
    return f"'/{plan.path}'" + (f" (column {plan.member!r})" if plan.member is not None else "")


@dataclass(frozen=True, slots=True)
class _StoredRows:
    """The rows of a dataset column in one unit.

    Args:
        run: the run, whose reader reads rows along the leading axes.
        pool: opens the file for rows along another axis, and for those that windows along several axes divide.
        path: the file.
        column: the dataset column.
        count: how many rows there are.
        numbers: numbers of a row.
        axis: the axis along which they lie, if h5py reads them; else None.
    """

    run: CheckRun
    pool: HandlePool
    path: str
    column: DatasetColumn
    count: int
    numbers: int
    axis: int | None = None

    @classmethod
    def of(cls, run: CheckRun, pool: HandlePool, unit: int, plan: RowField) -> _StoredRows:
        """The rows of a field."""
        path, column = run.index.path(int(run.index.unit_files[unit])), run.column_in(plan, unit)
        count = int(run.index.rows_of_units[unit])
        if isinstance(plan, BoxField):
            with pool.dataset(path, column.path) as dataset:
                shape = dataset.shape
            count = shape[plan.row_axis]
            numbers = math.prod((*shape, *plan.element_shape)) // max(1, count)
            return cls(run, pool, path, column, count, numbers, plan.row_axis)
        if isinstance(plan.row_numbers, OfEntries):
            count = int(run.data.survey.catalog.facts_of(plan.path)[unit, 0])
        return cls(run, pool, path, column, count, math.prod(column.row_shape))

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.numbers * np.dtype(self.column.dtype).itemsize

    def read(self, start: int, stop: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        """Some neighbouring rows, ``(stop - start, numbers)``."""
        column = self.column
        if self.axis is None:
            out = np.empty((stop - start, *column.row_shape), dtype)
            self.run.reader.read_rows(self.path, column, np.arange(start, stop), out)
            return out.reshape(stop - start, -1)
        with self.pool.dataset(self.path, column.path) as dataset:
            values = dataset[(slice(None),) * self.axis + (slice(start, stop),)]
        values = np.asarray(values if column.member is None else values[column.member], dtype)
        return np.ascontiguousarray(np.moveaxis(values, self.axis, 0)).reshape(stop - start, -1)


def _end_of(run: CheckRun, pool: HandlePool, unit: int, plan: RowField) -> _FilledEnd | None:
    """The filled end of a dataset; None if its last row is not the fill value."""
    rows = _StoredRows.of(run, pool, unit, plan)
    if not rows.count or not rows.row_bytes:
        return None
    is_floating = np.dtype(rows.column.dtype).kind in "fc"
    if not _may_end_with_fill(rows, is_floating=is_floating):
        return None
    fill = _fill_value(pool, rows.path, rows.column)
    if fill is None or not _are_fill(rows, fill, rows.count - 1, rows.count)[0]:
        return None
    if not is_floating and rows.count * rows.row_bytes > _MOST_INTEGER_BYTES:
        return None
    trailing, is_alone = _trailing(rows, fill, max(1, _BYTES_AT_ONCE // rows.row_bytes))
    name = run.name_of(unit)
    return _FilledEnd(name, _column(plan), str(fill), is_floating, rows.count, trailing, is_alone)


def _may_end_with_fill(rows: _StoredRows, *, is_floating: bool) -> bool:
    """Whether the last row is one repeated number, and for integers equals the row before: most fields end here."""
    dtype = np.dtype(rows.column.dtype).newbyteorder("=")
    out = rows.read(max(0, rows.count - 2), rows.count, dtype)
    stored = out.reshape(*out.shape, 1).view(np.uint8)
    is_one = (stored[-1] == stored[-1, 0]).all()
    return bool(is_one and (is_floating or len(stored) == 1 or (stored[0] == stored[-1]).all()))


def _trailing(rows: _StoredRows, fill: npt.NDArray[Any], step: int) -> tuple[int, bool]:
    """Rows of the fill value at the end, and whether no row before is one; read backwards, as far as needed."""
    trailing, is_counting = 0, True
    for stop in range(rows.count, 0, -step):
        start = max(0, stop - step)
        is_fill = _are_fill(rows, fill, start, stop)
        if is_counting:
            values = np.flatnonzero(~is_fill)
            last = int(values[-1]) if values.size else -1
            trailing += stop - start - last - 1
            is_counting, is_fill = not values.size, is_fill[: max(0, last)]
        if is_fill.any():
            return trailing, False
    return trailing, True


def _are_fill(rows: _StoredRows, fill: npt.NDArray[Any], start: int, stop: int) -> BoolArray:
    """Whether each row holds nothing but the fill value, bit for bit, ``(stop - start,)``."""
    stored = rows.read(start, stop, fill.dtype)
    expected = np.full(stored.shape[1], fill)
    is_fill: BoolArray = (stored.view(np.uint8) == expected.view(np.uint8)).all(axis=1)
    return is_fill


def _fill_value(pool: HandlePool, path: str, column: DatasetColumn) -> npt.NDArray[Any] | None:
    """The fill value of a dataset column in native byte order; zero by default, None if unknown."""
    dtype = np.dtype(column.dtype).newbyteorder("=")
    fill = np.zeros((), dtype if column.member is None else np.dtype([(column.member, dtype)]))
    with pool.dataset(path, column.path) as dataset:
        plist = dataset.id.get_create_plist()
        if plist.fill_value_defined() == h5d.FILL_VALUE_USER_DEFINED:
            try:
                plist.get_fill_value(fill)
            except (OSError, TypeError, ValueError):
                return None  # of a type that HDF5 does not convert, such as bit fields
    return fill if column.member is None else fill[column.member]
