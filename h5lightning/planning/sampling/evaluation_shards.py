"""Evaluation: each sample exactly once, without padding, in equally many steps on each rank.

A rank whose samples fill one batch less divides its last batch into two. For 9 samples, 2 ranks and batch size 2::

    step      0        1        2
    rank 0    0 1      2        3
    rank 1    4 5      6 7      8
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.errors import ShardingError
from h5lightning.planning.sampling.sharding import LanesOf

__all__ = ["EvaluationShards"]


@dataclass(frozen=True, slots=True)
class EvaluationShards:
    """Contiguous parts, in equally many steps on each rank.

    With the tail ``uneven`` each sample comes exactly once, and parts differ by one sample at most. All batches of a
    rank are full except the last two, whose sizes differ by one sample at most between ranks. This needs a batch size
    of at least 2.

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
        """The shards of what is left when each rank has done some steps."""
        return replace(self, skip=steps)

    @property
    def are_steps_equal(self) -> bool:
        """Whether all ranks take equally many steps."""
        counts = {full + len(tail) for full, tail in map(self._all_batches, (0, self._longest))}
        return len(counts) == 1

    @property
    def are_plain_steps_equal(self) -> bool:
        """Whether they would if each rank's samples were cut into full batches and a remainder."""
        lengths = {self._all_length(rank) for rank in (0, self._longest)}
        return len({-(-length // self.batch_size) for length in lengths}) == 1

    def length(self, rank: int) -> int:
        """Number of samples of a rank."""
        full, tail = self.batches(rank)
        return full * self.batch_size + sum(tail)

    def batches(self, rank: int) -> tuple[int, tuple[int, ...]]:
        """Number of full batches of a rank, and the size of each of its batches after them."""
        full, tail = self._all_batches(rank)
        skipped = min(self.skip, full)
        return full - skipped, tail[self.skip - skipped :]

    def repeats(self, rank: int, start: int, stop: int) -> BoolArray | None:
        """Which of a rank's samples ``[start, stop)`` are repeated, ``(stop - start,)``; None if ``uneven``."""
        if self.tail != "repeat":
            return None
        before = self._all_length(rank) - self.length(rank)
        return np.arange(before + start, before + min(stop, self.length(rank))) >= self._own_length(rank)

    def indices(
        self,
        rank: int,
        start: int,
        stop: int,
        lanes_of: LanesOf | None = None,  # noqa: ARG002 - parts are contiguous
    ) -> Int64Array:
        """The indices in the epoch of a rank's samples ``[start, stop)``, ``(stop - start,)``; lanes are ignored."""
        length = self.length(rank)
        first = self._border(rank) + self._all_length(rank) - length
        indices = np.arange(first + start, first + min(stop, length), dtype=np.int64)
        return indices.clip(0, max(0, self._border(rank + 1) - 1))

    @property
    def _longest(self) -> int:
        """The rank whose part is never shorter than others; that of rank 0 is never longer."""
        return self.world_size - 1

    def _border(self, rank: int) -> int:
        return self.size * rank // self.world_size

    def _own_length(self, rank: int) -> int:
        """Samples of a rank's part without repeats."""
        return self._border(rank + 1) - self._border(rank)

    def _all_length(self, rank: int) -> int:
        """Samples of a rank's part, including repeats and the steps that were done before."""
        return self._own_length(self._longest if self.tail == "repeat" else rank)

    def _all_batches(self, rank: int) -> tuple[int, tuple[int, ...]]:
        full, remainder = divmod(self._all_length(rank), self.batch_size)
        if remainder:
            return full, (remainder,)
        steps = -(-self._all_length(self._longest) // self.batch_size)
        if full and full < steps and self.batch_size > 1:
            return full - 1, (self.batch_size - 1, 1)
        return full, ()
