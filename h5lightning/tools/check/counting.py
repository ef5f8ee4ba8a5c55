"""How often samples come, and what is missing or comes too often."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.loading.epochs.sampler import ShardedSampler
from h5lightning.tools.check.run import CheckRun

__all__ = ["MOST_NAMED", "counts_of", "differing_counts", "more_text", "samples_of"]


MOST_NAMED = 3


def samples_of(sampler: ShardedSampler, stop: int | None = None) -> Int64Array:
    """The first samples of one rank's part of an epoch; None for all."""
    length = len(sampler) if stop is None else min(stop, len(sampler))
    return np.concatenate([np.zeros(0, dtype=np.int64), *sampler.stretches(stop=length)])


def counts_of(sampler: ShardedSampler, stop: int | None = None) -> Int64Array:
    """How often each sample comes among the first ones of one rank, ``(N,)``; None for all."""
    return np.bincount(samples_of(sampler, stop), minlength=sampler.order.size)


def differing_counts(
    case: CheckRun, seen: Int64Array, expected: Int64Array, dropped: int, repeated: int, stage: str = "train"
) -> Iterator[str]:
    """What is missing or comes too often, beyond what was to be left out or repeated.

    Args:
        case: where samples lie.
        seen: how often each sample came, ``(N,)``.
        expected: how often it should have come, ``(N,)``.
        dropped: samples that were to be left out.
        repeated: samples that were to come once more.
        stage: the split.
    """
    for kind, wrong, allowed in (
        ("missing", expected - seen, dropped),
        ("repeated", seen - expected, repeated),
    ):
        if (found := int(wrong.clip(0).sum())) != allowed:
            which = np.flatnonzero(wrong > 0)
            named = ", ".join(case.describe(stage, sample) for sample in which[:MOST_NAMED].tolist())
            yield f"{found} samples {kind}, expected {allowed}: {named or 'none'}{more_text(which)}"


def more_text(which: Int64Array) -> str:
    """How many there are beyond those that are named."""
    return f" and {which.size - MOST_NAMED:,} more" if which.size > MOST_NAMED else ""
