"""The sampler: one rank's samples of an epoch, one by one or as arrays.

A subclass of torch's `DistributedSampler` at the level of samples is the one form that Lightning leaves alone in
every stage: a batch sampler's inner sampler is replaced, a plain sampler is wrapped in a shuffling one
(lightning#21447), and `set_epoch` reaches no batch sampler.
"""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from torch.utils.data import DistributedSampler

from h5lightning.ordering import Order
from h5lightning.position import Rest
from h5lightning.sharding import Shards

__all__ = ["ShardedSampler"]

_STRETCH = 16_384  # samples computed at a time: above it, the cost per sample no longer falls


class ShardedSampler(DistributedSampler[Any]):
    """Yields the samples of one rank in the order of an epoch.

    Args:
        dataset: the samples; only its length is used.
        order: position in an epoch → sample.
        shards: rank → positions.
        rank: this rank.
        rest: what is left of the epoch that a resumed run goes on with.
    """

    def __init__(
        self, dataset: Sized, order: Order, shards: Shards, rank: int = 0, *, rest: Rest | None = None
    ) -> None:
        if not len(dataset) == order.size == shards.size:
            raise ValueError(f"{len(dataset)} samples, an order of {order.size} and shards of {shards.size}")
        super().__init__(cast("Any", dataset), num_replicas=shards.world_size, rank=rank, shuffle=False)
        self.order = order
        self.shards = shards
        self._rest = rest

    def __iter__(self) -> Iterator[int]:
        for stretch in self.stretches():
            yield from stretch.tolist()

    def __len__(self) -> int:
        return self._current.length(self.rank)

    @property
    def steps_done(self) -> int:
        """Steps of this epoch that were done before, in the run that is resumed."""
        return self._resumed.steps_done if self._resumed is not None else 0

    def stretches(self, *, multiple: int = 1, stop: int | None = None) -> Iterator[npt.NDArray[np.int64]]:
        """The samples as arrays, as many at a time as are computed together.

        Args:
            multiple: the length of each array but the last is a multiple of it: the size of a batch.
            stop: how many samples; None for all.
        """
        shards = self._current
        length = shards.length(self.rank) if stop is None else stop
        lanes_of = self.order.lanes_of if self.order.lanes > 1 else None
        some = max(1, _STRETCH // multiple) * multiple
        for start in range(0, length, some):
            positions = shards.positions(self.rank, start, min(start + some, length), lanes_of)
            yield self.order.samples(self.epoch, positions)

    @property
    def _current(self) -> Shards:
        return self.shards if self._resumed is None else self._resumed.shards

    @property
    def _resumed(self) -> Rest | None:
        # Asked again and again: Lightning sets the epoch after it made the iterator (lightning#21938).
        return self._rest if self._rest is not None and self._rest.epoch == self.epoch else None
