"""The order of an epoch: position → sample, computed and not stored.

An order is a function of (seed, epoch) and of the options alone: never of the number of ranks, workers or
threads. Positions are those of one split, ids are not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from h5lightning.index import SampleIndex
from h5lightning.options import Shuffle
from h5lightning.permutation import KeyedPermutation, derive_key
from h5lightning.ragged import flat_positions
from h5lightning.selection import Selection

__all__ = ["BlockOrder", "FullOrder", "Order", "PathOrder", "RowLayout", "make_order"]

Int64Array = npt.NDArray[np.int64]
_EpochPlan = tuple[Int64Array, Int64Array, Int64Array]


class Order(Protocol):
    """A bijection of the positions of a split, another one for each epoch."""

    @property
    def size(self) -> int:
        """Number of samples."""

    def samples(self, epoch: int, positions: Int64Array) -> Int64Array:
        """The samples, ``(N,)`` in [0, size), at the positions, ``(N,)``, of an epoch."""


@dataclass(frozen=True, slots=True)
class PathOrder:
    """File after file, row after row, the same in each epoch."""

    size: int

    def samples(self, epoch: int, positions: Int64Array) -> Int64Array:  # noqa: ARG002 - same in each epoch
        """The positions themselves."""
        return positions


@dataclass(frozen=True, slots=True)
class FullOrder:
    """A permutation of all samples: best where a row can be read alone."""

    size: int
    seed: int

    def samples(self, epoch: int, positions: Int64Array) -> Int64Array:
        """The samples at the positions of an epoch; O(1) for each."""
        return KeyedPermutation(self.size, derive_key("full order", self.seed, epoch))(positions)


@dataclass(frozen=True, eq=False)
class BlockOrder:
    """Blocks (the rows of a chunk) in random order, mixed completely inside windows of blocks.

    Args:
        starts: first sample of each block and the number of samples at the end, ``(blocks + 1,)``.
        window_samples: samples that are mixed with each other, give or take a block: a window holds whole blocks.
        seed: the seed of the order.
    """

    starts: Int64Array
    window_samples: int
    seed: int

    @property
    def size(self) -> int:
        """Number of samples."""
        return int(self.starts[-1])

    def samples(self, epoch: int, positions: Int64Array) -> Int64Array:
        """The samples at the positions of an epoch."""
        blocks, ends, windows = self._epoch(epoch)
        mixed = np.empty_like(positions)
        window = np.searchsorted(windows, positions, side="right") - 1
        for number in np.unique(window).tolist():
            inside = window == number
            first, stop = int(windows[number]), int(windows[number + 1])
            mix = KeyedPermutation(stop - first, derive_key("block window", self.seed, epoch, number))
            mixed[inside] = first + mix(positions[inside] - first)
        place = np.searchsorted(ends, mixed, side="right")
        offset = mixed - (ends[place] - self._lengths[blocks[place]])
        return self.starts[blocks[place]] + offset

    def _epoch(self, epoch: int) -> _EpochPlan:
        """The plan of an epoch; the last one is kept, since a sampler asks for it again and again."""
        plan = self._kept.get(epoch)
        if plan is None:
            plan = self._plan(epoch)
            self._kept.clear()
            self._kept[epoch] = plan
        return plan

    def _plan(self, epoch: int) -> _EpochPlan:
        """The blocks of an epoch in order, where each ends, and where the windows begin."""
        count = len(self.starts) - 1
        blocks = KeyedPermutation(count, derive_key("block order", self.seed, epoch))(np.arange(count))
        ends = np.cumsum(self._lengths[blocks])
        marks = np.arange(self.window_samples, self.size, self.window_samples)
        borders = ends[np.searchsorted(ends, marks)] if len(marks) else ends[:0]
        return blocks, ends, np.unique(np.concatenate([[0], borders, [self.size]]))

    @cached_property
    def _kept(self) -> dict[int, _EpochPlan]:
        return {}

    @cached_property
    def _lengths(self) -> Int64Array:
        return np.diff(self.starts)


@dataclass(frozen=True, slots=True, eq=False)
class RowLayout:
    """How the field with most bytes lies in the files.

    Args:
        chunk_rows: rows that are decoded together, for each file, ``(files,)``; 1 where a row can be read alone.
        row_bytes: decoded bytes of one row over all fields.
    """

    chunk_rows: Int64Array
    row_bytes: int

    @property
    def is_read_by_row(self) -> bool:
        """Whether each row can be read without decoding others."""
        return bool((self.chunk_rows <= 1).all())


def make_order(
    shuffle: Shuffle, selection: Selection, index: SampleIndex, layout: RowLayout, *, seed: int
) -> Order:
    """The order of one split's training samples.

    Args:
        shuffle: mode and window.
        selection: the samples of the split.
        index: all samples.
        layout: what must be decoded together.
        seed: the seed of the run.
    """
    if shuffle.mode == "none":
        return PathOrder(len(selection))
    # Rows that were drawn at random lie in every chunk: there are no blocks to keep.
    is_drawn = selection.permutation_key is not None
    by_block = shuffle.mode == "block" or (shuffle.mode == "auto" and not layout.is_read_by_row)
    if not by_block or is_drawn:
        return FullOrder(len(selection), seed)
    window = max(1, shuffle.window_bytes // max(1, layout.row_bytes * index.stride_rows))
    return BlockOrder(block_starts(selection, index, layout.chunk_rows), window, seed)


def block_starts(selection: Selection, index: SampleIndex, chunk_rows: Int64Array) -> Int64Array:
    """Where a selection's blocks begin: at each series and each chunk border inside of it.

    Args:
        selection: the samples of a split, without a permutation.
        index: all samples.
        chunk_rows: rows in a block, for each file, ``(files,)``.

    Returns:
        Positions in the selection, ascending, the number of samples last, ``(blocks + 1,)``.
    """
    starts, stops, series = _by_series(selection, index)
    stride = index.stride_rows
    chunk = np.maximum(chunk_rows[index.series_file[series]], stride)  # so that a sample begins in each
    first = index.first_id[series]
    first_chunk = (starts - first) * stride // chunk
    chunks = (stops - 1 - first) * stride // chunk - first_chunk + 1
    segment = np.repeat(np.arange(len(starts)), chunks)
    border_row = flat_positions(first_chunk, chunks) * chunk[segment]
    ids = np.maximum(first[segment] - (-border_row // stride), starts[segment])
    before = np.cumsum(stops - starts) - stops
    return np.concatenate([ids + before[segment], np.asarray([len(selection)], dtype=np.int64)])


def _by_series(selection: Selection, index: SampleIndex) -> tuple[Int64Array, Int64Array, Int64Array]:
    """The ranges of a selection, cut where a series ends, with the series of each."""
    ranges = selection.ranges.merged()
    low = np.searchsorted(index.first_id, ranges.starts, side="right") - 1
    high = np.searchsorted(index.first_id, ranges.stops, side="left")
    pieces = high - low
    which = np.repeat(np.arange(len(low)), pieces)
    series = flat_positions(low, pieces)
    starts = np.maximum(ranges.starts[which], index.first_id[series])
    stops = np.minimum(ranges.stops[which], index.first_id[series + 1])
    some = stops > starts
    return starts[some], stops[some], series[some]
