"""Weighted order: an order of slots, each of which draws a sample.

The order of slots is a full or a block order, which also handles resumption and the division among ranks. In block
order the slots of a chunk stay together. A chunk of heavy samples has more slots than a block should have: its slots
are assigned to several blocks in turn, so that no block has all draws of one sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import Frozen, once
from h5lightning.planning.sampling.blocks import Blocks
from h5lightning.planning.sampling.orders import Order
from h5lightning.planning.sampling.tiles import Tiles
from h5lightning.planning.sampling.weighted_draw import StratifiedSampler

__all__ = ["SlotBlocks", "WeightedOrder"]


@dataclass(frozen=True, eq=False)
class SlotBlocks:
    """The slots that draw from each block of samples, assigned to shuffle blocks of limited length.

    Args:
        borders: first slot of each group of slots, and the number of all slots, ascending, ``(groups + 1,)``.
        block_slots: slots that a block should have; up to half as many again stay in one block.
    """

    borders: Int64Array
    block_slots: int

    @classmethod
    def of(cls, blocks: Blocks, sampler: StratifiedSampler) -> SlotBlocks:
        """The slots that draw from blocks of samples."""
        starts = np.sort(blocks.starts_of(np.arange(len(blocks))))
        borders = sampler.slots_before(np.append(starts, blocks.size))
        return cls(np.unique(borders), int(blocks.class_lengths[0]))

    @once
    def blocks(self) -> Blocks:
        """The shuffle blocks; `slots` gives the slot at each of their indices."""
        length, longer = np.divmod(self._sizes, self._block_counts)
        first = self.borders[:-1]
        return Blocks.of(
            np.concatenate([first, first + longer * (length + 1)]),
            np.concatenate([longer, self._block_counts - longer]),
            np.concatenate([length + 1, length]),
        )

    def slots(self, indices: Int64Array) -> Int64Array:
        """The slot at each index of the blocks, ``(N,)``: a block has every n-th slot of its group."""
        group = np.searchsorted(self.borders, indices, side="right") - 1
        first: Int64Array = self.borders[group]
        count: Int64Array = self._block_counts[group]
        length, longer = np.divmod(self._sizes[group], count)
        i: Int64Array = indices - first
        # The first blocks have one slot more: after them, count as if all blocks had it.
        i = i + np.maximum(i - longer * (length + 1), 0) // length
        slots: Int64Array = first + i % (length + 1) * count + i // (length + 1)
        return slots

    @once
    def _sizes(self) -> Int64Array:
        return np.diff(self.borders)

    @once
    def _block_counts(self) -> Int64Array:
        counts: Int64Array = (self._sizes + self.block_slots // 2) // self.block_slots
        return counts.clip(1)


@dataclass(frozen=True, eq=False)
class WeightedOrder(Frozen):
    """Samples drawn with replacement, as many in an epoch as there are samples.

    Args:
        slot_order: the order of the slots, or of indices of ``slot_blocks``.
        sampler: slot → sample.
        slot_blocks: index → slot; None where they are the same.
        tiles: sample → position in the split, of samples that are numbered tile after tile; None for others.
    """

    slot_order: Order
    sampler: StratifiedSampler
    slot_blocks: SlotBlocks | None = None
    tiles: Tiles | None = None

    @property
    def size(self) -> int:
        """Number of samples, and of draws in an epoch."""
        return self.slot_order.size

    @property
    def lanes(self) -> int:
        """Number of lanes of the order of slots."""
        return self.slot_order.lanes

    @property
    def block_samples(self) -> int:
        """1: the draws from a block do not cover it."""
        return 1

    def lanes_of(self, indices: Int64Array) -> Int64Array:
        """The lane of each index."""
        return self.slot_order.lanes_of(indices)

    def samples(self, epoch: int, indices: Int64Array) -> Int64Array:
        """The sample at each index of an epoch."""
        slots = self.slot_order.samples(epoch, indices)
        if self.slot_blocks is not None:
            slots = self.slot_blocks.slots(slots)
        samples = self.sampler.samples(epoch, slots)
        return samples if self.tiles is None else self.tiles.positions(samples)
