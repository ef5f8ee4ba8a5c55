"""One rank's part of one epoch, as a value: what was begun stays that epoch, whatever is set or begun meanwhile.

The number of the epoch travels with the numbers of the samples, to worker processes too, since it seeds transforms.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.planning.sampling import Order
from h5lightning.planning.sampling.position import RemainingEpoch
from h5lightning.planning.sampling.sharding import Shards

__all__ = ["BatchRequest", "EpochPosition", "RankEpoch"]


_STRETCH = 16_384  # samples computed at a time: above it, the cost per sample no longer falls


@dataclass(frozen=True, slots=True, eq=False)
class BatchRequest:
    """What a loader asks a dataset for.

    Args:
        positions: numbers of the samples in the split, ``(N,)``.
        epoch: the epoch that seeds their transforms.
        is_repeat: which of them are repeated, ``(N,)``; None if that is not told.
    """

    positions: Int64Array
    epoch: int
    is_repeat: BoolArray | None = None

    def __len__(self) -> int:
        return len(self.positions)


class EpochPosition(int):
    """The number of one sample in its split, for loaders that are not ours: it carries its epoch with it."""

    epoch: int
    is_repeat: bool | None

    @classmethod
    def of(cls, position: int, epoch: int, is_repeat: bool | None = None) -> EpochPosition:
        """A position in an epoch.

        Args:
            position: number of the sample in its split.
            epoch: the epoch that seeds its transforms.
            is_repeat: whether the sample is repeated; None if that is not told.
        """
        made = cls(position)
        made.epoch, made.is_repeat = epoch, is_repeat
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return EpochPosition.of, (int(self), self.epoch, self.is_repeat)


@dataclass(frozen=True, slots=True, eq=False)
class RankEpoch:
    """The batches of one rank in one epoch.

    Args:
        epoch: its number, from 0.
        order: position in an epoch → sample.
        shards: rank → positions, less those of steps that were done before.
        rank: this rank.
        steps_done: steps of this epoch that were done before, in the run that is resumed.
    """

    epoch: int
    order: Order
    shards: Shards
    rank: int = 0
    steps_done: int = 0

    @classmethod
    def of(
        cls, epoch: int, order: Order, shards: Shards, rank: int, rest: RemainingEpoch | None = None
    ) -> RankEpoch:
        """A whole epoch, or what is left of it.

        Args:
            epoch: its number, from 0.
            order: position in an epoch → sample.
            shards: how a whole epoch is divided.
            rank: this rank.
            rest: what is left of an epoch; for another one, it means nothing.
        """
        if rest is None or rest.epoch != epoch:
            return cls(epoch, order, shards, rank)
        return cls(epoch, order, rest.shards, rank, rest.steps_done)

    def __len__(self) -> int:
        """Samples that are to come."""
        return self.shards.length(self.rank)

    @property
    def steps(self) -> int:
        """Batches that are to come."""
        full, tail = self.shards.batches(self.rank)
        return full + len(tail)

    def stretches(
        self, *, multiple: int = 1, start: int = 0, stop: int | None = None
    ) -> Iterator[Int64Array]:
        """The samples as arrays, as many at a time as are computed together.

        Args:
            multiple: the length of each array but the last is a multiple of it: the size of a batch.
            start: the first sample.
            stop: one past the last sample; None for all.
        """
        length = len(self) if stop is None else min(stop, len(self))
        lanes_of = self.order.lanes_of if self.order.lanes > 1 else None
        some = max(1, _STRETCH // multiple) * multiple
        for first in range(start, length, some):
            positions = self.shards.positions(self.rank, first, min(first + some, length), lanes_of)
            yield self.order.samples(self.epoch, positions)

    def full_stretches(self) -> Iterator[Int64Array]:
        """The samples of all full batches, as arrays whose lengths are multiples of the batch size."""
        full, _ = self.shards.batches(self.rank)
        return self.stretches(multiple=self.shards.batch_size, stop=full * self.shards.batch_size)

    def tail(self) -> Iterator[Int64Array]:
        """The samples of each batch behind the full ones, ``(N,)``."""
        full, sizes = self.shards.batches(self.rank)
        start = full * self.shards.batch_size
        for size in sizes:
            yield from self.stretches(multiple=size, start=start, stop=start + size)
            start += size

    def repeats(self, start: int, stop: int) -> BoolArray | None:
        """Which of the samples number start to stop are repeated, ``(stop - start,)``; None if that is not told."""
        return self.shards.repeats(self.rank, start, stop)

    def requests(self) -> Iterator[BatchRequest]:
        """The batches, one by one."""
        size, done = self.shards.batch_size, 0
        for positions in self.full_stretches():
            for start in range(0, len(positions), size):
                yield self._request(positions[start : start + size], done + start)
            done += len(positions)
        for positions in self.tail():
            yield self._request(positions, done)
            done += len(positions)

    def positions(self) -> Iterator[EpochPosition]:
        """The samples, one by one."""
        done = 0
        for positions in self.stretches():
            repeats = self.repeats(done, done + len(positions))
            told = [None] * len(positions) if repeats is None else repeats.tolist()
            for position, is_repeat in zip(positions.tolist(), told, strict=True):
                yield EpochPosition.of(position, self.epoch, is_repeat)
            done += len(positions)

    def _request(self, positions: Int64Array, start: int) -> BatchRequest:
        return BatchRequest(positions, self.epoch, self.repeats(start, start + len(positions)))
