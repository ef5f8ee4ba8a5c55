"""Kinds of row numbers: which rows of a dataset hold what a located sample needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol

from h5lightning.core.arrays import Int64Array

__all__ = ["IN_SERIES", "IN_TRAJECTORIES", "IN_UNIT", "OF_SERIES", "LocatedRows", "RowNumbers"]


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


IN_UNIT = _InUnit()
IN_TRAJECTORIES = _InUnit(2)  # an axis of series, then the axis of their rows
IN_SERIES = _InSeries()  # shared by all series of a unit: a row for each row of a series
OF_SERIES = _OfSeries()  # a row for each series
