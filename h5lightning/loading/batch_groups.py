"""Batches of an epoch, read several at a time where they are small.

What is done once for a read (ids → files → rows, the hand-over between two threads) takes as long as the gather of a
thousand short rows. Neighbouring batches are therefore read in one go and dealt out, each with memory of its own.
How many go together is measured on the way: it depends on the storage and on the user's transforms. The next groups
are announced to the storage, in case it has to be waited for.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, islice
from typing import Any, TypeAlias

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.loading.prefetch import Pipeline
from h5lightning.loading.sample_dataset import RawBatches, SampleDataset
from h5lightning.planning.sampling.rank_epoch import RankEpoch

__all__ = ["BatchGroupReader"]

_Task: TypeAlias = tuple[Int64Array, list[Int64Array]]  # positions to read, and those to announce before

_MOST_BATCHES = 32
_MOST_BYTES = 12 * 1024 * 1024  # of a group
_AHEAD_GROUPS = 4  # that are announced before they are read
_ENOUGH_S = 0.005  # larger groups gain nothing, and their first batch waits for their last


class BatchGroupReader:
    """Reads batches in groups that take about a millisecond.

    Args:
        dataset: the samples.
        batch_size: samples in a batch.
        deliver: what a batch is turned into.
        block_samples: samples that lie side by side and come close together; see `Order.block_samples`.
        alone: one batch in each group, however small.
    """

    def __init__(
        self,
        dataset: SampleDataset,
        batch_size: int,
        deliver: Callable[[Any], Any],
        *,
        block_samples: int = 1,
        alone: bool = False,
    ) -> None:
        self._dataset = dataset
        self._announcer = dataset.announcer(block_samples)
        self._batch_size = batch_size
        self._deliver = deliver
        batch_bytes = max(1, batch_size * dataset.sample_bytes)
        most = 1 if alone else min(_MOST_BATCHES, max(1, _MOST_BYTES // batch_bytes))
        # Powers of two alone: memory is recycled by its size.
        self._most = 1 << (most.bit_length() - 1)
        self._batches = 1
        self._done = 0  # samples that were finished

    def stages(self, epoch: RankEpoch) -> Pipeline[list[Any]]:
        """Makes groups of batches in order, none empty.

        What cannot be read, or a transform that fails, is raised after the batches before it.

        Args:
            epoch: what is to be read.
        """
        return Pipeline(partial(self._tasks, epoch), self._read, partial(self._finish, epoch))

    def _tasks(self, epoch: RankEpoch) -> Iterator[_Task]:
        return self._looking_ahead(chain(self._cut(epoch.full_batches()), epoch.tail()))

    def _looking_ahead(self, groups: Iterator[Int64Array]) -> Iterator[_Task]:
        later: deque[Int64Array] = deque()
        while True:
            # Of what is in memory nothing is cut ahead, so that groups grow at once when they are fast.
            ahead = _AHEAD_GROUPS if self._announcer.is_cold else 0
            announced = list(islice(groups, max(0, ahead + 1 - len(later))))
            later.extend(announced)
            if not later:
                return
            yield later.popleft(), announced

    def _cut(self, stretches: Iterable[Int64Array]) -> Iterator[Int64Array]:
        left = np.zeros(0, np.int64)
        for stretch in stretches:
            # What is left of a stretch goes with the next one: a short group would be taken for a slow one.
            left = np.concatenate([left, stretch]) if left.size else stretch
            while len(left) >= (size := self._batches * self._batch_size):
                yield left[:size]
                left = left[size:]
        if left.size:
            yield left

    def _read(self, task: _Task) -> tuple[RawBatches, float]:
        began = time.perf_counter()
        positions, announced = task
        for group in announced:
            self._announcer.announce(group)
        read = self._dataset.read_raw(positions, self._batch_size)
        return read, time.perf_counter() - began

    def _finish(self, epoch: RankEpoch, read: tuple[RawBatches, float]) -> Iterator[list[Any]]:
        raw, took_s = read
        began = time.perf_counter()
        group: list[Any] = []
        try:
            for numbers, batch in raw.batches:
                is_repeat = epoch.repeats(self._done, self._done + len(numbers))
                group.append(self._deliver(self._dataset.finish(batch, numbers, epoch.epoch, is_repeat)))
                self._done += len(numbers)
            if raw.error is not None:
                raise raw.error
        except Exception:
            if group:
                yield group
            raise
        self._adapt(len(group), took_s + time.perf_counter() - began)
        yield group

    def _adapt(self, batches: int, took_s: float) -> None:
        if batches != self._batches:
            return  # the rest of an epoch, or of a size that was given up
        if took_s < _ENOUGH_S / 2:
            self._batches = min(self._most, 2 * batches)
        elif took_s > _ENOUGH_S:
            self._batches = max(1, batches // 2)
