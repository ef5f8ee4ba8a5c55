"""Training: equally many steps on each rank.

Each step takes the next ``world_size * batch_size`` indices, so that the consumed ones are always a prefix of
the epoch, for any world size. For 11 samples, 2 ranks and batch size 2::

    step      0        1        2
    rank 0    0 1      4 5      8 9
    rank 1    2 3      6 7      10

If the order has lanes, whose samples come from the same chunks, the indices of a step are sorted by lane and rank r
gets the r-th part, so that ranks decode different chunks. With two lanes, of even and odd indices::

    rank 0    0 2      4 6      8 10
    rank 1    1 3      5 7      9
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import ShardingError
from h5lightning.planning.sampling.sharding import LanesOf

__all__ = ["TrainingShards"]

# Indices of all ranks that are sorted at once: enough to be fast, and little memory for any number of ranks.
_SORTED_AT_ONCE = 1 << 17


@dataclass(frozen=True, slots=True)
class TrainingShards:
    """Equal steps on each rank; the last step is spread evenly.

    Args:
        size: number of samples in the epoch.
        batch_size: samples of one rank in one step.
        world_size: number of ranks.
        tail: ``drop`` or ``repeat`` the samples, fewer than ranks, that remain for the last step.
        drop_last: drop the whole last step unless it is full.
        start: samples of the epoch that were consumed before; the first step begins after them.

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
            raise ValueError(f"an epoch of {self.size} samples cannot continue at {self.start}")
        if not self.steps and not self.start:
            raise ShardingError(f"{self.size} training samples make no step: {self._shortage()}")

    def after(self, samples: int) -> TrainingShards:
        """The shards of what is left after the first ``samples`` of an epoch; there may be no step left."""
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
        ragged = self.remaining - self.full_steps * self.step_samples
        if self.drop_last or not ragged:
            return 0
        if ragged < self.world_size:
            return self.world_size if self.tail == "repeat" else 0
        return ragged

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
        """Number of full batches of a rank, and the size of each of its batches after them."""
        last = self._last_batch(rank)
        return self.full_steps, (last,) if last else ()

    def repeats(self, rank: int, start: int, stop: int) -> None:
        """None: training does not record which samples are repeated."""

    def indices(self, rank: int, start: int, stop: int, lanes_of: LanesOf | None = None) -> Int64Array:
        """The indices in the epoch of a rank's samples ``[start, stop)``; see `Shards`."""
        stop = min(stop, self.length(rank))
        if lanes_of is not None and self.world_size > 1:
            return self._indices_by_lane(rank, start, stop, lanes_of)
        step, i = np.divmod(np.arange(start, stop, dtype=np.int64), self.batch_size)
        before = np.where(step < self.full_steps, rank * self.batch_size, self._last_start(rank))
        # Repeated samples are the first of the epoch, which were seen longest ago.
        return (self.start + step * self.step_samples + before + i) % self.size

    def _indices_by_lane(self, rank: int, start: int, stop: int, lanes_of: LanesOf) -> Int64Array:
        first, last = start // self.batch_size, -(-stop // self.batch_size)
        steps = max(1, _SORTED_AT_ONCE // self.step_samples)
        full = min(last, self.full_steps)
        own = slice(rank * self.batch_size, (rank + 1) * self.batch_size)
        parts = [np.zeros(0, dtype=np.int64)]
        for step in range(first, full, steps):
            starts = self.start + np.arange(step, min(step + steps, full), dtype=np.int64) * self.step_samples
            parts.append(_part_by_lane(starts, self.step_samples, own, lanes_of))
        if last > self.full_steps:
            starts = np.asarray([self.start + self.full_steps * self.step_samples])
            own = slice(self._last_start(rank), self._last_start(rank + 1))
            parts.append(_part_by_lane(starts, self.last_samples, own, lanes_of) % self.size)
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
        return self._last_start(rank + 1) - self._last_start(rank)

    def _last_start(self, rank: int) -> int:
        each, extra = divmod(self.last_samples, self.world_size)
        return rank * each + min(rank, extra)


def _part_by_lane(starts: Int64Array, length: int, part: slice, lanes_of: LanesOf) -> Int64Array:
    """One part of the indices of steps, each sorted by lane; inside the part, in ascending order."""
    indices = starts[:, None] + np.arange(length)
    # A stable sort of few bits is a radix sort.
    lanes = lanes_of(indices.ravel()).astype(np.uint16).reshape(indices.shape)
    chosen = np.argsort(lanes, axis=1, kind="stable")[:, part]
    return np.sort(starts[:, None] + chosen, axis=1).ravel()
