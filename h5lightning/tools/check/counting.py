"""Count samples, and describe those that are missing or come too often."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.loading.epochs.sampler import ShardedSampler
from h5lightning.tools.check.result import MOST_NAMED
from h5lightning.tools.check.run import CheckRun

__all__ = ["counts_of", "differing_counts", "more_text", "samples_of"]


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
            named = ", ".join(run.describe(stage, position) for position in positions[:MOST_NAMED].tolist())
            yield f"{count} samples {kind}, expected {allowed}: {named or 'none'}{more_text(positions)}"


def more_text(positions: Int64Array) -> str:
    """The number of samples beyond the first three."""
    return f" and {positions.size - MOST_NAMED:,} more" if positions.size > MOST_NAMED else ""
