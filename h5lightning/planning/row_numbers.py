"""Kinds of row numbers: which rows of a dataset hold what a located sample needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from h5lightning.core.arrays import Int64Array
from h5lightning.planning.catalog.row_index import RowIndex

__all__ = [
    "IN_SERIES",
    "IN_TRAJECTORIES",
    "IN_UNIT",
    "OF_SERIES",
    "AlongAxes",
    "LocatedRows",
    "OfEntries",
    "RowNumbers",
]


class LocatedRows(Protocol):
    """Samples of a batch, sorted by unit and row; all arrays ``(N,)``."""

    @property
    def rows(self) -> Int64Array:
        """The first row of each sample in its unit."""

    @property
    def series_starts(self) -> Int64Array:
        """The first row in its unit of the series of each sample."""

    @property
    def series_numbers(self) -> Int64Array:
        """The number in its unit of the series of each sample."""

    @property
    def sample_units(self) -> Int64Array:
        """The unit of each sample."""


@dataclass(frozen=True)
class RowNumbers(ABC):
    """How the rows of a dataset are numbered; each kind is a subclass.

    Args:
        leading: how many leading axes make the rows: row ``i * T + t`` of two axes ``(n, T)``.
    """

    leading: int = 1
    is_in_unit: ClassVar[bool] = (
        False  # whether a row of the dataset is the row of the unit of the same number
    )

    @property
    def row_axes(self) -> tuple[int, ...]:
        """The axes of the dataset whose lengths, multiplied, are its rows."""
        return tuple(range(self.leading))

    @property
    def free_axes(self) -> tuple[int, ...]:
        """The axes whose lengths may differ between units."""
        return self.row_axes

    @abstractmethod
    def first_rows(self, located: LocatedRows) -> Int64Array:
        """The row of the dataset that is the first row of each sample, ``(N,)``."""


class _InUnit(RowNumbers):
    is_in_unit = True

    def first_rows(self, located: LocatedRows) -> Int64Array:
        return located.rows


class _InSeries(RowNumbers):
    def first_rows(self, located: LocatedRows) -> Int64Array:
        return located.rows - located.series_starts


class _OfSeries(RowNumbers):
    def first_rows(self, located: LocatedRows) -> Int64Array:
        return located.series_numbers


@dataclass(frozen=True)
class AlongAxes(_InUnit):
    """Rows along another axis than the leading ones, and windows along several axes: a sample is a box.

    Args:
        leading: 1.
        axes: the axes of windows in the dataset; rows lie along the first one.
        series_axis: the axis whose entries are series; None if a unit has one along no axis.
    """

    axes: tuple[int, ...] = (0,)
    series_axis: int | None = None

    @property
    def row_axes(self) -> tuple[int, ...]:
        """The axes whose lengths, multiplied, are the rows: that of series, and that of their rows."""
        return self.axes[:1] if self.series_axis is None else (self.series_axis, self.axes[0])

    @property
    def free_axes(self) -> tuple[int, ...]:
        """The axes whose lengths may differ between units."""
        return self.axes if self.series_axis is None else (self.series_axis, *self.axes)

    def first_rows(self, located: LocatedRows) -> Int64Array:
        """The entry along the axis of rows at which each sample begins, ``(N,)``."""
        return located.rows if self.series_axis is None else located.rows - located.series_starts


@dataclass(frozen=True, eq=False)
class OfEntries(RowNumbers):
    """A row is an entry of an index: a run of rows of the dataset.

    Args:
        index: where the entries of each unit begin.
    """

    index: RowIndex = field(kw_only=True)

    def entries(self, located: LocatedRows) -> Int64Array:
        """The position of the entry of each sample in the index, ``(N,)``."""
        entries: Int64Array = self.index.first[located.sample_units] + located.rows
        return entries

    def first_rows(self, located: LocatedRows) -> Int64Array:
        """The row of the dataset that is the first one of each sample's entry, ``(N,)``."""
        return self.index.starts[self.entries(located)]


IN_UNIT = _InUnit()
IN_TRAJECTORIES = _InUnit(2)  # an axis of series, then the axis of their rows
IN_SERIES = _InSeries()  # shared by all series of a unit: a row for each row of a series
OF_SERIES = _OfSeries()  # a row for each series
