"""Block order: few chunks in use at a time, each decoded once, and the samples still well mixed.

Shuffle blocks are assigned to lanes (`Lanes`), each lane mixes a window of its blocks completely (`shuffle_windows`),
and neighbours in the order come from different lanes. All of it is arithmetic and keyed permutations: an index costs
O(log series), memory is O(series) and the windows in use.
"""

from __future__ import annotations

from dataclasses import dataclass

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import Frozen, once
from h5lightning.planning.sampling.blocks import Blocks, Lanes
from h5lightning.planning.sampling.shuffle_windows import EpochWindows, LaneWindows

__all__ = ["BlockOrder"]

_MAX_LANES = 32
_MIN_BLOCKS_IN_LANE = 4  # lanes of fewer blocks differ much in length: epochs would end badly mixed


@dataclass(frozen=True, eq=False)
class BlockOrder(Frozen):
    """Shuffle blocks in random order, mixed inside windows.

    Args:
        blocks: the blocks.
        window_samples: samples that are mixed with each other, about: a window has whole blocks.
        seed: the seed of the order.
    """

    blocks: Blocks
    window_samples: int
    seed: int

    @property
    def size(self) -> int:
        """Number of samples."""
        return self.blocks.size

    @property
    def lanes(self) -> int:
        """Number of lanes: as many as the window has blocks, 32 at most."""
        return self._lane_windows.lanes.number

    @property
    def block_samples(self) -> int:
        """Samples of a whole block."""
        return int(self.blocks.class_lengths[0])

    def lanes_of(self, indices: Int64Array) -> Int64Array:
        """The lane of each index, numbered in the order of the ranks."""
        lanes = self._lane_windows.lanes
        return lanes.rank_order[lanes.locate(indices)[0]]

    def samples(self, epoch: int, indices: Int64Array) -> Int64Array:
        """The sample at each index of an epoch."""
        if not indices.size:
            return indices
        return self._windows(epoch).samples(*self._lane_windows.lanes.locate(indices))

    def _windows(self, epoch: int) -> EpochWindows:
        """The windows of an epoch; those of the last epoch are kept for the next call."""
        kept = self._kept[0]
        if kept is None or kept.epoch != epoch:
            # Two threads may make the same windows twice, which are equal.
            kept = self._kept[0] = EpochWindows(self._lane_windows, self.seed, epoch)
        return kept

    @once
    def _lane_windows(self) -> LaneWindows:
        in_window = self.window_samples * len(self.blocks) // max(1, self.size)
        most = max(1, min(_MAX_LANES, len(self.blocks) // _MIN_BLOCKS_IN_LANE, in_window))
        return LaneWindows(Lanes(self.blocks, 1 << (most.bit_length() - 1)), self.window_samples)

    @once
    def _kept(self) -> list[EpochWindows | None]:
        return [None]
