"""Block order: few chunks in use at a time, each decoded once, and yet well mixed.

Blocks are dealt to lanes (`lanes`), each lane mixes a window of its blocks completely (`windows`), and neighbours in
the order come from different lanes. Everything is arithmetic and keyed permutations: a position costs O(log series),
memory is O(series) and what the windows in use take.
"""

from __future__ import annotations

from dataclasses import dataclass

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import Frozen
from h5lightning.core.once import once
from h5lightning.planning.sampling.blocks import Blocks
from h5lightning.planning.sampling.lanes import Lanes
from h5lightning.planning.sampling.shuffle_windows import EpochWindows, WindowShares

__all__ = ["BlockOrder"]


_MAX_LANES = 32
_MIN_BLOCKS_IN_LANE = 4  # lanes of fewer blocks differ much in length: epochs would end badly mixed


@dataclass(frozen=True, eq=False)
class BlockOrder(Frozen):
    """Blocks in random order, mixed inside windows.

    Args:
        blocks: samples that should be used together.
        window_samples: samples that are mixed with each other, about: a window holds whole blocks.
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
        """Number of lanes: as many as the window holds blocks, 32 at most."""
        return self._shares.lanes.number

    @property
    def block_samples(self) -> int:
        """Samples of a whole block."""
        return int(self.blocks.class_lengths[0])

    def lanes_of(self, positions: Int64Array) -> Int64Array:
        """The lane of each position; neighbouring numbers stay with one rank until the lanes end."""
        lanes = self._shares.lanes
        return lanes.seats[lanes.locate(positions)[0]]

    def samples(self, epoch: int, positions: Int64Array) -> Int64Array:
        """The samples at the positions of an epoch."""
        if not positions.size:
            return positions
        return self._windows(epoch).samples(*self._shares.lanes.locate(positions))

    def _windows(self, epoch: int) -> EpochWindows:
        """The windows of an epoch; the last ones are kept, since a sampler asks for them again and again."""
        kept = self._kept[0]
        if kept is None or kept.epoch != epoch:
            # Two threads may make the same windows twice, which differ in nothing.
            kept = self._kept[0] = EpochWindows(self._shares, self.seed, epoch)
        return kept

    @once
    def _shares(self) -> WindowShares:
        in_window = self.window_samples * len(self.blocks) // max(1, self.size)
        most = max(1, min(_MAX_LANES, len(self.blocks) // _MIN_BLOCKS_IN_LANE, in_window))
        return WindowShares(Lanes(self.blocks, 1 << (most.bit_length() - 1)), self.window_samples)

    @once
    def _kept(self) -> list[EpochWindows | None]:
        return [None]
