"""Whole epochs, as every rank would see them: counted sample by sample, without reading one.

Memory is 16 to 32 bytes for each sample of a split.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.formatting import counted
from h5lightning.core.progress import Advance
from h5lightning.errors import ShardingError
from h5lightning.planning.sampling import Order, PathOrder
from h5lightning.planning.sampling.sharding import Shards
from h5lightning.tools.check.counting import MOST_NAMED, counts_of, differing_counts, more_text
from h5lightning.tools.check.result import CheckResult
from h5lightning.tools.check.run import CheckRun, listed

__all__ = ["prove_evaluation", "prove_orders", "prove_training"]


_PROBE = 4096  # positions that are asked for a second time, one by one from behind


def prove_orders(case: CheckRun, advance: Advance) -> CheckResult:
    """The order of each epoch: every sample once, or as its weight says; another order in each epoch."""
    order, failures = case.training_order, []
    positions = np.arange(order.size)
    epochs: list[Int64Array] = []
    for epoch in range(case.settings.epochs):
        samples = order.samples(epoch, positions)
        failures += [f"epoch {epoch}: {text}" for text in _wrong_counts(case, samples)]
        probe = positions[-_PROBE:][::-1]
        if not np.array_equal(order.samples(epoch, probe), samples[probe]):
            failures.append(f"epoch {epoch}: the order depends on how it is asked for")
        epochs.append(samples[:_PROBE])
        advance(1)
    if case.is_shuffled and (same := _equal_neighbours(epochs)):
        failures.append(f"epochs {listed(same)} have the order of the epoch before")
    name = "each epoch has its order" if case.weights is None else "each epoch draws by weight"
    return CheckResult(
        name, f"{counted(order.size, 'training sample')}, epochs 0–{len(epochs) - 1}", tuple(failures)
    )


def prove_training(case: CheckRun, advance: Advance) -> CheckResult:
    """All ranks together get what the order holds; only what `TrainingShards` says is left out or repeated."""
    order, failures, notes = case.training_order, [], []
    worlds = case.settings.ranks_for(order.size)
    for world in worlds:
        try:
            shards = case.training_shards(world)
        except ShardingError as error:
            failures.append(f"{counted(world, 'rank')}: {error}")
            continue
        if left := _left(shards.dropped, shards.repeated):
            notes.append(f"{counted(world, 'rank')}: {left}")
        for epoch in range(case.settings.epochs):
            expected = np.bincount(order.samples(epoch, np.arange(order.size)), minlength=order.size)
            seen = _seen(case, "train", order, shards, epoch)
            where = f"{counted(world, 'rank')}, epoch {epoch}"
            failures += [
                f"{where}: {text}"
                for text in differing_counts(case, seen, expected, shards.dropped, shards.repeated)
            ]
            advance(1)
        failures += [f"{counted(world, 'rank')}: {text}" for text in _unequal_steps(shards)]
    scope = f"ranks {listed(worlds)} × {counted(case.settings.epochs, 'epoch')}"
    return CheckResult("training: exactly once over all ranks", scope, tuple(failures), "; ".join(notes))


def prove_evaluation(case: CheckRun, advance: Advance) -> CheckResult:
    """Every validation, test and predict sample comes exactly once, for any number of ranks."""
    failures = []
    stages = [stage for stage in case.assembly.datasets if stage != "train"]
    for stage in stages:
        size = len(case.assembly.datasets[stage])
        for world in case.settings.ranks_for(size):
            where = f"{stage}, {counted(world, 'rank')}"
            try:
                shards = case.evaluation_shards(stage, world)
            except ShardingError as error:
                failures.append(f"{where}: {error}")
                continue
            seen = _seen(case, stage, PathOrder(size), shards, epoch=0)
            if case.settings.batch_size > 1:
                failures += [f"{where}: {text}" for text in _unequal_steps(shards)]
            failures += [
                f"{where}: {text}" for text in differing_counts(case, seen, np.ones_like(seen), 0, 0, stage)
            ]
            advance(1)
    return CheckResult("evaluation: exactly once over all ranks", ", ".join(stages), tuple(failures))


# ── counting ─────────────────────────────────────────────────────────────────────────────────────────


def _seen(case: CheckRun, stage: str, order: Order, shards: Shards, epoch: int) -> Int64Array:
    """How often each sample comes over all ranks, ``(N,)``."""
    ranks = range(shards.world_size)
    return sum(
        (counts_of(case.sampler(stage, order, shards, rank, epoch)) for rank in ranks),
        np.zeros(order.size, np.int64),
    )


def _wrong_counts(case: CheckRun, samples: Int64Array) -> Iterator[str]:
    counts = np.bincount(samples, minlength=len(samples))
    if case.weights is None:
        yield from differing_counts(case, counts, np.ones_like(counts), 0, 0)
        return
    expected = len(samples) * case.weights / case.weights.sum()
    # The range of a sample ends in two strata, each of which it may win or lose.
    wrong = np.flatnonzero((np.abs(counts - expected) >= 2) | (counts > 0) & (case.weights == 0))
    for sample in wrong[:MOST_NAMED].tolist():
        yield (
            f"{case.describe('train', sample)} comes {counts[sample]} times, by its weight "
            f"{expected[sample]:.1f}{more_text(wrong)}"
        )


def _unequal_steps(shards: Shards) -> Iterator[str]:
    steps = {full + len(tail) for full, tail in map(shards.batches, range(shards.world_size))}
    if len(steps) > 1:
        yield f"ranks take {listed(sorted(steps))} steps: they would wait for each other"


def _equal_neighbours(epochs: list[Int64Array]) -> list[int]:
    return [number for number in range(1, len(epochs)) if np.array_equal(epochs[number - 1], epochs[number])]


def _left(dropped: int, repeated: int) -> str:
    return f"{dropped} dropped" if dropped else f"{repeated} repeated" if repeated else ""
