"""Shuffle blocks, samples that are used together because their chunks are decoded together, and lanes of blocks.

Blocks are computed, not stored. A series is cut at every n-th of its samples, so that its part of a split is an
incomplete block, a run of equally long ones, and another incomplete one: memory is O(series) for any number of
blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import Int64Array, flat_positions
from h5lightning.core.frozen import once
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.selection import Kept, Selection

__all__ = ["Blocks", "Lanes", "ranges_by_series", "shuffle_blocks"]


@dataclass(frozen=True, eq=False)
class Blocks:
    """Shuffle blocks as runs of equally long neighbours, numbered run after run, the longest first.

    Args:
        starts: first sample of each run, ``(runs,)``.
        counts: blocks in each run, at least 1, ``(runs,)``.
        lengths: samples in each block of a run, at least 1, descending, ``(runs,)``.
    """

    starts: Int64Array
    counts: Int64Array
    lengths: Int64Array

    def __post_init__(self) -> None:
        by_start = np.argsort(self.starts)
        samples = (self.counts * self.lengths)[by_start]
        if np.any(self.starts[by_start] != np.cumsum(samples) - samples):
            raise ValueError("blocks must contain each sample once")
        if np.any(self.counts < 1) or np.any(self.lengths < 1) or np.any(np.diff(self.lengths) > 0):
            raise ValueError("runs of blocks must not be empty, and those of the longest blocks come first")

    @classmethod
    def of(cls, starts: Int64Array, counts: Int64Array, lengths: Int64Array) -> Blocks:
        """Blocks from runs in any order; runs without a sample are left out."""
        runs = np.flatnonzero((counts > 0) & (lengths > 0))
        runs = runs[np.lexsort((starts[runs], -lengths[runs]))]
        return cls(starts[runs], counts[runs], lengths[runs])

    def __len__(self) -> int:
        """Number of blocks."""
        return int(self.counts.sum())

    @once
    def size(self) -> int:
        """Number of samples."""
        return int((self.counts * self.lengths).sum())

    @once
    def class_lengths(self) -> Int64Array:
        """The different lengths of blocks, descending, ``(classes,)``."""
        return np.unique(self.lengths)[::-1]

    @once
    def class_starts(self) -> Int64Array:
        """First block of each class, ``(classes + 1,)``; the last entry is the number of blocks."""
        last_runs = np.searchsorted(-self.lengths, -self.class_lengths, side="right") - 1
        zero = np.zeros(1, dtype=np.int64)
        return np.concatenate([zero, np.cumsum(self.counts)[last_runs]])

    def starts_of(self, blocks: Int64Array) -> Int64Array:
        """First sample of each of ``blocks``, ``(N,)``."""
        run = np.searchsorted(self._first_blocks, blocks, side="right") - 1
        starts: Int64Array = self.starts[run] + (blocks - self._first_blocks[run]) * self.lengths[run]
        return starts

    @once
    def _first_blocks(self) -> Int64Array:
        return np.cumsum(self.counts) - self.counts


def shuffle_blocks(selection: Selection, index: SampleIndex, block_samples: Int64Array) -> Blocks:
    """Cut the samples of a split into shuffle blocks.

    Args:
        selection: the samples of a split, without a permutation.
        index: all samples.
        block_samples: samples in a complete block for each unit, ``(units,)``; blocks are counted from the first
            sample of a series.
    """
    starts, stops, series = ranges_by_series(selection, index)
    length = block_samples[index.units[series]]
    number = starts - index.first_id[series]  # of the first sample, in its series
    head = np.minimum(-number % length, stops - starts)
    complete, tail = np.divmod(stops - starts - head, length)
    begin = np.cumsum(stops - starts) - (stops - starts)
    if selection.kept is not None:
        return _kept_blocks(selection.kept, begin, head, length, complete + (tail > 0))
    one = np.ones_like(head)
    return Blocks.of(
        np.concatenate([begin, begin + head, begin + head + complete * length]),
        np.concatenate([one, complete, one]),
        np.concatenate([head, length, tail]),
    )


def _kept_blocks(
    kept: Kept, begin: Int64Array, head: Int64Array, length: Int64Array, more: Int64Array
) -> Blocks:
    """The kept samples of blocks: each range has an incomplete block, and then so many others of one length."""
    counts = more + 1
    number = flat_positions(np.zeros_like(counts), counts)  # of each block in its range
    first = begin.repeat(counts)
    starts = first + np.where(number > 0, head.repeat(counts) + (number - 1) * length.repeat(counts), 0)
    edges = np.append(kept.below(starts), len(kept))
    return Blocks.of(edges[:-1], np.ones_like(starts), np.diff(edges))


def ranges_by_series(selection: Selection, index: SampleIndex) -> tuple[Int64Array, Int64Array, Int64Array]:
    """The ranges of a selection, of which it may keep only some samples, cut where a series ends.

    Returns:
        Their starts and stops, and the series of each, ``(ranges,)`` each.
    """
    ranges = selection.ranges.normalized()
    low = np.searchsorted(index.first_id, ranges.starts, side="right") - 1
    high = np.searchsorted(index.first_id, ranges.stops, side="left")
    pieces = high - low
    which = np.repeat(np.arange(len(low)), pieces)
    series = flat_positions(low, pieces)
    starts = np.maximum(ranges.starts[which], index.first_id[series])
    stops = np.minimum(ranges.stops[which], index.first_id[series + 1])
    nonempty = stops > starts
    return starts[nonempty], stops[nonempty], series[nonempty]


@dataclass(frozen=True, eq=False)
class Lanes:
    """Shuffle blocks, assigned to lanes: parts of an epoch that use different chunks.

    Blocks are assigned to lanes in turn, and the samples of an epoch come from the lanes in turn. Ranks that work on
    different lanes decode different chunks. Blocks are numbered by descending length, so that lanes are equal except
    for one block, in descending length::

        lane 0   ████████████████████      indices    0 4 8 …  P     P+3 …  Q …
        lane 1   ███████████████████                  1 5 9 …  P+1   P+4
        lane 2   ███████████████████                  2 6 10 … P+2   P+5
        lane 3   █████████████████                    3 7 11 …
                                  └ from P on, three lanes are left

    The blocks of a lane change from epoch to epoch, its length does not.

    Args:
        blocks: the blocks.
        number: number of lanes, a power of two, at most one for each block.
    """

    blocks: Blocks
    number: int

    def __post_init__(self) -> None:
        if self.number < 1 or self.number & (self.number - 1):
            raise ValueError(f"the number of lanes must be a power of two, found {self.number}")

    @once
    def first(self) -> Int64Array:
        """First block of each lane in each class of blocks, ``(lanes, classes)``."""
        starts = self.blocks.class_starts[:-1]
        return starts + (np.arange(self.number)[:, None] - starts) % self.number

    @once
    def counts(self) -> Int64Array:
        """Blocks of each lane in each class of blocks, ``(lanes, classes)``."""
        counts: Int64Array = -((self.first - self.blocks.class_starts[1:]) // self.number)
        return np.maximum(counts, 0)

    @once
    def lengths(self) -> Int64Array:
        """Samples of each lane, descending, ``(lanes,)``."""
        return self.counts @ self.blocks.class_lengths

    def locate(self, indices: Int64Array) -> tuple[Int64Array, Int64Array]:
        """The lane of each index of an epoch, and the offset in this lane, ``(N,)`` each."""
        begins, depths = self._phases
        phase = np.searchsorted(begins, indices, side="right") - 1
        turn, lane = np.divmod(indices - begins[phase], self.number - phase)
        return lane, depths[phase] + turn

    @once
    def rank_order(self) -> Int64Array:
        """The number by which each lane is sorted to assign it to ranks, ``(lanes,)``: its bits in reverse.

        The last lanes end first. With this order they leave gaps everywhere, so that each rank keeps its lanes.
        """
        order = np.zeros(self.number, dtype=np.int64)
        for bit in range(self.number.bit_length() - 1):
            order = order << 1 | np.arange(self.number) >> bit & 1
        return order

    @once
    def _phases(self) -> tuple[Int64Array, Int64Array]:
        """First index and offset since which n, n - 1, … 1 lanes are left, ``(lanes,)`` each."""
        depths = np.append(self.lengths[1:], 0)  # where only lanes 0 to k are left, for k from 0 on
        beyond = self.lengths.sum() - np.cumsum(self.lengths)
        begins = depths * np.arange(1, self.number + 1) + beyond
        begins, depths = begins[::-1].copy(), depths[::-1].copy()
        return begins, depths
