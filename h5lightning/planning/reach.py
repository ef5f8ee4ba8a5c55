"""Which rows of a series start samples, and which rows around its first one a sample needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import numpy as np

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.options import Samples, Whole, Windows
from h5lightning.planning.fields import Fields, RowField

__all__ = ["Reach", "WholeReach", "WindowReach", "joined_reach", "reach_of", "reach_of_units", "reach_text"]


@dataclass(frozen=True, slots=True, eq=False)
class WindowReach:
    """Samples that start at every ``stride``-th row: a sample at row r needs the rows r − before to r + after.

    Without padding, these rows lie in the series, and the first sample is the first one of which this is true. With
    padding, the first row starts the first sample. ``before``, ``after`` and ``after_end`` are one number, or one for
    each series where series differ, ``(series,)``.

    Args:
        stride: rows from the start of one sample to the next.
        before: rows that a sample needs before its first row.
        after: rows that a sample needs after its first row.
        after_end: as ``after``, of the rows that all fields have: at the end of a series, some fields may go on.
        pad: what stands for rows that are not there: ``edge`` or ``zero``; None if they must be there.
    """

    stride: int = 1
    before: int | Int64Array = 0
    after: int | Int64Array = 0
    after_end: int | Int64Array = 0
    pad: str | None = None

    @property
    def first(self) -> int | Int64Array:
        """The row that starts the first sample of each series."""
        return self.before if self.pad is None else 0

    @property
    def span_rows(self) -> int:
        """Rows from the first to the last row that a sample needs, both included; the most of all series."""
        return int(np.max(self.before, initial=0) + np.max(self.after, initial=0)) + 1

    def is_of(self, samples: Samples) -> bool:
        """Whether the rows that samples need are those that ``samples`` says."""
        own = samples.span_rows - 1 if isinstance(samples, Windows) else 0
        return not np.any(self.before) and not np.any(self.after != own)

    def of(self, series: Int64Array) -> WindowReach:
        """The reach in some series; of those of some units, given by their numbers."""
        before, after, after_end = (
            rows if isinstance(rows, int) else rows[series]
            for rows in (self.before, self.after, self.after_end)
        )
        return replace(self, before=before, after=after, after_end=after_end)

    def counts(self, rows: Int64Array) -> Int64Array:
        """Samples of each series, which has so many rows; none in one that is shorter than what a sample needs."""
        if self.pad is not None:
            return -(-rows // self.stride)
        fit: Int64Array = (rows - 1 - self.before - self.after_end) // self.stride + 1
        return np.maximum(fit, 0)

    def numbers_within(
        self, starts: Int64Array, stops: Int64Array, rows: Int64Array
    ) -> tuple[Int64Array, Int64Array]:
        """The samples of each series that need no rows but those of one segment of it.

        Args:
            starts: first row of each segment, ``(series,)``.
            stops: one past the last row of each segment.
            rows: rows of each series.

        Returns:
            The number of the first of them in its series, and one past that of the last one, which may be less if
            there is none; with padding, of those that start in the segment.
        """
        first: Int64Array = -(-starts // self.stride)
        if self.pad is not None:
            return first, -(-stops // self.stride)
        after = np.where(stops == rows, self.after_end, self.after)
        return first, (stops - 1 - self.before - after) // self.stride + 1


@dataclass(frozen=True, slots=True, eq=False)
class WholeReach:
    """Each series that has rows is one sample."""

    stride: ClassVar[int] = 1
    first: ClassVar[int] = 0
    span_rows: ClassVar[int] = 1
    pad: ClassVar[None] = None

    def of(self, series: Int64Array) -> WholeReach:  # noqa: ARG002
        """The reach in some series."""
        return self

    def counts(self, rows: Int64Array) -> Int64Array:
        """Samples of each series, which has so many rows."""
        return (rows > 0).astype(np.int64)

    def numbers_within(
        self, starts: Int64Array, stops: Int64Array, rows: Int64Array
    ) -> tuple[Int64Array, Int64Array]:
        """The samples of each series that lie in one segment of it; see `WindowReach.numbers_within`."""
        is_complete = (starts == 0) & (stops == rows) & (stops > 0)
        return starts, is_complete.astype(np.int64)


class Reach(Protocol):
    """Which rows start samples, and which rows a sample needs; see `WindowReach`."""

    @property
    def pad(self) -> str | None:
        """What stands for rows that are not there: ``edge`` or ``zero``; None if they must be there."""

    @property
    def stride(self) -> int:
        """Rows from the start of one sample to the next."""

    @property
    def first(self) -> int | Int64Array:
        """The row that starts the first sample of each series."""

    @property
    def span_rows(self) -> int:
        """Rows from the first to the last row that a sample needs, both included."""

    def of(self, series: Int64Array) -> Reach:
        """The reach in some series."""

    def counts(self, rows: Int64Array) -> Int64Array:
        """Samples of each series, which has so many rows."""

    def numbers_within(
        self, starts: Int64Array, stops: Int64Array, rows: Int64Array
    ) -> tuple[Int64Array, Int64Array]:
        """The samples of each series that need no rows but those of one segment of it."""


def reach_of(samples: Samples, fields: Iterable[RowField] = ()) -> Reach:
    """What samples of these fields need; ``after_end`` by unit, where units differ."""
    if isinstance(samples, Whole):
        return WholeReach()
    if not isinstance(samples, Windows):
        return WindowReach()
    before, after = 0, samples.span_rows - 1
    after_end: int | Int64Array = after
    for field in fields:
        first, stop = field.span
        before, after = max(before, -first), max(after, stop - 1)
        after_end = _most(after_end, stop - 1 - field.extra_rows)
    return WindowReach(samples.stride_rows, before, after, after_end, samples.pad)


def reach_of_units(
    samples: Samples, fields: Fields, others: Fields | None, other_units: Int64Array | None
) -> Reach:
    """What samples need, by unit where units differ: some of them may have other fields, or lack some."""
    first = reach_of(samples, fields.row_fields)
    if others is None or other_units is None or not isinstance(first, WindowReach):
        return first
    second = reach_of(samples, others.row_fields)
    is_other = np.zeros(len(fields.rows), np.bool_)
    is_other[other_units] = True
    return joined_reach(first, second, is_other)


def joined_reach(first: Reach, second: Reach, is_second: BoolArray) -> Reach:
    """What samples of units need of which some have other fields; ``is_second`` says which, ``(units,)``."""
    if not isinstance(first, WindowReach) or not isinstance(second, WindowReach):
        return first
    before, after, after_end = (
        one if isinstance(one, int) and isinstance(two, int) and one == two else np.where(is_second, two, one)
        for one, two in (
            (first.before, second.before),
            (first.after, second.after),
            (first.after_end, second.after_end),
        )
    )
    return replace(first, before=before, after=after, after_end=after_end)


def reach_text(samples: Windows, reach: Reach) -> str:
    """How many rows a window needs, for messages."""
    options = f"length={samples.rows}, dilation={samples.dilation}"
    if reach.span_rows == samples.span_rows:
        return f"a window spans {samples.span_rows} ({options})"
    return f"a window spans {reach.span_rows} ({options}, and the steps of the fields)"


def _most(first: int | Int64Array, second: int | Int64Array) -> int | Int64Array:
    return (
        max(first, second)
        if isinstance(first, int) and isinstance(second, int)
        else np.maximum(first, second)
    )
