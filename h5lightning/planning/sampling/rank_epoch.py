"""One rank's part of one epoch, as a value that later calls of `set_epoch` do not change.

The number of the epoch travels with the positions of the samples, also to worker processes, since it seeds transforms.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.planning.sampling import Order
from h5lightning.planning.sampling.bucket_order import in_steps
from h5lightning.planning.sampling.sharding import Shards
from h5lightning.planning.sampling.training_progress import RemainingEpoch

__all__ = ["BatchRequest", "EpochPosition", "RankEpoch"]

_SAMPLES_AT_ONCE = 16_384  # with more, the cost per sample no longer falls


@dataclass(frozen=True, slots=True, eq=False)
class BatchRequest:
    """The samples of one batch, requested from a dataset.

    Args:
        positions: positions of the samples in the split, ``(N,)``.
        epoch: the epoch that seeds their transforms.
        is_repeat: which of them are repeated, ``(N,)``; None if not recorded.
    """

    positions: Int64Array
    epoch: int
    is_repeat: BoolArray | None = None

    def __len__(self) -> int:
        return len(self.positions)


class EpochPosition(int):
    """The position of one sample in its split, with its epoch, for other loaders."""

    epoch: int
    is_repeat: bool | None

    @classmethod
    def of(cls, position: int, epoch: int, is_repeat: bool | None = None) -> EpochPosition:
        """A position, the epoch that seeds its transforms, and whether the sample is repeated (None: not recorded)."""
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
        order: index in the epoch → position in the split.
        shards: the division of the epoch among ranks, without the steps that were done before.
        rank: this rank.
        steps_done: steps of this epoch that an interrupted run has done.
    """

    epoch: int
    order: Order
    shards: Shards
    rank: int = 0
    steps_done: int = 0

    @classmethod
    def of(
        cls, epoch: int, order: Order, shards: Shards, rank: int, remaining: RemainingEpoch | None = None
    ) -> RankEpoch:
        """A whole epoch, divided by ``shards``, or the rest of it: ``remaining``, if it is of this epoch."""
        if remaining is None or remaining.epoch != epoch:
            return cls(epoch, in_steps(order, shards), shards, rank)
        order = in_steps(order, remaining.shards, remaining.windows)
        return cls(epoch, order, remaining.shards, rank, remaining.steps_done)

    def __len__(self) -> int:
        """Number of samples left."""
        return self.shards.length(self.rank)

    @property
    def steps(self) -> int:
        """Number of batches left."""
        full, tail = self.shards.batches(self.rank)
        return full + len(tail)

    def position_arrays(
        self, *, multiple: int = 1, start: int = 0, stop: int | None = None
    ) -> Iterator[Int64Array]:
        """The positions of the samples, as arrays of up to 16,384 or more.

        Args:
            multiple: the length of each array but the last is a multiple of it, such as a batch size.
            start: number of the first sample.
            stop: one past the number of the last sample; None for all.
        """
        length = len(self) if stop is None else min(stop, len(self))
        lanes_of = self.order.lanes_of if self.order.lanes > 1 else None
        step = max(1, _SAMPLES_AT_ONCE // multiple) * multiple
        for first in range(start, length, step):
            indices = self.shards.indices(self.rank, first, min(first + step, length), lanes_of)
            yield self.order.samples(self.epoch, indices)

    def full_batches(self) -> Iterator[Int64Array]:
        """The positions of the samples of all full batches, as arrays whose lengths are multiples of the batch size."""
        full, _ = self.shards.batches(self.rank)
        return self.position_arrays(multiple=self.shards.batch_size, stop=full * self.shards.batch_size)

    def tail(self) -> Iterator[Int64Array]:
        """The positions of the samples of each batch after the full ones, ``(N,)``."""
        full, sizes = self.shards.batches(self.rank)
        start = full * self.shards.batch_size
        for size in sizes:
            yield from self.position_arrays(multiple=size, start=start, stop=start + size)
            start += size

    def repeats(self, start: int, stop: int) -> BoolArray | None:
        """Which of the samples ``[start, stop)`` are repeated, ``(stop - start,)``; None if not recorded."""
        return self.shards.repeats(self.rank, start, stop)

    def requests(self) -> Iterator[BatchRequest]:
        """The batches, one by one."""
        size, done = self.shards.batch_size, 0
        for positions in self.full_batches():
            for start in range(0, len(positions), size):
                yield self._request(positions[start : start + size], done + start)
            done += len(positions)
        for positions in self.tail():
            yield self._request(positions, done)
            done += len(positions)

    def positions(self) -> Iterator[EpochPosition]:
        """The positions of the samples, one by one."""
        done = 0
        for positions in self.position_arrays():
            repeats = self.repeats(done, done + len(positions))
            marks = [None] * len(positions) if repeats is None else repeats.tolist()
            for position, is_repeat in zip(positions.tolist(), marks, strict=True):
                yield EpochPosition.of(position, self.epoch, is_repeat)
            done += len(positions)

    def _request(self, positions: Int64Array, start: int) -> BatchRequest:
        return BatchRequest(positions, self.epoch, self.repeats(start, start + len(positions)))
