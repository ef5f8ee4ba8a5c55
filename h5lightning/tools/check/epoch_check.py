"""Check whole epochs as all ranks together see them: each sample is counted, none is read.

Memory is 16 to 32 bytes for each sample of a split.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.formatting import counted, listed
from h5lightning.core.progress import Advance
from h5lightning.errors import ShardingError
from h5lightning.loading.epochs.sampler import ShardedSampler
from h5lightning.planning.sampling import Order, PathOrder
from h5lightning.planning.sampling.sharding import Shards
from h5lightning.tools.check.run import MOST_NAMED, CheckResult, CheckRun, joined

__all__ = [
    "check_evaluation",
    "check_orders",
    "check_training",
    "counts_of",
    "differing_counts",
    "samples_of",
]

_PROBE = 4096  # indices that are computed a second time, in reverse


def check_orders(run: CheckRun, advance: Advance) -> CheckResult:
    """The order of each epoch: every sample once, or as its weight says; another order in each epoch."""
    order, failures = run.training_order, []
    indices = np.arange(order.size)
    epochs: list[Int64Array] = []
    for epoch in range(run.settings.epochs):
        samples = order.samples(epoch, indices)
        failures += [f"epoch {epoch}: {text}" for text in _wrong_counts(run, samples)]
        probe = indices[-_PROBE:][::-1]
        if not np.array_equal(order.samples(epoch, probe), samples[probe]):
            failures.append(f"epoch {epoch}: the order depends on how it is computed")
        epochs.append(samples[:_PROBE])
        advance(1)
    same = [epoch for epoch in range(1, len(epochs)) if np.array_equal(epochs[epoch - 1], epochs[epoch])]
    if run.is_shuffled and same:
        failures.append(f"epochs {joined(same)} have the order of the epoch before")
    name = "each epoch has its order" if run.weights is None else "each epoch draws by weight"
    scope = f"{counted(order.size, 'training sample')}, epochs 0–{len(epochs) - 1}"
    return CheckResult(name, scope, tuple(failures))


def check_training(run: CheckRun, advance: Advance) -> CheckResult:
    """All ranks together get the samples of the order; `TrainingShards` says how many are dropped or repeated."""
    order, failures, notes = run.training_order, [], []
    worlds = run.settings.ranks_for(order.size)
    for world in worlds:
        ranks = counted(world, "rank")
        try:
            shards = run.training_shards(world)
        except ShardingError as error:
            failures.append(f"{ranks}: {error}")
            continue
        if shards.dropped or shards.repeated:
            tail = f"{shards.dropped} dropped" if shards.dropped else f"{shards.repeated} repeated"
            notes.append(f"{ranks}: {tail}")
        for epoch in range(run.settings.epochs):
            expected = np.bincount(order.samples(epoch, np.arange(order.size)), minlength=order.size)
            seen = _seen(run, "train", order, shards, epoch)
            wrong = differing_counts(run, seen, expected, shards.dropped, shards.repeated)
            failures += [f"{ranks}, epoch {epoch}: {text}" for text in wrong]
            advance(1)
        failures += [f"{ranks}: {text}" for text in _unequal_steps(shards)]
    scope = f"ranks {joined(worlds)} × {counted(run.settings.epochs, 'epoch')}"
    return CheckResult("training: exactly once over all ranks", scope, tuple(failures), "; ".join(notes))


def check_evaluation(run: CheckRun, advance: Advance) -> CheckResult:
    """Every validation, test and predict sample comes exactly once, for any number of ranks."""
    failures = []
    stages = [stage for stage in run.data.datasets if stage != "train"]
    for stage in stages:
        size = len(run.data.datasets[stage])
        for world in run.settings.ranks_for(size):
            where = f"{stage}, {counted(world, 'rank')}"
            try:
                shards = run.evaluation_shards(stage, world)
            except ShardingError as error:
                failures.append(f"{where}: {error}")
                continue
            seen = _seen(run, stage, PathOrder(size), shards, epoch=0)
            wrong = [*_unequal_steps(shards)] if run.settings.batch_size > 1 else []
            wrong += differing_counts(run, seen, np.ones_like(seen), 0, 0, stage)
            failures += [f"{where}: {text}" for text in wrong]
            advance(1)
    return CheckResult("evaluation: exactly once over all ranks", ", ".join(stages), tuple(failures))


def _seen(run: CheckRun, stage: str, order: Order, shards: Shards, epoch: int) -> Int64Array:
    """How often each sample comes over all ranks, ``(N,)``."""
    seen = np.zeros(order.size, np.int64)
    for rank in range(shards.world_size):
        seen += counts_of(run.sampler(stage, order, shards, rank, epoch))
    return seen


def _wrong_counts(run: CheckRun, samples: Int64Array) -> Iterator[str]:
    counts = np.bincount(samples, minlength=len(samples))
    if run.weights is None:
        yield from differing_counts(run, counts, np.ones_like(counts), 0, 0)
        return
    expected = len(samples) * run.weights / run.weights.sum()
    # The range of a sample ends in two strata, in each of which it may or may not be drawn.
    wrong = np.flatnonzero((np.abs(counts - expected) >= 2) | (counts > 0) & (run.weights == 0))
    texts = [
        f"{run.describe('train', position)} comes {counts[position]} times, by its weight {expected[position]:.1f}"
        for position in wrong[:MOST_NAMED].tolist()
    ]
    if texts:
        yield listed(texts, MOST_NAMED, total=wrong.size, separator="; ")


def _unequal_steps(shards: Shards) -> Iterator[str]:
    steps = {full + len(tail) for full, tail in map(shards.batches, range(shards.world_size))}
    if len(steps) > 1:
        yield f"ranks take {joined(sorted(steps))} steps: they would wait for each other"


def samples_of(sampler: ShardedSampler, stop: int | None = None) -> Int64Array:
    """The first ``stop`` positions of one rank's part of an epoch; None for all."""
    length = len(sampler) if stop is None else min(stop, len(sampler))
    return np.concatenate([np.zeros(0, dtype=np.int64), *sampler.stretches(stop=length)])


def counts_of(sampler: ShardedSampler, stop: int | None = None) -> Int64Array:
    """How often each sample comes among the first ``stop`` of one rank, ``(N,)``; None for all."""
    return np.bincount(samples_of(sampler, stop), minlength=sampler.order.size)


def differing_counts(
    run: CheckRun, seen: Int64Array, expected: Int64Array, dropped: int, repeated: int, stage: str = "train"
) -> Iterator[str]:
    """Describe samples that are missing or come too often, beyond the planned ones.

    Args:
        run: locates the samples.
        seen: how often each sample came, ``(N,)``.
        expected: how often it should have come, ``(N,)``.
        dropped: the planned number of missing samples.
        repeated: the planned number of repeated samples.
        stage: the split.
    """
    for kind, excess, allowed in (
        ("missing", expected - seen, dropped),
        ("repeated", seen - expected, repeated),
    ):
        if (count := int(excess.clip(0).sum())) != allowed:
            positions = np.flatnonzero(excess > 0)
            named = [run.describe(stage, position) for position in positions[:MOST_NAMED].tolist()]
            text = listed(named, MOST_NAMED, total=positions.size)
            yield f"{count} samples {kind}, expected {allowed}: {text or 'none'}"
