"""Lanes: parts of an epoch that use different chunks.

Shuffle blocks are assigned to lanes in turn, and the samples of an epoch come from the lanes in turn. Ranks that work
on different lanes decode different chunks. Blocks are numbered by descending length, so that lanes are equal except
for one block, in descending length::

    lane 0   ████████████████████      indices    0 4 8 …  P     P+3 …  Q …
    lane 1   ███████████████████                  1 5 9 …  P+1   P+4
    lane 2   ███████████████████                  2 6 10 … P+2   P+5
    lane 3   █████████████████                    3 7 11 …
                              └ from P on, three lanes are left

The blocks of a lane change from epoch to epoch, its length does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import once
from h5lightning.planning.sampling.blocks import Blocks

__all__ = ["Lanes"]


@dataclass(frozen=True, eq=False)
class Lanes:
    """Shuffle blocks, assigned to lanes.

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
