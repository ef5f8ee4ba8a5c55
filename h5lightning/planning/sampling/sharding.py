"""Which positions of an epoch belong to a rank.

Rank and world size are arguments, never read from `torch.distributed`. In training each step takes the next
``world_size * batch_size`` positions, so that what was consumed is always a prefix of the epoch, whatever the
world size; all ranks take equally many steps. In evaluation each sample is delivered exactly once, without
padding, in equally many steps too: a rank whose samples fill one batch less makes two of its last one::

    training, 11 samples, 2 ranks, batch size 2        evaluation, 9 samples, 2 ranks, batch size 2

    step      0        1        2                      step      0        1        2
    rank 0    0 1      4 5      8 9                    rank 0    0 1      2        3
    rank 1    2 3      6 7      10                     rank 1    4 5      6 7      8

An order may have lanes, whose samples come from the same chunks. A step's positions are then dealt by lane: sorted
by it, rank r gets the r-th part, so that ranks decode different chunks. With two lanes, of even and odd positions::

    rank 0    0 2      4 6      8 10
    rank 1    1 3      5 7      9
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.errors import ShardingError

__all__ = ["EvaluationShards", "LanesOf", "Shards", "Share", "TrainingShards"]

LanesOf = Callable[[Int64Array], Int64Array]

_DEALT_AT_ONCE = (
    1 << 17
)  # positions of all ranks: enough to be fast, and little memory for any number of ranks


class Share(NamedTuple):
    """Which part of the data a process delivers.

    Args:
        rank: its rank, from 0.
        world_size: number of ranks.
    """

    rank: int = 0
    world_size: int = 1


class Shards(Protocol):
    """The division of an epoch's positions among ranks."""

    @property
    def size(self) -> int:
        """Number of samples in the epoch."""

    @property
    def batch_size(self) -> int:
        """Samples of a full batch."""

    @property
    def world_size(self) -> int:
        """Number of ranks."""

    def length(self, rank: int) -> int:
        """Number of samples of a rank."""

    def batches(self, rank: int) -> tuple[int, tuple[int, ...]]:
        """Full batches of a rank, and the samples of each of its batches after them."""

    def repeats(self, rank: int, start: int, stop: int) -> BoolArray | None:
        """Which of a rank's samples number start to stop are repeated, ``(stop - start,)``; None if untold."""

    def positions(self, rank: int, start: int, stop: int, lanes_of: LanesOf | None = None) -> Int64Array:
        """Positions in the epoch of a rank's samples number start to stop.

        Args:
            rank: the rank.
            start: number of its first sample.
            stop: one past the number of its last sample; beyond its length, there are none.
            lanes_of: the lane of each position; None where all are in one.
        """


