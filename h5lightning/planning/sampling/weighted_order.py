"""Weighted order: an order of slots, each of which draws a sample.

The order of slots is a full or a block order, so that resumption and the shares of ranks are theirs. In block order
the slots of a chunk stay together. A chunk of heavy samples has more slots than a block should hold: its slots are
dealt to several blocks, so that none of them holds all draws of one sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import Frozen
from h5lightning.core.once import once
from h5lightning.planning.sampling.blocks import Blocks
from h5lightning.planning.sampling.orders import Order
from h5lightning.planning.sampling.weighted_draw import StratifiedDraw

__all__ = ["SlotBlocks", "WeightedOrder"]


@dataclass(frozen=True, eq=False)
class SlotBlocks:
    """The slots that draw from each block of samples, dealt to blocks of about some length at most.

    Args:
        borders: first slot of each group of slots, and the number of all slots, ascending, ``(groups + 1,)``.
        block_slots: slots that a block should hold; half as many again are not dealt to two.
    """

    borders: Int64Array
    block_slots: int

    @classmethod
    def of(cls, blocks: Blocks, draw: StratifiedDraw) -> SlotBlocks:
        """The slots of blocks of samples."""
        starts = np.sort(blocks.starts_of(np.arange(len(blocks))))
        borders = draw.slots_before(np.append(starts, blocks.size))
        return cls(np.unique(borders), int(blocks.class_lengths[0]))

    @once
    def blocks(self) -> Blocks:
        """Blocks of places; see `slots`."""
        length, longer = np.divmod(self._sizes, self._hands)
        first = self.borders[:-1]
        return Blocks.of(
            np.concatenate([first, first + longer * (length + 1)]),
            np.concatenate([longer, self._hands - longer]),
            np.concatenate([length + 1, length]),
        )

    def slots(self, places: Int64Array) -> Int64Array:
        """The slots at places, ``(N,)``: a hand, which is a block, holds every n-th slot of its group."""
        group = np.searchsorted(self.borders, places, side="right") - 1
        first: Int64Array = self.borders[group]
        hands: Int64Array = self._hands[group]
        length, longer = np.divmod(self._sizes[group], hands)
        place: Int64Array = places - first
        # The first hands hold one more: behind them, places are counted as if all did.
        place = place + np.maximum(place - longer * (length + 1), 0) // length
        slots: Int64Array = first + place % (length + 1) * hands + place // (length + 1)
        return slots

    @once
    def _sizes(self) -> Int64Array:
        return np.diff(self.borders)

    @once
    def _hands(self) -> Int64Array:
        hands: Int64Array = (self._sizes + self.block_slots // 2) // self.block_slots
        return hands.clip(1)


@dataclass(frozen=True, eq=False)
class WeightedOrder(Frozen):
    """Samples drawn with replacement, as many in an epoch as there are.

    Args:
        places: the order of places.
        draw: slot → sample.
        slot_blocks: place → slot; None where they are the same.
    """

    places: Order
    draw: StratifiedDraw
    slot_blocks: SlotBlocks | None = None

    @property
    def size(self) -> int:
        """Number of samples, and of draws in an epoch."""
        return self.places.size

    @property
    def lanes(self) -> int:
        """Number of lanes of the order of places."""
        return self.places.lanes

    @property
    def block_samples(self) -> int:
        """One: draws from a block are not all of its samples."""
        return 1

    def lanes_of(self, positions: Int64Array) -> Int64Array:
        """The lane of each position."""
        return self.places.lanes_of(positions)

    def samples(self, epoch: int, positions: Int64Array) -> Int64Array:
        """The samples at the positions of an epoch."""
        slots = self.places.samples(epoch, positions)
        if self.slot_blocks is not None:
            slots = self.slot_blocks.slots(slots)
        return self.draw.samples(epoch, slots)
