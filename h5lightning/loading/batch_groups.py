"""Batches of an epoch, read several at a time where they are small.

The fixed cost of a read (ids → files → rows, and the hand-over between two threads) equals the gather of about 1,000
short rows. Neighbouring batches are therefore read together and then separated, each with its own memory. The size of
a group is adapted to the measured time, which depends on the storage and on the user's transforms. The next groups are
prefetched if the storage is slow.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import H5LightningError
from h5lightning.loading.batch_reader import RawBatches
from h5lightning.loading.decode_ahead import DecodeShare
from h5lightning.loading.prefetch import PrefetchPipeline
from h5lightning.loading.prefetch_hints import PrefetchAdvisor, fetched_by_thread
from h5lightning.loading.sample_dataset import SampleDataset
from h5lightning.planning.sampling.rank_epoch import RankEpoch

__all__ = ["BatchGroupReader"]

_MOST_BATCHES = 32
_MOST_BYTES = 12 * 1024 * 1024  # of a group
_AHEAD_GROUPS = 4  # that are prefetched before they are read
_ENOUGH_S = 0.005  # larger groups gain nothing, and their first batch waits for the last one


class _Task(NamedTuple):
    """What one group of batches does.

    Args:
        positions: of the samples to read.
        to_prefetch: groups to prefetch before.
        to_decode: what is decoded afterwards for later groups.
    """

    positions: Int64Array
    to_prefetch: list[Int64Array]
    to_decode: DecodeShare | None = None


class BatchGroupReader:
    """Reads batches in groups that take about a millisecond.

    Args:
        dataset: the samples.
        batch_size: samples in a batch.
        deliver: makes the delivered batch of a finished one.
        block_samples: samples that lie side by side and come close together; see `Order.block_samples`.
        alone: one batch in each group, however small.
        threads: that read groups at the same time; 0 reads each group when it is requested.
    """

    def __init__(
        self,
        dataset: SampleDataset,
        batch_size: int,
        deliver: Callable[[Any], Any],
        *,
        block_samples: int = 1,
        alone: bool = False,
        threads: int = 1,
    ) -> None:
        self._dataset = dataset
        self._block_samples = block_samples
        self._batch_size = batch_size
        self._deliver = deliver
        self._threads = threads
        batch_bytes = max(1, batch_size * dataset.sample_bytes)
        most = 1 if alone else min(_MOST_BATCHES, max(1, _MOST_BYTES // batch_bytes))
        # A power of two, since memory is recycled by its size.
        self._most = 1 << (most.bit_length() - 1)
        self._batches = 1
        self._done = 0  # samples that were finished

    def pipeline(self, epoch: RankEpoch) -> PrefetchPipeline[list[Any]]:
        """Makes groups of batches in order, none empty; an error is raised after the batches before it."""
        advisor = self._dataset.prefetch_advisor(self._block_samples, epoch.epoch)
        return PrefetchPipeline(
            partial(self._tasks, epoch, advisor),
            partial(self._read, epoch, advisor),
            partial(self._finish, epoch),
        )

    def _tasks(self, epoch: RankEpoch, advisor: PrefetchAdvisor) -> Iterator[_Task]:
        decode_ahead = self._dataset.decode_ahead(epoch.epoch, threads=self._threads)
        full = epoch.full_batches()
        if decode_ahead is None:
            return self._looking_ahead(advisor, chain(self._cut(full), epoch.tail()))
        tasks = self._looking_ahead(advisor, chain(self._cut(decode_ahead.watched(full)), epoch.tail()))
        return (task._replace(to_decode=decode_ahead.share(len(task.positions))) for task in tasks)

    @staticmethod
    def _looking_ahead(advisor: PrefetchAdvisor, groups: Iterator[Int64Array]) -> Iterator[_Task]:
        later: deque[Int64Array] = deque()
        while True:
            # If the data are in memory, no group is cut ahead, so that fast groups grow at once.
            ahead = _AHEAD_GROUPS if advisor.is_cold else 0
            to_prefetch = list(islice(groups, max(0, ahead + 1 - len(later))))
            later.extend(to_prefetch)
            if not later:
                return
            yield _Task(later.popleft(), to_prefetch)

    def _cut(self, parts: Iterable[Int64Array]) -> Iterator[Int64Array]:
        left = np.zeros(0, np.int64)
        for part in parts:
            # The rest of a part goes with the next one: a short group would distort the measured time.
            left = np.concatenate([left, part]) if left.size else part
            while len(left) >= (size := self._batches * self._batch_size):
                yield left[:size]
                left = left[size:]
        if left.size:
            yield left

    def _read(self, epoch: RankEpoch, advisor: PrefetchAdvisor, task: _Task) -> tuple[RawBatches, float]:
        began = time.perf_counter()
        for group in task.to_prefetch:
            advisor.prefetch(group)
        fetched = fetched_by_thread()
        read = self._dataset.read_raw(task.positions, self._batch_size, epoch.epoch)
        advisor.note(fetched_by_thread() - fetched)
        if task.to_decode is not None:
            # The read that follows raises the error again. What was read stays good if there is no more memory.
            with suppress(H5LightningError, MemoryError):
                self._dataset.decode(*task.to_decode, epoch.epoch)
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
            return  # the last group of an epoch, or one of an older size
        if took_s < _ENOUGH_S / 2:
            self._batches = min(self._most, 2 * batches)
        elif took_s > _ENOUGH_S:
            self._batches = max(1, batches // 2)
