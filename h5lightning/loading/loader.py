"""The DataLoader: whole batches from the dataset, made ahead by threads or by worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import partial
from itertools import chain
from typing import Any, cast

import torch
from torch.utils.data import BatchSampler, DataLoader
from torch.utils.data._utils.pin_memory import pin_memory

from h5lightning.core.permutation import derive_key
from h5lightning.core.process_local import ProcessLocalRef, ProcessLocalSet, usable_cores
from h5lightning.errors import WorkerError
from h5lightning.loading.batch_groups import BatchGroupReader
from h5lightning.loading.collate import Collate
from h5lightning.loading.epochs.epoch_iterator import EpochIterator
from h5lightning.loading.epochs.sampler import ShardedSampler, caller_of
from h5lightning.loading.prefetch import PrefetchPipeline, ReadAhead
from h5lightning.loading.sample_dataset import SampleDataset
from h5lightning.planning.sampling.rank_epoch import RankEpoch

__all__ = ["H5DataLoader", "default_threads", "make_loader"]

_MOST_THREADS = 4  # more seldom help: rows are copied at the speed of memory, and the model needs cores too

# Enough to bridge a slow chunk; more would only push batches out of the processor's caches.
_AHEAD_GROUPS = 4
_AHEAD_BYTES = 8 * 1024 * 1024
# The epoch that a loader begins: torch's iterators ask for positions while they are made.
_BEGUN: ContextVar[RankEpoch | None] = ContextVar("begun epoch", default=None)


def default_threads(reader: str = "auto") -> int:
    """Threads that make batches ahead in the training process, unless a number is given."""
    # HDF5 has one lock for all threads: a second one would only wait for it, and for the GIL.
    return 1 if reader == "h5py" else min(_MOST_THREADS, usable_cores())


def make_loader(
    dataset: SampleDataset,
    sampler: ShardedSampler,
    *,
    num_workers: int = 0,
    threads: int | None = None,
    as_tuple: Sequence[str] | None = None,
    for_workers: Mapping[str, Any],
    **kwargs: Any,
) -> H5DataLoader:
    """The loader of one rank.

    Args:
        dataset: the samples of a split.
        sampler: this rank's samples of an epoch.
        num_workers: worker processes; 0 reads in the training process.
        threads: without workers, threads that make batches ahead of the training step; None chooses.
        as_tuple: deliver batches as a tuple of these keys; None for a dict.
        for_workers: arguments of torch's DataLoader, which it refuses without workers.
        **kwargs: its other arguments.
    """
    ahead = default_threads() if threads is None else threads
    return H5DataLoader(
        dataset,
        threads=0 if num_workers else ahead,
        sampler=sampler,
        num_workers=num_workers,
        collate_fn=Collate(as_tuple),
        **(for_workers if num_workers else {}),
        **kwargs,
    )


class H5DataLoader(DataLoader[Any]):
    """A DataLoader that reads batches whole and begins an epoch at its first batch.

    With its own sampler, it takes whole batches of positions from a `RankEpoch`, since torch's BatchSampler can end an
    epoch only with one short batch; without workers, it takes groups of batches.

    Its state, like that of torchdata's StatefulDataLoader, is the number of delivered batches: a new loader that loads
    it delivers the remaining ones, and then whole epochs.

    Args:
        dataset: the samples.
        threads: without workers, threads that make the next batches while the model works on this one; 0 makes
            each batch when it is requested.
        **kwargs: those of `torch.utils.data.DataLoader`; ``collate_fn`` is a `Collate` unless given.
    """

    # Lightning looks for `**kwargs` when it rebuilds a loader with another sampler.
    def __init__(self, dataset: SampleDataset, *, threads: int = 1, **kwargs: Any) -> None:
        kwargs.setdefault("collate_fn", Collate())
        # Without a generator, torch draws the seed of the workers from the user's global one.
        kwargs.setdefault("generator", torch.Generator())
        super().__init__(dataset, **kwargs)
        self.threads = threads
        self._running: ProcessLocalSet[ReadAhead[Any]] = ProcessLocalSet()
        self._newest: ProcessLocalRef[EpochIterator] = ProcessLocalRef()

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # torch annotates its private iterator class
        return EpochIterator(self._start, self.timeout, check=self._check_newest)

    @property
    def _index_sampler(self) -> Any:
        """What torch takes numbers of samples from."""
        own = super()._index_sampler
        return _Requests(cast("ShardedSampler", self.sampler), own) if self._divides_itself else own

    @property
    def _divides_itself(self) -> bool:
        """Whether the sampler and the batch size are still those of this package."""
        sampler, batches = self.sampler, self.batch_sampler
        if not isinstance(sampler, ShardedSampler) or type(batches) is not BatchSampler:
            return False
        is_same = batches.sampler is sampler and not batches.drop_last
        return is_same and batches.batch_size == sampler.epochs.batch_size

    def _start(self, asker: EpochIterator) -> tuple[Iterator[Any], int | None]:
        dataset = cast("SampleDataset", self.dataset)
        is_whole = self._divides_itself
        epoch = cast("ShardedSampler", self.sampler).begin(asker) if is_whole else None
        self._newest.set(asker)
        number = dataset.epoch if epoch is None else epoch.epoch
        key = derive_key("workers", dataset.stage, dataset.seed, number, 0 if epoch is None else epoch.rank)
        self.generator.manual_seed(key >> 1)
        token = _BEGUN.set(epoch)
        try:
            batches = self._batches(epoch)
        finally:
            _BEGUN.reset(token)
        return batches, None if epoch is None else epoch.steps

    def _batches(self, epoch: RankEpoch | None) -> Iterator[Any]:
        if self.num_workers > 0:
            start: Callable[[], Iterator[Any]] = super().__iter__
            if self._iterator is not None:
                return start()  # persistent workers, which go on
            return cast("SampleDataset", self.dataset).start_workers(self.num_workers, start)
        by_groups = epoch is not None and isinstance(self.collate_fn, Collate)
        pipeline = self._groups(epoch) if epoch is not None and by_groups else self._single_batches()
        if not self.threads:
            return chain.from_iterable(pipeline)
        threads = self.threads if by_groups else 1
        ahead = ReadAhead(
            pipeline, _bytes_of, threads=threads, most_items=_AHEAD_GROUPS, most_bytes=_AHEAD_BYTES
        )
        self._running.add(ahead)
        return _dealt(ahead)

    def _check_newest(self, asker: EpochIterator) -> None:
        """Raise if persistent workers deliver another epoch by now: torch has one iterator for them."""
        if self.persistent_workers and self.num_workers > 0 and self._newest.get() is not asker:
            raise WorkerError(
                "this iterator is out of date: the loader has persistent workers, which make the batches of a newer "
                "iterator over it, or were ended (dm.teardown). Finish one epoch before the next, or set "
                "persistent_workers=False"
            )

    def close(self) -> None:
        """End the threads that make batches, and persistent workers, and wait for them."""
        for ahead in list(self._running):
            ahead.close()
        persistent: Any = self._iterator
        if persistent is not None:
            # If garbage collection does it, torch waits five seconds for each of them.
            self._iterator = None
            self._newest = ProcessLocalRef()
            persistent._shutdown_workers()  # noqa: SLF001 - as Lightning

    def state_dict(self) -> dict[str, Any]:
        """Progress of the newest iterator, in plain types; see `load_state_dict`."""
        if not isinstance(self.sampler, ShardedSampler):
            return {}
        return self.sampler.epochs.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the next iterator begin after the batches that were delivered when the state was taken.

        Args:
            state_dict: the state of a loader of the same samples, in the same order.

        Raises:
            ResumeError: it is the state of other samples.
        """
        if state_dict and isinstance(self.sampler, ShardedSampler):
            self.sampler.epochs.load_state_dict(state_dict, by_trainer=caller_of(2) == "trainer")

    def _single_batches(self) -> PrefetchPipeline[list[Any]]:
        # Made here: the thread that makes the first batch does not know which epoch has begun.
        batches = super().__iter__()
        return PrefetchPipeline.of(lambda: ([batch] for batch in batches))

    def _groups(self, epoch: RankEpoch) -> PrefetchPipeline[list[Any]]:
        reader = BatchGroupReader(
            cast("SampleDataset", self.dataset),
            epoch.shards.batch_size,
            self._delivery(),
            block_samples=epoch.order.block_samples,
            alone=not self.threads,
            threads=self.threads,
        )
        return reader.pipeline(epoch)

    def _delivery(self) -> Callable[[Any], Any]:
        """What delivers a batch that was read; page-locked memory only if there is an accelerator, as in torch."""
        deliver = cast("Collate", self.collate_fn).deliver
        # torch's own iterator decides whether and where, and warns.
        decided: Any = super().__iter__() if self.pin_memory else None
        is_pinned = decided is not None and decided._pin_memory  # noqa: SLF001
        cast("SampleDataset", self.dataset).pin_memory(enabled=is_pinned)
        if not is_pinned:
            return deliver
        # Batches as read are in page-locked memory already, and are not copied; those that transforms made are.
        pin = partial(pin_memory, device=decided._pin_memory_device)  # noqa: SLF001
        return lambda batch: pin(deliver(batch))


