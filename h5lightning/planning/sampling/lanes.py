"""Lanes: blocks dealt like cards, and position p of an epoch comes from lane p mod the number of lanes.

Ranks that work on different lanes decode different chunks. Blocks are numbered by length, so that dealing them in
turn gives lanes that are equal but for one block, in descending length::

    lane 0   ████████████████████      positions  0 4 8 …  P     P+3 …  Q …
    lane 1   ███████████████████                  1 5 9 …  P+1   P+4
    lane 2   ███████████████████                  2 6 10 … P+2   P+5
    lane 3   █████████████████                    3 7 11 …
                              └ from P on, three lanes are live

Which blocks a lane holds changes from epoch to epoch, its length does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.once import once
from h5lightning.planning.sampling.blocks import Blocks

__all__ = ["Lanes"]


@dataclass(frozen=True, eq=False)
class Lanes:
    """Blocks dealt to lanes.

    Args:
        blocks: what is dealt.
        number: number of lanes, a power of two, at most one for each block.
    """

    blocks: Blocks
    number: int

    def __post_init__(self) -> None:
        if self.number < 1 or self.number & (self.number - 1):
            raise ValueError(f"the number of lanes must be a power of two, found {self.number}")

    @once
    def first(self) -> Int64Array:
        """First block that a lane gets of each class of blocks, ``(lanes, classes)``."""
        starts = self.blocks.class_starts[:-1]
        return starts + (np.arange(self.number)[:, None] - starts) % self.number

    @once
    def counts(self) -> Int64Array:
        """Blocks that a lane gets of each class of blocks, ``(lanes, classes)``."""
        counts: Int64Array = -((self.first - self.blocks.class_starts[1:]) // self.number)
        return np.maximum(counts, 0)

    @once
    def lengths(self) -> Int64Array:
        """Samples of each lane, descending, ``(lanes,)``."""
        return self.counts @ self.blocks.class_lengths

    def locate(self, positions: Int64Array) -> tuple[Int64Array, Int64Array]:
        """Lane and offset in the lane of positions, ``(N,)`` each."""
        begins, depths = self._phases
        phase = np.searchsorted(begins, positions, side="right") - 1
        turn, lane = np.divmod(positions - begins[phase], self.number - phase)
        return lane, depths[phase] + turn

    @once
    def seats(self) -> Int64Array:
        """Where each lane sits among the ranks, ``(lanes,)``: the bits of its number in reverse.

        The last lanes end first and leave gaps everywhere, so that each rank keeps its own when fewer are live.
        """
        seats = np.zeros(self.number, dtype=np.int64)
        for bit in range(self.number.bit_length() - 1):
            seats = seats << 1 | np.arange(self.number) >> bit & 1
        return seats

    @once
    def _phases(self) -> tuple[Int64Array, Int64Array]:
        """First position and offset since which n, n - 1, … 1 lanes are live, ``(lanes,)`` each."""
        depths = np.append(self.lengths[1:], 0)  # where only lanes 0 to k are live, for k from 0 on
        rest = self.lengths.sum() - np.cumsum(self.lengths)
        begins = depths * np.arange(1, self.number + 1) + rest
        begins, depths = begins[::-1].copy(), depths[::-1].copy()
        return begins, depths
