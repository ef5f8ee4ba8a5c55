"""Where windows along several axes begin: the cells of a grid beside each row that starts windows.

Rows lie along the first axis of a window. Along the other ones, each unit has as many cells as its lengths allow. The
samples of a series are numbered row after row, and the cells of a row like the elements of an array: the last axis
fastest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import Frozen, once
from h5lightning.options import Samples, Windows

__all__ = ["Grid", "covered"]


@dataclass(frozen=True, eq=False)
class Grid(Frozen):
    """The cells of windows along the axes beside that of the rows.

    Args:
        lengths: entries of each unit along each of these axes, ``(units, axes)``.
        windows: entries of a window along each axis.
        strides: entries from the start of one window to that of the next one.
        is_padded: whether windows may reach beyond the end of an axis.
    """

    lengths: Int64Array
    windows: tuple[int, ...]
    strides: tuple[int, ...]
    is_padded: bool = False

    @classmethod
    def of(cls, samples: Samples, lengths: Int64Array | None) -> Grid | None:
        """The grid of samples in units of such lengths; None for samples along one axis."""
        if not isinstance(samples, Windows) or len(samples.axes) < 2 or lengths is None:
            return None
        return cls(lengths, samples.lengths[1:], samples.strides[1:], samples.pad is not None)

    @property
    def axes(self) -> int:
        """How many axes there are."""
        return len(self.windows)

    @once
    def counts(self) -> Int64Array:
        """Cells of each unit along each axis, ``(units, axes)``; 0 where windows are longer than the axis."""
        starts = self.lengths if self.is_padded else self.lengths - np.asarray(self.windows) + 1
        counts: Int64Array = -(-starts // np.asarray(self.strides))
        return np.maximum(counts, 0)

    @once
    def cells(self) -> Int64Array:
        """Cells of each unit, ``(units,)``."""
        cells: Int64Array = self.counts.prod(axis=1)
        return cells

    def starts(self, units: Int64Array, cells: Int64Array) -> Int64Array:
        """Where the windows of some cells begin along each axis, ``(N, axes)``.

        Args:
            units: the unit of each, ``(N,)``.
            cells: the number of each in its unit, ``(N,)``.
        """
        starts = np.empty((len(cells), self.axes), np.int64)
        rest = cells
        for axis in reversed(range(self.axes)):
            rest, starts[:, axis] = np.divmod(rest, self.counts[units, axis])
        starts *= np.asarray(self.strides)
        return starts

    def most_shifts(self, units: Int64Array, starts: Int64Array) -> Int64Array:
        """By how much less than a stride each window can be moved so that it still fits, ``(N, axes)``."""
        last = self.lengths[units] - (1 if self.is_padded else np.asarray(self.windows))
        most: Int64Array = np.minimum(np.asarray(self.strides) - 1, last - starts)
        return most

    @once
    def covered(self) -> Int64Array:
        """Entries of each unit that lie in a window, along each axis, ``(units, axes)``."""
        return covered(self.counts, np.asarray(self.strides), np.asarray(self.windows), self.lengths)

    def text(self, unit: int) -> str:
        """The lengths of a unit and those of a window, for messages."""
        lengths = " × ".join(map(str, self.lengths[unit].tolist()))
        return f"{lengths} entries beside the axis of rows, where windows need {' × '.join(map(str, self.windows))}"


def covered(
    counts: Int64Array, stride: int | Int64Array, span: int | Int64Array, length: Int64Array
) -> Int64Array:
    """How many of so many entries lie in windows that begin at every ``stride``-th of them; arrays of one shape."""
    # Windows that do not touch leave gaps, and the last one may reach beyond the end.
    last = np.minimum(span, length - (counts - 1) * stride)
    entries: Int64Array = np.where(counts > 0, (counts - 1) * np.minimum(stride, span) + last, 0)
    return entries
