"""Names for places in the data: series, samples, and parts of series."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy.typing as npt

__all__ = ["Array", "OneSeries", "Part", "Sample"]

Array: TypeAlias = npt.NDArray[Any]
Part: TypeAlias = tuple[int, int]  # first row and one past the last row in a series


class OneSeries(NamedTuple):
    """One series.

    Args:
        file: number of its file.
        text: what the ``*`` matched.
        name: as `locate` says it.
        entry: its entry along the leading axis.
        start: its first row in its file or match.
        rows: how many it has.
    """

    file: int
    text: str
    name: str
    entry: int | None
    start: int
    rows: int


class Sample(NamedTuple):
    """Where a sample lies.

    Args:
        series: number of its series.
        row: its first row there.
        others: where it begins along the other axes of a window.
    """

    series: int
    row: int
    others: tuple[int, ...] = ()

    @property
    def start(self) -> tuple[int, ...]:
        """The first position along each axis of the window."""
        return (self.row, *self.others)
