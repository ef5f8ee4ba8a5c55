"""When the chunks of an epoch are needed: first, and last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.planning.index import SampleIndex

Shifts = Callable[[Int64Array], Int64Array]

__all__ = ["ChunkLayout", "ChunkNeeds", "NeededChunks"]


@dataclass(frozen=True, slots=True, eq=False)
class ChunkLayout:
    """How the chunks of one field are decoded.

    Args:
        chunk_rows: rows that are decoded together, for each unit, ``(units,)``; 1 where a row is read alone.
        row_bytes: decoded bytes of one row.
        span: first row that a sample needs, counted from its own first row, and one past the last.
    """

    chunk_rows: Int64Array
    row_bytes: int
    span: tuple[int, int] = (0, 1)

    def joined(self, other: ChunkLayout) -> ChunkLayout:
        """The layout of one column of which two fields need rows."""
        span = min(self.span[0], other.span[0]), max(self.span[1], other.span[1])
        return replace(self, span=span)

    def total_bytes(self, unit_rows: Int64Array) -> int:
        """Decoded bytes of all chunk rows, in units of so many rows, ``(units,)``."""
        rows = -(-unit_rows // self.chunk_rows) * self.chunk_rows
        return int(rows[self.chunk_rows > 1].sum()) * self.row_bytes

    def decoded_rows(self, unit_rows: Int64Array, batch_size: int) -> float:
        """Rows that are decoded for each row of a batch of random rows, of which none was decoded before."""
        chunks = max(1, int((-(-unit_rows // self.chunk_rows)).sum()))
        touched = chunks * (1 - (1 - 1 / chunks) ** batch_size)
        return float(touched / batch_size * self.chunk_rows.mean())

    def offsets(self) -> Int64Array:
        """Rows of a sample that lie in all chunk rows that it needs, counted from its first row, ``(n,)``."""
        start, stop = self.span
        shortest = int(self.chunk_rows[self.chunk_rows > 1].min(initial=max(1, stop - start)))
        return np.append(np.arange(start, stop - 1, shortest), stop - 1)


@dataclass(frozen=True, slots=True, eq=False)
class NeededChunks:
    """Chunk rows in the order in which they are first needed.

    Args:
        due: number in the epoch of the first sample that needs each, ``(n,)``.
        ids: the id of this sample, ``(n,)``.
        numbers: numbers of the chunk rows over all files and fields, ``(n,)``.
        sizes: their decoded bytes, ``(n,)``.
    """

    due: Int64Array
    ids: Int64Array
    numbers: Int64Array
    sizes: Int64Array

    @classmethod
    def none(cls) -> NeededChunks:
        """No chunk row."""
        nothing = np.zeros(0, np.int64)
        return cls(nothing, nothing, nothing, nothing)

    def __len__(self) -> int:
        return len(self.due)

    def __getitem__(self, which: slice | BoolArray | Int64Array) -> NeededChunks:
        """Some of them."""
        return NeededChunks(self.due[which], self.ids[which], self.numbers[which], self.sizes[which])

    def __add__(self, other: NeededChunks) -> NeededChunks:
        """These, and then others."""
        return NeededChunks(
            np.concatenate([self.due, other.due]),
            np.concatenate([self.ids, other.ids]),
            np.concatenate([self.numbers, other.numbers]),
            np.concatenate([self.sizes, other.sizes]),
        )


class ChunkNeeds:
    """The chunk rows that the samples of an epoch need, as far as the epoch was looked at; for one thread.

    Args:
        index: all samples.
        layouts: the fields whose chunks are decoded.
        shifts: ids of samples → rows from the start of the cell of each to its drawn start; None where none is drawn.
    """

    def __init__(
        self, index: SampleIndex, layouts: Sequence[ChunkLayout], shifts: Shifts | None = None
    ) -> None:
        self._index = index
        self._shifts = shifts
        self._layouts = layouts
        self._firsts: list[Int64Array] = []  # the number of the first chunk row of each unit, for each field
        first = 0
        for layout in layouts:
            counts = -(-index.rows_of_units // layout.chunk_rows) * (layout.chunk_rows > 1)
            self._firsts.append(first + np.cumsum(counts) - counts)
            first += int(counts.sum())
        # The last sample that needs each chunk row; -1 for none. The last entry stands for rows that are read alone.
        self._last = np.full(first + 1, -1, np.int64)
        self.looked = 0  # samples

    def look(self, ids: Int64Array) -> NeededChunks:
        """The chunk rows that no sample before needed.

        Args:
            ids: the next samples of the epoch, ``(N,)``.
        """
        units, rows = self._index.locate_in_units(ids)
        if self._shifts is not None:
            rows = rows + self._shifts(ids)
        due = np.arange(self.looked, self.looked + len(ids))
        self.looked += len(ids)
        found = NeededChunks.none()
        for layout, first in zip(self._layouts, self._firsts, strict=True):
            offsets = layout.offsets()
            of_rows, needed = self._needed(units, rows[:, None] + offsets)
            heights = layout.chunk_rows[of_rows]
            numbers = first[of_rows] + needed // heights
            numbers = np.where(heights > 1, numbers, -1).ravel()  # sample after sample
            new = self._new(numbers)
            self._last[numbers] = due.repeat(len(offsets))
            which = new // len(offsets)
            sizes = heights.ravel()[new] * layout.row_bytes
            found += NeededChunks(due[which], ids[which], numbers[new], sizes)
        return found[np.argsort(found.due, kind="stable")]

    def _needed(self, units: Int64Array, rows: Int64Array) -> tuple[Int64Array, Int64Array]:
        """The unit of each row that samples need, and the row there, ``(N, offsets)`` each; padding is at borders.

        Args:
            units: the unit of each sample, ``(N,)``.
            rows: the rows, counted in this unit, ``(N, offsets)``.
        """
        runs = self._index.runs
        of_rows: Int64Array = units[:, None].repeat(rows.shape[1], axis=1)
        if runs is None:
            return of_rows, rows.clip(0, self._index.rows_of_units[units][:, None] - 1)
        start, last = runs.start[units][:, None], runs.run_rows[runs.run[units]][:, None] - 1
        found, inside = runs.locate(of_rows.ravel(), rows.clip(-start, last - start).ravel())
        return found.reshape(rows.shape), inside.reshape(rows.shape)

    def _new(self, numbers: Int64Array) -> Int64Array:
        """Where numbers of chunk rows come for the first time, ``(n,)``."""
        new = np.flatnonzero((self._last[numbers] < 0) & (numbers >= 0))
        return new[np.unique(numbers[new], return_index=True)[1]]

    def still_needed(self, chunks: NeededChunks, sample: int) -> NeededChunks:
        """Those of some chunk rows that a sample needs which is not before the given one."""
        return chunks[self._last[chunks.numbers] >= sample]