class _Requests:
    """The batches of the epoch that is being begun, for torch's iterators.

    Persistent workers keep it. It must not refer to the loader: in a reference cycle, torch ends workers too late.
    """

    def __init__(self, sampler: ShardedSampler, batches: Any) -> None:
        self._sampler = sampler
        self._batches = batches

    def __iter__(self) -> Iterator[Any]:
        epoch = _BEGUN.get()
        # torch's own iterators ask during an epoch; without one, other code looks at the batches.
        return iter(self._batches) if epoch is None else epoch.requests()

    def __len__(self) -> int:
        # Lightning compares it with all batches of the epoch, those before a resume included.
        epoch = self._sampler.peek()
        return epoch.steps_done + epoch.steps


def _dealt(groups: ReadAhead[list[Any]]) -> Iterator[Any]:
    """Batches of groups, one by one.

    No batch is kept here: to free a whole group takes 0.2 ms. The threads are told of a taken group only at its second
    batch: the training loop has just got the first one, and needs the GIL.
    """
    while True:
        try:
            group = groups.take()
        except StopIteration:
            return
        group.reverse()
        if len(group) > 1:
            yield group.pop()
        groups.make_room()
        while group:
            yield group.pop()


def _bytes_of(group: list[Any]) -> int:
    return sum(_nbytes(value) for batch in group for value in _values_of(batch))


def _nbytes(value: Any) -> int:
    if isinstance(value, list):  # samples of different shapes
        return sum(map(_nbytes, value))
    if isinstance(value, bytes):
        return len(value)
    return value.nbytes if isinstance(value, torch.Tensor) else 0


def _values_of(batch: Any) -> Iterable[Any]:
    return batch.values() if isinstance(batch, Mapping) else batch if isinstance(batch, tuple) else (batch,)
