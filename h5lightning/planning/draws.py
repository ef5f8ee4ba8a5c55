"""What is drawn for each sample and epoch: the start of a window inside of its cell, and rows of a whole series.

A draw is a function of seed, epoch and id. So it does not depend on batches, workers or ranks, and a run that is
resumed draws the same. Ids, splits and orders do not know of draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import Int64Array, flat_positions
from h5lightning.core.permutation import KeyedPermutations, derive_key, derive_keys

__all__ = ["SampleDraws"]

_MOST_DRAWN = 1 << 32  # numbers below this are drawn with a bias of less than 2**-32


@dataclass(frozen=True, slots=True)
class SampleDraws:
    """The draws of one epoch.

    Args:
        seed: the seed of the run.
        epoch: the epoch, from 0; 0 in evaluation, where no draw depends on the epoch.
        jitters: whether starts of windows are drawn: in training.
    """

    seed: int = 0
    epoch: int = 0
    jitters: bool = False

    @classmethod
    def of_stage(cls, stage: str, seed: int, epoch: int) -> SampleDraws:
        """The draws of an epoch in a stage."""
        is_training = stage == "train"
        return cls(seed, epoch if is_training else 0, is_training)

    def numbers(self, ids: Int64Array, below: Int64Array, axis: int = 0) -> Int64Array:
        """A number for each sample, uniform in [0, below).

        Args:
            ids: ids of samples, ``(N,)``.
            below: one past the largest number, at least 1 and less than 2**32, ``(N,)``.
            axis: which axis of the window; draws along different axes are independent.
        """
        keys = derive_keys(derive_key("start of a window", self.seed, self.epoch, axis), ids)
        high = (keys >> np.uint64(32)) * below.clip(1, _MOST_DRAWN).astype(np.uint64)
        drawn: Int64Array = (high >> np.uint64(32)).view(np.int64)
        return drawn

    def rows(self, ids: Int64Array, counts: Int64Array, take: int) -> tuple[Int64Array, Int64Array]:
        """Rows of whole series, drawn without replacement.

        Args:
            ids: ids of samples, ``(N,)``.
            counts: rows of the series of each, ``(N,)``.
            take: rows to draw; series with fewer deliver all of them.

        Returns:
            The rows of all samples one after the other, ascending in each sample, ``(sum of sizes,)``; and how many
            each sample has, ``(N,)``.
        """
        sizes = np.minimum(counts, take)
        which = np.arange(len(ids)).repeat(sizes)
        rows = flat_positions(np.zeros(len(ids), np.int64), sizes)
        is_drawn = (counts > take)[which]
        if is_drawn.any():
            keys = derive_keys(derive_key("rows of a series", self.seed, self.epoch), ids)
            rows[is_drawn] = KeyedPermutations(counts, keys)(which[is_drawn], rows[is_drawn])
            rows = rows[np.lexsort((rows, which))]
        return rows, sizes
