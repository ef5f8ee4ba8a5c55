"""The index of all samples: files × series × rows, with one id for each sample.

An id counts over the whole index, a position inside one split. `SampleIndex.locate` turns ids into file, series and
row by binary search; memory is O(files + series) for any number of samples.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import Frozen, once
from h5lightning.core.sample_numbers import to_numbers
from h5lightning.core.string_table import StringTable
from h5lightning.options import Samples
from h5lightning.planning.file_runs import FileRuns
from h5lightning.planning.grid import Grid
from h5lightning.planning.reach import Reach, reach_of
from h5lightning.planning.row_filter import RowFilter

__all__ = ["Location", "SampleIndex", "SampleRanges"]


@dataclass(frozen=True, slots=True, eq=False)
class Location:
    """The location of samples; all arrays have the shape of the ids.

    Args:
        file: number of the file in the index.
        series: number of the series in the index (over all files).
        row: first row of the sample, counted in the series.
        cell: number of the cell beside this row, see `Grid`; None for samples along one axis.
    """

    file: Int64Array
    series: Int64Array
    row: Int64Array
    cell: Int64Array | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SampleRanges(Frozen):
    """Samples as ascending, disjoint ranges of ids.

    Args:
        starts: first id of each range, ``(ranges,)``.
        stops: one past the last id of each range, ``(ranges,)``.
    """

    starts: Int64Array
    stops: Int64Array

    def __post_init__(self) -> None:
        if np.any(self.starts > self.stops) or np.any(self.stops[:-1] > self.starts[1:]):
            raise ValueError("ranges of samples must ascend and be disjoint")

    def __len__(self) -> int:
        return int((self.stops - self.starts).sum())

    def normalized(self) -> SampleRanges:
        """The same samples in the fewest ranges: empty ones dropped, touching ones joined."""
        nonempty = self.stops > self.starts
        starts, stops = self.starts[nonempty], self.stops[nonempty]
        if not starts.size:
            return SampleRanges(starts, stops)
        opens = np.concatenate([[True], starts[1:] != stops[:-1]])
        closes = np.concatenate([opens[1:], [True]])
        return SampleRanges(starts[opens], stops[closes])


@dataclass(frozen=True)
class SampleIndex(Frozen):
    """All samples of a data set.

    Args:
        root: the directory that ``names`` are relative to.
        names: relative path of each file, which identifies it.
        series_file: file of each series, ``(series,)``, ascending.
        series_rows: rows of each series, ``(series,)``.
        samples: how samples lie in a series.
        series_names: the name of each series: the part of the path that a ``*`` matched, or the value of its rows;
            None for no names.
        series_unit: the unit of the catalog that each series lies in, ascending, ``(series,)``; None if the units are
            the files.
        series_start: first row of each series in its unit, ``(series,)``; None if each series is a whole unit.
        unit_texts: what the ``*`` matched in each unit, ``(units,)``; None if the units are the files.
        unit_rows: rows of each unit, ``(units,)``; None if each series is a whole unit.
        given_reach: the rows that samples need, by series where series differ, if fields need others than
            ``samples`` says; else None.
        runs: files that go on where others end, so that samples may need rows of the next file; None for none.
        first: id of the first sample: where another index of the same series ends; see `Sections`.
        grid: where windows begin along the axes beside that of the rows; None for samples along one axis.
        files_of_units: the file of each unit, ``(units,)``, where some units have no series; else None.
        numbers_in_units: the number in its unit that each series has in the file, ``(series,)``, where some series were
            left out; else None.
        filter: the rows that conditions leave out, and with them the samples that read them; None for none. Ids count
            these samples too.
    """

    root: str
    names: StringTable
    series_file: Int64Array
    series_rows: Int64Array
    samples: Samples
    series_names: StringTable | None = None
    series_unit: Int64Array | None = None
    series_start: Int64Array | None = None
    unit_texts: StringTable | None = None
    unit_rows: Int64Array | None = None
    given_reach: Reach | None = None
    runs: FileRuns | None = None
    first: int = 0
    grid: Grid | None = None
    files_of_units: Int64Array | None = None
    numbers_in_units: Int64Array | None = None
    filter: RowFilter | None = None

    def __post_init__(self) -> None:
        if len(self.series_file) != len(self.series_rows):
            raise ValueError(f"{len(self.series_file)} series have files, {len(self.series_rows)} have rows")
        if np.any(np.diff(self.series_file) < 0):
            raise ValueError("series must be in the order of their files")

    @once
    def reach(self) -> Reach:
        """Which rows start samples, and which rows a sample needs; by series where series differ."""
        return reach_of(self.samples) if self.given_reach is None else self.given_reach

    @once
    def series_samples(self) -> Int64Array:
        """Samples of each series, ``(series,)``; a series shorter than the window has none."""
        return self.series_starts * self.cells

    @once
    def series_starts(self) -> Int64Array:
        """Rows of each series that start samples, ``(series,)``."""
        return self.reach.counts(self.series_rows)

    @once
    def cells(self) -> int | Int64Array:
        """Samples that start at a row: 1, or one number for each series, ``(series,)``."""
        return 1 if self.grid is None else self.grid.cells[self.units]

    @once
    def first_id(self) -> Int64Array:
        """Id of the first sample of each series, ``(series + 1,)``; the last entry is one past the last id."""
        return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(self.series_samples)]) + self.first

    @once
    def first_series(self) -> Int64Array:
        """First series of each file, ``(files + 1,)``; the last entry is the number of series."""
        return np.searchsorted(self.series_file, np.arange(len(self.names) + 1))

    @once
    def file_rows(self) -> Int64Array:
        """Rows of each file over its series, ``(files,)``."""
        rows = np.zeros(len(self.names), dtype=np.int64)
        np.add.at(rows, self.series_file, self.series_rows)
        return rows

    @once
    def units(self) -> Int64Array:
        """The unit of each series, ``(series,)``, ascending."""
        return self.series_file if self.series_unit is None else self.series_unit

    @once
    def unit_files(self) -> Int64Array:
        """The file of each unit, ``(units,)``, ascending."""
        if self.files_of_units is not None:
            return self.files_of_units
        if self.series_unit is None:
            return np.arange(len(self.names))
        files = np.zeros(0 if self.unit_texts is None else len(self.unit_texts), np.int64)
        files[self.series_unit] = self.series_file
        return files

    @once
    def rows_of_units(self) -> Int64Array:
        """Rows of each unit, ``(units,)``."""
        if self.unit_rows is not None:
            return self.unit_rows
        return self.file_rows if self.series_unit is None else self.series_rows

    def __len__(self) -> int:
        return int(self.first_id[-1]) - self.first

    def path(self, file: int) -> str:
        """The current path of a file."""
        return os.path.join(self.root, self.names[file])

    def series_name(self, series: int) -> str:
        """The name of a series, or its number in its file; empty if each file is one series."""
        if self.series_names is not None:
            return self.series_names[series]
        if self.series_start is None:
            return ""
        return str(series - int(self.first_series[self.series_file[series]]))

    def where(self, series: int) -> str:
        """The series for messages: the relative path of its file, after its name if the file has several."""
        file, name = int(self.series_file[series]), self.series_name(series)
        first, stop = self.first_series[file : file + 2].tolist()
        if not name and stop - first > 1:  # a saved split does not say where series of a table begin
            name = str(series - first)
        return f"series {name!r} of {self.names[file]}" if name else self.names[file]

    def locate(self, ids: npt.ArrayLike) -> Location:
        """File, series and first row of each sample.

        Args:
            ids: ids of samples, any shape.

        Raises:
            TypeError: masks, floats, or anything else but integers.
            IndexError: an id is not in the index.
        """
        ids = to_numbers(ids, "ids", ndim=None)
        if ids.size:
            self._check_inside(ids.min(), ids.max())
        series = self.first_id.searchsorted(ids, side="right") - 1
        row, cell = ids - self.first_id[series], None
        if not isinstance(self.cells, int):
            row, cell = np.divmod(row, self.cells[series])
        if self.stride_rows > 1:
            row *= self.stride_rows
        first = self.reach.first
        if not isinstance(first, int):
            row += first[series]
        elif first:
            row += first
        return Location(file=self.series_file[series], series=series, row=row, cell=cell)

    def starts(self, where: Location) -> Int64Array:
        """The first entry of samples along each axis of a window, ``(N, axes)``: the row, then the other ones."""
        row = where.row[:, None]
        if self.grid is None or where.cell is None:
            return row
        return np.concatenate([row, self.grid.starts(self.units[where.series], where.cell)], axis=1)

    def locate_in_units(self, ids: Int64Array) -> tuple[Int64Array, Int64Array]:
        """The unit of each sample, and its first row there, ``(N,)`` each; errors as `locate`."""
        where = self.locate(ids)
        rows = where.row if self.series_start is None else where.row + self.series_start[where.series]
        return self.units[where.series], rows

    def locate_ascending(
        self, ids: Int64Array
    ) -> tuple[Int64Array, Int64Array, Int64Array, Int64Array | None]:
        """The units of ascending ids, where the samples of each unit begin, and the first row of each sample.

        Args:
            ids: ids of samples, ascending, ``(N,)``.

        Returns:
            The units, each once, ``(units,)``; their first samples, and the end of the last ones, ``(units + 1,)``; the
            rows, counted in their units, ``(N,)``; and the cells beside the rows, ``(N,)``, or None, see `Location`.

        Raises:
            IndexError: an id is not in the index.
        """
        if not ids.size:
            return np.zeros(0, np.int64), np.zeros(1, np.int64), ids, None if self.grid is None else ids
        self._check_inside(ids[0], ids[-1])
        series, borders = self._series_of(ids)
        sizes = borders[1:] - borders[:-1]
        rows, cells = ids - self.first_id[series].repeat(sizes), None
        if not isinstance(self.cells, int):
            rows, cells = np.divmod(rows, self.cells[series].repeat(sizes))
        if self.stride_rows > 1:
            rows *= self.stride_rows
        first = self._first_rows_in_units
        if not isinstance(first, int):
            rows += first[series].repeat(sizes)
        elif first:
            rows += first
        units = self.units[series]
        is_first = units[1:] != units[:-1]
        if not is_first.all():
            is_first = np.concatenate([[True], is_first])
            units, borders = units[is_first], np.concatenate([borders[:-1][is_first], borders[-1:]])
        return units, borders, rows, cells

    @once
    def _first_rows_in_units(self) -> int | Int64Array:
        """The row of the first sample of each series, counted in its unit: one number, or ``(series,)``."""
        return self.reach.first if self.series_start is None else self.series_start + self.reach.first

    def _check_inside(self, least: np.int64, most: np.int64) -> None:
        stop = self.first_id[-1]
        if least < self.first or most >= stop:
            raise IndexError(f"sample ids must lie in [{self.first}, {stop}), found {least}..{most}")

    def _series_of(self, ids: Int64Array) -> tuple[Int64Array, Int64Array]:
        """The series of ascending ids, each once, ``(K,)``, and where the ids of each begin, ``(K + 1,)``."""
        first_id = self.first_id
        if len(first_id) <= len(ids):
            borders = ids.searchsorted(first_id)
            series = np.flatnonzero(borders[1:] != borders[:-1])
            return series, np.concatenate([borders[series], borders[-1:]])
        each = first_id.searchsorted(ids, side="right") - 1
        starts = np.flatnonzero(each[1:] != each[:-1]) + 1
        borders = np.concatenate([[0], starts, [len(ids)]])
        return each[borders[:-1]], borders

    def ranges_within(self, series: Int64Array, starts: Int64Array, stops: Int64Array) -> SampleRanges:
        """The samples that lie in one segment of a series each.

        Args:
            series: series of each segment, ascending, ``(segments,)``.
            starts: first row of each segment, counted in its series.
            stops: one past the last row of each segment.
        """
        first, stop = self.starts_within(series, starts, stops)
        if not isinstance(self.cells, int):
            first, stop = first * self.cells[series], stop * self.cells[series]
        base = self.first_id[series]
        return SampleRanges(base + first, base + stop)

    def starts_within(
        self, series: Int64Array, starts: Int64Array, stops: Int64Array
    ) -> tuple[Int64Array, Int64Array]:
        """The rows that start the samples of one segment of a series each; the arguments are those of `ranges_within`.

        Returns:
            The number of the first of them, among those that start samples of its series, and one past the last one.
        """
        first, stop = self.reach.of(series).numbers_within(starts, stops, self.series_rows[series])
        # Without this limit, ids of the next series would follow the last sample of a series.
        first = np.minimum(first, self.series_starts[series])
        return first, np.maximum(stop, first)

    @property
    def stride_rows(self) -> int:
        """Rows from the start of one sample to the start of the next of its series."""
        return self.reach.stride
