"""Check that real loaders, with real worker processes, deliver the planned samples with the values of the files."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.formatting import counted
from h5lightning.core.progress import Advance
from h5lightning.errors import H5LightningError
from h5lightning.loading.batch_finisher import SAMPLE_ID
from h5lightning.loading.batch_reader import Batch, BatchReader
from h5lightning.loading.epochs.sampler import ShardedSampler
from h5lightning.loading.loader import make_loader
from h5lightning.planning.sampling.training_progress import TrainingProgress
from h5lightning.tools.check.epoch_check import samples_of
from h5lightning.tools.check.reader_check import differences, plain_reader
from h5lightning.tools.check.run import CheckResult, CheckRun, describe_id, joined

__all__ = ["check_loaders"]

_TIMEOUT_S = 120.0


def check_loaders(run: CheckRun, advance: Advance) -> CheckResult:
    """The first batches of each epoch, for some ranks and each number of workers."""
    failures: list[str] = []
    ranks = run.loader_ranks()
    with plain_reader(run) as reader:
        # Padded windows end at the borders of the parts of splits, too.
        parts = run.data.plan.parts.values()
        plain = BatchReader(run.index, run.data.survey.fields, reader, run.access, parts=parts)
        for workers in run.settings.workers:
            for world, rank in ranks:
                where = f"{counted(workers, 'worker')}, rank {rank} of {world}"
                failures += (f"{where}, {text}" for text in _wrong(run, plain, workers, world, rank))
                advance(1)
    worlds = joined(sorted({world for world, _ in ranks}))
    scope = (
        f"workers {joined(run.settings.workers)} × ranks {worlds} × {counted(run.settings.epochs, 'epoch')} and a "
        f"resumed one, at most {run.settings.batches} batches each"
    )
    return CheckResult("loaders deliver the planned samples", scope, tuple(failures))


def _wrong(run: CheckRun, plain: BatchReader, workers: int, world: int, rank: int) -> Iterator[str]:
    """Errors in the batches of one rank's loaders, of a whole run and of a resumed one."""
    order, shards = run.training_order, run.training_shards(world)
    last, half = run.settings.epochs - 1, max(1, shards.steps // 2)
    remaining = TrainingProgress(last).after(last, half, shards).remaining_epoch(shards)
    whole = run.sampler("train", order, shards, rank)
    resumed = run.sampler("train", order, shards, rank, remaining=remaining)
    for name, sampler, epochs in (
        ("epoch", whole, range(last + 1)),
        (f"resumed after {half} steps, epoch", resumed, range(last, last + 1)),
    ):
        yield from (f"{name} {text}" for text in _wrong_epochs(run, plain, workers, sampler, epochs))


def _wrong_epochs(
    run: CheckRun, plain: BatchReader, workers: int, sampler: ShardedSampler, epochs: Sequence[int]
) -> Iterator[str]:
    dataset = run.data.datasets["train"]
    loader = make_loader(
        dataset,
        sampler,
        batch_size=run.settings.batch_size,
        num_workers=workers,
        for_workers={"timeout": _TIMEOUT_S},
    )
    epoch, failure = epochs[0], ""
    try:
        for epoch in epochs:
            sampler.set_epoch(epoch)
            planned = _planned(run, sampler)
            delivered = list(islice(loader, len(planned)))
            if len(delivered) < len(planned):
                yield f"{epoch}: {len(delivered)} batches came, expected {len(planned)}"
            for number, (batch, positions) in enumerate(zip(delivered, planned, strict=False)):
                ids = dataset.sample_ids(positions)
                expected = plain.read(ids, draws=dataset.draws(epoch))
                wrong = _wrong_batch(run, batch, plain.ragged_delivery().combined(expected, ids), ids)
                yield from (f"{epoch}, batch {number}: {text}" for text in wrong)
    except (H5LightningError, OSError, RuntimeError) as error:
        # A worker's error contains a traceback, whose last line is the message.
        failure = f"{epoch}: {type(error).__name__}: {str(error).strip().rpartition(chr(10))[2]}"
        # The iterator must end here: a worker that is forked later would collect it, and torch then prints an error.
        traceback.clear_frames(error.__traceback__)
    finally:
        loader.close()
        dataset.close()
    if failure:
        yield failure


def _planned(run: CheckRun, sampler: ShardedSampler) -> list[Int64Array]:
    """Positions of the samples of the first batches."""
    size = run.settings.batch_size
    stop = min(len(sampler), size * run.settings.batches)
    positions = samples_of(sampler, stop)
    return [positions[start : start + size] for start in range(0, stop, size)]


def _wrong_batch(run: CheckRun, batch: Batch, expected: Batch, ids: Int64Array) -> Iterator[str]:
    delivered = batch.pop(SAMPLE_ID).numpy()
    if not np.array_equal(delivered, ids):
        yield f"it has sample ids {joined(delivered[:4].tolist())} …, expected {joined(ids[:4].tolist())} …"
        return
    for key, i in differences(batch, expected):
        # A tensor of samples one after the other does not tell which of them a row belongs to.
        where = f", first in {describe_id(run.index, int(ids[i]))}" if i < len(ids) else ""
        yield f"field {key!r} differs from what h5py reads{where}"
