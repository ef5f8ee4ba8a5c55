"""Where a sample is stored."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["SampleLocation"]


class _FileSeriesRow(NamedTuple):
    file: str
    series: str
    row: int


class SampleLocation(_FileSeriesRow):
    """Where a sample is stored.

    Args:
        file: path of the file.
        series: the name of the series, the part of the path that holds the ``*``, such as ``demo_3``; the number of the
            series in its file where series have no names; empty if each file is one series.
        row: first row of the sample, counted in its series.
    """

    _others: tuple[int, ...] = ()

    @classmethod
    def of(cls, file: str, series: str, start: tuple[int, ...]) -> SampleLocation:
        """The location of a sample that begins at a position along each axis of its window."""
        location = cls(file, series, start[0])
        location._others = start[1:]
        return location

    def __repr__(self) -> str:
        start = f", start={self.start}" if self._others else ""
        return f"SampleLocation(file={self.file!r}, series={self.series!r}, row={self.row}{start})"

    @property
    def start(self) -> tuple[int, ...]:
        """The first position of the sample along each axis of its window; `row` is the first of them."""
        return (self.row, *self._others)
