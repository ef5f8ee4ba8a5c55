"""Rows along two leading axes: numbered one trajectory after the other, and stored in the order of the chunks.

Row ``i * T + t`` of data of shape ``(n, T, …)`` is time ``t`` of trajectory ``i``. In the file, the rows of a chunk lie
together. They have numbers of their own, their *places*, as if the dataset had one leading axis and as many rows in
each chunk as chunks have room for: so all that reads chunks along one axis reads these chunks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.storage.readers.protocol import ReadRequest
from h5lightning.storage.readers.row_group import RowGroup
from h5lightning.storage.readers.row_writer import RowWriter

__all__ = ["LeadingAxes", "LeadingRows", "trajectory_parts"]

_LONG = 1 << 40  # longer than any axis whose rows are read


@dataclass(frozen=True, slots=True)
class LeadingAxes:
    """The chunks of a dataset along its two leading axes.

    Args:
        shape: trajectories, and rows of each.
        chunks: trajectories of a chunk, and rows that it has of each.
    """

    shape: tuple[int, int]
    chunks: tuple[int, int]

    @classmethod
    def of(cls, shape: tuple[int, ...], chunks: tuple[int, ...]) -> LeadingAxes:
        """Those of a dataset with such chunks."""
        return cls((shape[0], shape[1]), (chunks[0], chunks[1]))

    @property
    def rows(self) -> int:
        """Rows over all trajectories."""
        return math.prod(self.shape)

    @property
    def grid(self) -> tuple[int, int]:
        """Chunks along both axes."""
        return -(-self.shape[0] // self.chunks[0]), -(-self.shape[1] // self.chunks[1])

    @property
    def chunk_rows(self) -> int:
        """Rows that a chunk has room for."""
        return math.prod(self.chunks)

    @property
    def places(self) -> int:
        """Rows that all chunks have room for."""
        return math.prod(self.grid) * self.chunk_rows

    @property
    def is_in_order(self) -> bool:
        """Whether the place of each row is its number."""
        trajectories, steps = self.chunks
        return not self.rows or steps == self.shape[1] or (trajectories == 1 and self.shape[1] % steps == 0)

    def places_of(self, rows: Int64Array) -> Int64Array:
        """The places of some rows, ``(N,)``."""
        if self.is_in_order:
            return rows
        return _AxesOfMany([self]).places_of(np.zeros(len(rows), np.int64), rows)

    def box_of(self, number: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """The first trajectory and row of a chunk of the grid, and how many it has of both."""
        row, column = divmod(number, self.grid[1])
        first = row * self.chunks[0], column * self.chunks[1]
        return first, (
            min(self.chunks[0], self.shape[0] - first[0]),
            min(self.chunks[1], self.shape[1] - first[1]),
        )


class _AxesOfMany:
    """The leading axes of several datasets; None for one that has one leading axis, or whose rows are in order."""

    def __init__(self, axes: Sequence[LeadingAxes | None]) -> None:
        of_each = [
            (_LONG, 1, 1, _LONG)
            if one is None or one.is_in_order
            else (one.shape[1], one.grid[1], *one.chunks)
            for one in axes
        ]
        self._length, self._columns, self._tall, self._wide = np.asarray(of_each, np.int64).T

    def places_of(self, datasets: Int64Array, rows: Int64Array) -> Int64Array:
        """The places of rows of some of the datasets, ``(N,)``."""
        trajectories, steps = np.divmod(rows, self._length[datasets])
        tall, wide = self._tall[datasets], self._wide[datasets]
        chunk_rows, within_tall = np.divmod(trajectories, tall)
        chunk_columns, within_wide = np.divmod(steps, wide)
        chunks = chunk_rows * self._columns[datasets] + chunk_columns
        places: Int64Array = (chunks * tall + within_tall) * wide + within_wide
        return places

    def fit(self, datasets: Int64Array, rows: Int64Array, run: int) -> BoolArray:
        """Whether each of some runs of rows is one of places, ``(N,)``."""
        wide = self._wide[datasets]
        fits: BoolArray = rows % self._length[datasets] % wide + run <= wide
        return fits


class LeadingRows(RowGroup):
    """Rows of datasets some of which have two leading axes; see `RowGroup`.

    Args:
        rows: reads their places.
        axes: the leading axes of each dataset; None if it has one.
    """

    def __init__(self, rows: RowGroup, axes: Sequence[LeadingAxes | None]) -> None:
        self._rows = rows
        self._axes = _AxesOfMany(axes)

    def keeps(self, rows: int) -> bool:
        """See `RowGroup.keeps`."""
        return self._rows.keeps(rows)

    def divided(self, request: ReadRequest) -> ReadRequest:
        """The request for places; see `RowGroup.divided`."""
        datasets = np.arange(len(request.borders) - 1).repeat(request.sizes)
        if request.run > 1 and not self._axes.fit(datasets, request.rows, request.run).all():
            request = request.by_row()
            datasets = np.arange(len(request.borders) - 1).repeat(request.sizes)
        return self._rows.divided(replace(request, rows=self._axes.places_of(datasets, request.rows)))

    def put(self, request: ReadRequest, to: RowWriter) -> None:
        """Deliver rows, given by their places; see `RowGroup.put`."""
        self._rows.put(request, to)


def trajectory_parts(start: int, stop: int, length: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """The boxes that a range of rows is made of, in order: first trajectory and row, and how many of both.

    Args:
        start: the first row.
        stop: one past the last row.
        length: rows of a trajectory.

    Example:
        >>> list(trajectory_parts(3, 17, 5))
        [((0, 3), (1, 2)), ((1, 0), (2, 5)), ((3, 0), (1, 2))]
    """
    while start < stop:
        trajectory, step = divmod(start, length)
        count = (stop - start) // length if step == 0 else 0
        size = (count, length) if count else (1, min(length - step, stop - start))
        yield (trajectory, step), size
        start += size[0] * size[1]
