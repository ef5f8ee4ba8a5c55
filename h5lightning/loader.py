"""The DataLoader: whole batches from the dataset, and an iterator that starts late.

Lightning calls ``iter(loader)`` before ``set_epoch`` (lightning#21938): a loader that starts its workers and its
sampler at once would deliver the order of the epoch before. Ours starts at the first ``next``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import torch
from torch.utils.data import DataLoader

from h5lightning.checking import check_choice, check_int
from h5lightning.dataset import SampleDataset, SampleSequence
from h5lightning.errors import OptionError
from h5lightning.permutation import derive_key
from h5lightning.read_ahead import ProcessLocalSet, ReadAhead
from h5lightning.sampler import ShardedSampler

__all__ = ["H5DataLoader", "LoaderOptions", "collate", "make_loader"]

# Enough to bridge a slow chunk; more only keeps batches from the processor's caches.
_AHEAD_BATCHES = 4
_AHEAD_BYTES = 256 * 1024 * 1024
_MOST_THREADS = 4  # more seldom pay: rows are copied at the speed of memory, and the model wants cores too


@dataclass(frozen=True, slots=True)
class LoaderOptions:
    """How batches travel from the dataset to the training loop.

    Args:
        num_workers: worker processes; 0 reads in the training process.
        threads: threads that read and decode in each loading process; without workers, batches are then made
            ahead of the training step. 0 reads each batch when it is asked for; None chooses.
        pin_memory: copy batches to page-locked memory.
        persistent_workers: keep workers alive from epoch to epoch; without workers, it means nothing.
        prefetch_factor: batches that each worker makes ahead; None for torch's default.
        multiprocessing_context: how workers are started; None for the system's default.
        timeout_s: seconds to wait for a worker's batch; 0 waits for ever.
        as_tuple: deliver batches as a tuple of these keys; None for a dict.
    """

    num_workers: int = 0
    threads: int | None = None
    pin_memory: bool = False
    persistent_workers: bool = False
    prefetch_factor: int | None = None
    multiprocessing_context: str | None = None
    timeout_s: float = 0
    as_tuple: Sequence[str] | None = None

    def __post_init__(self) -> None:
        check_int("num_workers", self.num_workers, at_least=0)
        if self.threads is not None:
            check_int("threads", self.threads, at_least=0)
        if self.prefetch_factor is not None:
            check_int("prefetch_factor", self.prefetch_factor, at_least=1)
        if self.multiprocessing_context is not None:
            check_choice(
                "multiprocessing_context", self.multiprocessing_context, ("fork", "forkserver", "spawn")
            )
        if self.timeout_s < 0:
            raise OptionError(f"timeout_s must be at least 0, found {self.timeout_s}")
        if isinstance(self.as_tuple, str) or (self.as_tuple is not None and not self.as_tuple):
            raise OptionError(
                f"as_tuple must list keys of the batch, such as ['x', 'y']; found {self.as_tuple!r}"
            )

    def without(self, keys: Collection[str]) -> LoaderOptions:
        """The same for batches that lack ``keys``: unlabelled data."""
        if self.as_tuple is None or not keys:
            return self
        return replace(self, as_tuple=[key for key in self.as_tuple if key not in keys])

    @property
    def reading_threads(self) -> int:
        """Threads that decode for one batch: worker processes have one each, unless more are asked for."""
        if self.threads is None:
            return 1 if self.num_workers else min(_MOST_THREADS, os.cpu_count() or 1)
        return max(1, self.threads)

    def for_torch(self) -> dict[str, Any]:
        """Arguments of `torch.utils.data.DataLoader`, which refuses those of workers where there are none."""
        common = {
            "num_workers": self.num_workers,
            "pin_memory": self.pin_memory,
            "collate_fn": collate_as(self.as_tuple),
        }
        if not self.num_workers:
            return common
        return common | {
            "timeout": self.timeout_s,
            "persistent_workers": self.persistent_workers,
            "prefetch_factor": self.prefetch_factor,
            "multiprocessing_context": self.multiprocessing_context,
        }


def make_loader(
    dataset: SampleDataset, sampler: ShardedSampler, *, batch_size: int, options: LoaderOptions
) -> H5DataLoader:
    """The loader of one rank.

    Args:
        dataset: the samples of a split.
        sampler: this rank's samples of an epoch.
        batch_size: samples of this rank in one step.
        options: how batches travel.
    """
    reads_ahead = options.threads != 0
    return H5DataLoader(
        dataset, reads_ahead=reads_ahead, sampler=sampler, batch_size=batch_size, **options.for_torch()
    )


class H5DataLoader(DataLoader[Any]):
    """A DataLoader that reads batches whole and starts at the first batch.

    Args:
        dataset: the samples.
        reads_ahead: without workers, make the next batches in a thread while the model works on this one.
        **kwargs: those of `torch.utils.data.DataLoader`; ``collate_fn`` is `collate` unless given.
    """

    # `**kwargs` is what Lightning looks for when it rebuilds a loader with another sampler.
    def __init__(self, dataset: SampleDataset, *, reads_ahead: bool = True, **kwargs: Any) -> None:
        kwargs.setdefault("collate_fn", collate)
        # Without a generator, torch draws the seed of the workers from the user's global one.
        kwargs.setdefault("generator", torch.Generator())
        super().__init__(dataset, **kwargs)
        self.reads_ahead = reads_ahead
        self._running: ProcessLocalSet[ReadAhead[Any]] = ProcessLocalSet()
        if self.num_workers > 0:
            dataset.share_epoch()

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # torch annotates its private iterator class
        return _LateIterator(self._start)

    def _start(self) -> Iterator[Any]:
        dataset = cast("SampleDataset", self.dataset)
        dataset.set_epoch(int(getattr(self.sampler, "epoch", dataset.epoch)))
        rank = int(getattr(self.sampler, "rank", 0))
        self.generator.manual_seed(derive_key("workers", dataset.seed, dataset.epoch, rank) >> 1)
        if self.num_workers > 0:
            dataset.close()  # nothing open may travel into a forked worker
        if self.num_workers > 0 or not self.reads_ahead:
            return super().__iter__()
        ahead = ReadAhead(super().__iter__, _bytes_of, most_items=_AHEAD_BATCHES, most_bytes=_AHEAD_BYTES)
        self._running.add(ahead)
        return ahead

    def close(self) -> None:
        """End the threads that still make batches, and wait for them."""
        for ahead in list(self._running):
            ahead.close()


class _LateIterator(Iterator[Any]):
    """Makes the real iterator when the first batch is asked for."""

    def __init__(self, start: Callable[[], Iterator[Any]]) -> None:
        self._start = start
        self._batches: Iterator[Any] | None = None

    def __next__(self) -> Any:
        if self._batches is None:
            self._batches = self._start()
        return next(self._batches)


def _bytes_of(batch: Any) -> int:
    values = batch.values() if isinstance(batch, Mapping) else batch if isinstance(batch, tuple) else (batch,)
    return sum(value.nbytes for value in values if isinstance(value, torch.Tensor))


def collate(samples: SampleSequence) -> dict[str, Any]:
    """The batch of samples, read whole."""
    return samples.batch()


def collate_tuple(samples: SampleSequence, keys: Sequence[str]) -> tuple[Any, ...]:
    """The batch of samples as a tuple in the order of ``keys``.

    Raises:
        OptionError: the batch lacks a key.
    """
    batch = samples.batch()
    if missing := [key for key in keys if key not in batch]:
        raise OptionError(f"as_tuple names {missing}, the batch holds {sorted(batch)}")
    return tuple(batch[key] for key in keys)


def collate_as(keys: Sequence[str] | None) -> Callable[[SampleSequence], Any]:
    """How batches are delivered: as a dict, or as a tuple of ``keys``."""
    return collate if keys is None else partial(collate_tuple, keys=tuple(keys))