@dataclass(frozen=True, slots=True)
class TrainingShards:
    """Equal steps on each rank; the last step is spread evenly.

    Args:
        size: number of samples in the epoch.
        batch_size: samples of one rank in one step.
        world_size: number of ranks.
        tail: ``drop`` or ``repeat`` the samples, fewer than ranks, that remain for the last step.
        drop_last: drop the whole last step unless it is full.
        start: samples of the epoch that were consumed before; the first step begins behind them.

    Raises:
        ShardingError: there is not a single step in a whole epoch.
    """

    size: int
    batch_size: int
    world_size: int = 1
    tail: str = "drop"
    drop_last: bool = False
    start: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.size:
            raise ValueError(f"an epoch of {self.size} samples cannot go on at {self.start}")
        if not self.steps and not self.start:
            raise ShardingError(f"{self.size} training samples make no step: {self._shortage()}")

    def after(self, samples: int) -> TrainingShards:
        """The same when the first samples of an epoch were consumed; there may be no step left."""
        return replace(self, start=samples)

    @property
    def remaining(self) -> int:
        """Samples that are left of the epoch."""
        return self.size - self.start

    @property
    def step_samples(self) -> int:
        """Samples of one full step over all ranks."""
        return self.batch_size * self.world_size

    @property
    def full_steps(self) -> int:
        """Steps in which each rank has a full batch."""
        return self.remaining // self.step_samples

    @property
    def last_samples(self) -> int:
        """Samples of the ragged last step over all ranks, repeated ones included; 0 if there is none."""
        rest = self.remaining - self.full_steps * self.step_samples
        if self.drop_last or not rest:
            return 0
        if rest < self.world_size:
            return self.world_size if self.tail == "repeat" else 0
        return rest

    @property
    def steps(self) -> int:
        """Steps of an epoch, the same on each rank."""
        return self.full_steps + bool(self.last_samples)

    @property
    def dropped(self) -> int:
        """Samples that no rank sees in an epoch."""
        return max(0, self.remaining - self.full_steps * self.step_samples - self.last_samples)

    @property
    def repeated(self) -> int:
        """Samples that are seen twice in an epoch."""
        return max(0, self.full_steps * self.step_samples + self.last_samples - self.remaining)

    def length(self, rank: int) -> int:
        """Number of samples of a rank."""
        return self.full_steps * self.batch_size + self._last_batch(rank)

    def batches(self, rank: int) -> tuple[int, tuple[int, ...]]:
        """Full batches of a rank, and the samples of each of its batches after them."""
        last = self._last_batch(rank)
        return self.full_steps, (last,) if last else ()

    def repeats(self, rank: int, start: int, stop: int) -> BoolArray | None:  # noqa: ARG002 - see `Shards`
        """None: training does not tell which samples are repeated."""
        return None

    def positions(self, rank: int, start: int, stop: int, lanes_of: LanesOf | None = None) -> Int64Array:
        """Positions in the epoch of a rank's samples number start to stop, ``(stop - start,)``.

        Args:
            rank: the rank.
            start: number of its first sample.
            stop: one past the number of its last sample; beyond its length, there are none.
            lanes_of: the lane of each position; None where all are in one.
        """
        stop = min(stop, self.length(rank))
        if lanes_of is not None and self.world_size > 1:
            return self._dealt(rank, start, stop, lanes_of)
        number = np.arange(start, stop, dtype=np.int64)
        step, place = np.divmod(number, self.batch_size)
        before = np.where(step < self.full_steps, rank * self.batch_size, self._last_start(rank))
        # Repeated samples are the first of the epoch: those seen longest ago.
        return (self.start + step * self.step_samples + before + place) % self.size

    def _dealt(self, rank: int, start: int, stop: int, lanes_of: LanesOf) -> Int64Array:
        first, last = start // self.batch_size, -(-stop // self.batch_size)
        some = max(1, _DEALT_AT_ONCE // self.step_samples)
        full = min(last, self.full_steps)
        parts = [np.zeros(0, dtype=np.int64)]
        for step in range(first, full, some):
            number = self.start + np.arange(step, min(step + some, full), dtype=np.int64) * self.step_samples
            own = slice(rank * self.batch_size, (rank + 1) * self.batch_size)
            parts.append(_part_by_lane(number, self.step_samples, own, lanes_of))
        if last > self.full_steps:
            number = np.asarray([self.start + self.full_steps * self.step_samples])
            own = slice(self._last_start(rank), self._last_start(rank + 1))
            parts.append(_part_by_lane(number, self.last_samples, own, lanes_of) % self.size)
        before = start - first * self.batch_size
        return np.concatenate(parts)[before : before + stop - start]

    def _shortage(self) -> str:
        if not self.size:
            return "the split is empty"
        if self.drop_last:
            needed = self.step_samples
            return f"drop_last=True needs {needed}. Use fewer ranks, a smaller batch_size or drop_last=False"
        return f"each of {self.world_size} ranks needs one. Use fewer ranks or tail='repeat'"

    def _last_batch(self, rank: int) -> int:
        share, more = divmod(self.last_samples, self.world_size)
        return share + (rank < more)

    def _last_start(self, rank: int) -> int:
        share, more = divmod(self.last_samples, self.world_size)
        return rank * share + min(rank, more)


@dataclass(frozen=True, slots=True)
class EvaluationShards:
    """Contiguous parts, in equally many steps on each rank.

    With the tail ``uneven`` each sample comes exactly once, and parts differ by one sample at most. Batches are full
    but for the last two of a rank, in which ranks differ by one sample at most. That takes a batch size of at least 2.

    Args:
        size: number of samples.
        world_size: number of ranks.
        batch_size: samples of one rank in one step.
        tail: ``uneven``; or ``repeat``: the last sample of a shorter part comes twice, so that all parts are equal.
        allow_empty: some ranks may have no sample.
        skip: steps of each rank that were done before.

    Raises:
        ShardingError: a rank would have no sample.
    """

    size: int
    world_size: int = 1
    batch_size: int = 1
    tail: str = "uneven"
    allow_empty: bool = False
    skip: int = 0

    def __post_init__(self) -> None:
        is_short = 0 < self.size < self.world_size
        if is_short and self.tail != "repeat" and not self.allow_empty:
            raise ShardingError(
                f"{self.size} samples cannot be evaluated on {self.world_size} ranks: a rank without a sample breaks "
                "its peers. Use fewer ranks or a larger split, or eval_tail='repeat'; if the model computes its "
                "metrics on any number of ranks, set "
                "allow_zero_length_dataloader_with_multiple_devices = True on the DataModule"
            )

    def after(self, steps: int) -> EvaluationShards:
        """The same when each rank has done some steps."""
        return replace(self, skip=steps)

    @property
    def are_steps_equal(self) -> bool:
        """Whether all ranks take equally many steps."""
        return len({self._steps(rank) for rank in (self._shortest, self._longest)}) == 1

    @property
    def are_plain_steps_equal(self) -> bool:
        """Whether they would if each rank's samples were cut into full batches and a rest."""
        lengths = {self._whole_length(rank) for rank in (self._shortest, self._longest)}
        return len({-(-length // self.batch_size) for length in lengths}) == 1

    def length(self, rank: int) -> int:
        """Number of samples of a rank."""
        full, tail = self.batches(rank)
        return full * self.batch_size + sum(tail)

    def batches(self, rank: int) -> tuple[int, tuple[int, ...]]:
        """Full batches of a rank, and the samples of each of its batches after them."""
        full, tail = self._whole_batches(rank)
        skipped = min(self.skip, full)
        return full - skipped, tail[self.skip - skipped :]

    def repeats(self, rank: int, start: int, stop: int) -> BoolArray | None:
        """Which of a rank's samples number start to stop are repeated, ``(stop - start,)``; None if uneven."""
        if self.tail != "repeat":
            return None
        before = self._whole_length(rank) - self.length(rank)
        return np.arange(before + start, before + min(stop, self.length(rank))) >= self._own_length(rank)

    def positions(
        self,
        rank: int,
        start: int,
        stop: int,
        lanes_of: LanesOf | None = None,  # noqa: ARG002 - parts are contiguous
    ) -> Int64Array:
        """Positions of a rank's samples number start to stop, ``(stop - start,)``; lanes mean nothing here."""
        length = self.length(rank)
        first = self._border(rank) + self._whole_length(rank) - length
        numbers = np.arange(first + start, first + min(stop, length), dtype=np.int64)
        return numbers.clip(0, max(0, self._border(rank + 1) - 1))

    # ── sizes ────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _shortest(self) -> int:
        # Parts are as long as their ranks say: the first is never longer than others, the last never shorter.
        return 0

    @property
    def _longest(self) -> int:
        return self.world_size - 1

    def _border(self, rank: int) -> int:
        return self.size * rank // self.world_size

    def _own_length(self, rank: int) -> int:
        """Samples of a rank's part, none of them repeated."""
        return self._border(rank + 1) - self._border(rank)

    def _whole_length(self, rank: int) -> int:
        """Samples of a rank's part, those of steps that were done before too."""
        return self._own_length(self._longest if self.tail == "repeat" else rank)

    def _steps(self, rank: int) -> int:
        full, tail = self._whole_batches(rank)
        return full + len(tail)

    def _whole_batches(self, rank: int) -> tuple[int, tuple[int, ...]]:
        full, rest = divmod(self._whole_length(rank), self.batch_size)
        if rest:
            return full, (rest,)
        steps = -(-self._whole_length(self._longest) // self.batch_size)
        if full and full < steps and self.batch_size > 1:
            return full - 1, (self.batch_size - 1, 1)
        return full, ()


def _part_by_lane(starts: Int64Array, length: int, part: slice, lanes_of: LanesOf) -> Int64Array:
    """One part of each step's positions when those are sorted by lane; inside the part, in ascending order.

    Args:
        starts: first position of each step, ``(steps,)``.
        length: positions in a step.
        part: which of the sorted positions.
        lanes_of: the lane of each position.
    """
    positions = starts[:, None] + np.arange(length)
    # A stable sort of few bits is a radix sort.
    lanes = lanes_of(positions.ravel()).astype(np.uint16).reshape(positions.shape)
    chosen = np.argsort(lanes, axis=1, kind="stable")[:, part]
    return np.sort(starts[:, None] + chosen, axis=1).ravel()
