"""The sampler: one rank's samples of an epoch, one by one.

A subclass of torch's `DistributedSampler` at the level of samples is the one form that Lightning leaves alone in
every stage: a batch sampler's inner sampler is replaced, a plain sampler is wrapped in a shuffling one
(lightning#21447), and `set_epoch` reaches no batch sampler.
"""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import Any, cast

from torch.utils.data import DistributedSampler

from h5lightning.ordering import Order
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
    """

    def __init__(self, dataset: Sized, order: Order, shards: Shards, rank: int = 0) -> None:
        if not len(dataset) == order.size == shards.size:
            raise ValueError(f"{len(dataset)} samples, an order of {order.size} and shards of {shards.size}")
        super().__init__(cast("Any", dataset), num_replicas=shards.world_size, rank=rank, shuffle=False)
        self.order = order
        self.shards = shards

    def __iter__(self) -> Iterator[int]:
        length = len(self)
        lanes_of = self.order.lanes_of if self.order.lanes > 1 else None
        for start in range(0, length, _STRETCH):
            positions = self.shards.positions(self.rank, start, start + _STRETCH, lanes_of)
            yield from self.order.samples(self.epoch, positions).tolist()

    def __len__(self) -> int:
        return self.shards.length(self.rank)
