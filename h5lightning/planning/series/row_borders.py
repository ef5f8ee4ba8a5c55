"""From a value of each row, in blocks, to the series that flags or runs of equal values divide rows into."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.core.string_table import StringTable
from h5lightning.planning.series.table_borders import BadTableError, Bounds

__all__ = ["FlagBorders", "RunBorders"]


class FlagBorders:
    """Borders after the rows in which a flag is true.

    Example:
        >>> borders = FlagBorders("dones")
        >>> borders.add(np.array([0, 0, 1]))
        >>> borders.add(np.array([0]))
        >>> FlagBorders.bounds([borders])
        (array([0, 3]), array([3, 1]), 4)
    """

    def __init__(self, table: str) -> None:
        self.table = table
        self.rows = 0
        self.stops: list[Int64Array] = []

    def add(self, flags: npt.NDArray[Any]) -> None:
        """Add the flags of the rows that follow, ``(rows,)``: bool, or 0 and 1.

        Raises:
            BadTableError: another number.
        """
        if flags.dtype != np.bool_:
            is_other = (flags != 0) & (flags != 1)
            if is_other.any():
                row = int(is_other.argmax())
                raise BadTableError(
                    f"{self.table} holds {flags[row]} in row {self.rows + row}, expected 0 or 1: flags are true in "
                    "the last row of each series. A table with a value for each series is Series(runs=…)"
                )
        self.stops.append(np.flatnonzero(flags) + (self.rows + 1))
        self.rows += len(flags)

    @staticmethod
    def bounds(flags: list[FlagBorders]) -> Bounds:
        """The series that several flags of the same rows make; a last row without a flag ends the last series.

        Raises:
            BadTableError: flags of different numbers of rows.
        """
        first = flags[0]
        if other := next((other for other in flags if other.rows != first.rows), None):
            raise BadTableError(
                f"{first.table} has {first.rows} entries and {other.table} has {other.rows}: each row has one flag in "
                "all of them"
            )
        stops = [stop for each in flags for stop in each.stops]
        ends = np.unique(np.concatenate([*stops, np.asarray([first.rows][: first.rows], np.int64)]))
        starts = np.concatenate([np.zeros(min(1, len(ends)), np.int64), ends[:-1]])
        return starts, ends - starts, first.rows


class RunBorders:
    """Borders between rows of different values.

    Example:
        >>> borders = RunBorders("episode")
        >>> borders.add(np.array([7, 7, 9]))
        >>> borders.add(np.array([9, 7]))
        >>> borders.bounds(), list(borders.names())
        ((array([0, 2, 4]), array([2, 2, 1]), 5), ['7', '9', '7'])
    """

    def __init__(self, table: str) -> None:
        self.table = table
        self.rows = 0
        self._starts: list[Int64Array] = []
        self._values: list[npt.NDArray[Any]] = []
        self._last: npt.NDArray[Any] | None = None

    def add(self, values: npt.NDArray[Any]) -> None:
        """Add the values of the rows that follow, ``(rows,)``: numbers, bytes or texts.

        Raises:
            BadTableError: NaN, which equals nothing.
        """
        if values.dtype.kind == "f" and (is_nan := np.isnan(values)).any():
            raise BadTableError(
                f"{self.table} holds NaN in row {self.rows + int(is_nan.argmax())}, which equals no other value: "
                "rows of one series need one value"
            )
        if not len(values):
            return
        is_first = self._differs(values)
        begun = np.flatnonzero(is_first)
        self._starts.append(begun + self.rows)
        self._values.append(values[begun])
        self._last = values[-1:].copy()
        self.rows += len(values)

    def _differs(self, values: npt.NDArray[Any]) -> BoolArray:
        before = values[:1] != self._last if self._last is not None else np.ones(1, bool)
        return np.concatenate([before, values[1:] != values[:-1]])

    def bounds(self) -> Bounds:
        """The series."""
        starts = np.concatenate([np.zeros(0, np.int64), *self._starts])
        return starts, np.diff(starts, append=self.rows), self.rows

    def names(self) -> StringTable:
        """The value of each series, which further series may share."""
        if not self._values:
            return StringTable.of(())
        return StringTable.of_bytes(_encoded(np.concatenate(self._values)))


def _encoded(values: npt.NDArray[Any]) -> npt.NDArray[np.bytes_]:
    """Values as UTF-8, ``(series,)``."""
    if values.dtype.kind == "S":
        return values
    if values.dtype.kind == "O":
        values = np.asarray(
            [
                v if isinstance(v, bytes) else str(v).encode("utf-8", "surrogateescape")
                for v in values.tolist()
            ]
        )
        return values.astype("S")
    if values.dtype.kind == "b":
        values = values.astype(np.uint8)
    if values.dtype.kind == "f":
        return np.asarray([repr(value) for value in values.tolist()], "S")
    return values.astype("S21")
