"""Whether the batches of an epoch are of similar length, as ``Shuffle(bucket=)`` promises."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from judging.contract import Contract
from judging.disagreement import DisagreementError

__all__ = ["check_buckets"]

_STEPS = 50  # steps of a window whose samples are sorted


def check_buckets(contract: Contract, bucket: str, ranks: list[list[list[int]]], batch_size: int) -> None:
    """The steps of a window divide its samples by size; only steps that are not full may hold any.

    Args:
        contract: what the case means.
        bucket: the option.
        ranks: the ids of each batch of each rank.
        batch_size: samples of one rank in one step.

    Raises:
        DisagreementError: the sizes of two steps overlap.
    """
    full = batch_size * len(ranks)
    steps = [[number for rank in batch for number in rank] for batch in zip(*ranks, strict=True)]
    for first in range(0, len(steps), _STEPS):
        window = [step for step in steps[first : first + _STEPS] if len(step) == full]
        sizes = sorted(
            (min(of), max(of)) for of in ([_size(contract, bucket, n) for n in step] for step in window)
        )
        for before, after in itertools.pairwise(sizes):
            if before[1] > after[0]:
                raise DisagreementError(f"sizes of steps from {first} on", sizes, "such that do not overlap")


def _size(contract: Contract, bucket: str, number: int) -> Any:
    samples, sample = contract.case.stage_samples["train"], contract.everything[number]
    part = (0, contract.series[sample.series].rows)
    if not bucket.startswith("length:"):
        return np.asarray(contract.value(bucket, sample, samples, part)).item()
    key = bucket.removeprefix("length:")
    return contract.value(key, sample, samples, part).shape[contract.told_axes[key]]
