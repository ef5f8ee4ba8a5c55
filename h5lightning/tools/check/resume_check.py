"""Check runs that are interrupted at random steps and resumed, also on other numbers of ranks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from h5lightning.core.formatting import counted
from h5lightning.core.permutation import derive_key
from h5lightning.core.progress import Advance
from h5lightning.planning.sampling.training_progress import TrainingProgress
from h5lightning.tools.check.epoch_check import counts_of, differing_counts, samples_of
from h5lightning.tools.check.run import CheckResult, CheckRun, joined

__all__ = ["check_resumption"]

_INTERRUPTIONS = 2


def check_resumption(run: CheckRun, advance: Advance) -> CheckResult:
    """An epoch that is interrupted twice delivers what the uninterrupted one does."""
    failures: list[str] = []
    worlds = run.worlds()
    for number in range(run.settings.resumptions if worlds else 0):
        failures += _wrong_epoch(run, number)
        failures += _wrong_tail(run, number)
        advance(1)
    scope = f"{counted(run.settings.resumptions, 'interrupted epoch')}, ranks {joined(worlds)} in turn"
    return CheckResult("resumed runs lose and repeat nothing", scope, tuple(failures))


def _wrong_epoch(run: CheckRun, number: int) -> Iterator[str]:
    """Go through an epoch in three parts with other numbers of ranks, and count every sample."""
    order, epoch = run.training_order, _drawn(run, number, "epoch", run.settings.epochs)
    counts = np.zeros(order.size, dtype=np.int64)
    position, story = TrainingProgress(epoch), []
    worlds = run.worlds()
    for part in range(_INTERRUPTIONS + 1):
        world = worlds[_drawn(run, number, f"ranks {part}", len(worlds))]
        whole = run.training_shards(world)
        remaining = position.remaining_epoch(whole)
        shards = whole if remaining is None else remaining.shards
        is_last = part == _INTERRUPTIONS
        steps = shards.steps if is_last else _drawn(run, number, f"step {part}", shards.steps + 1)
        for rank in range(world):
            sampler = run.sampler("train", order, whole, rank, epoch, remaining=remaining)
            counts += counts_of(sampler, steps * run.settings.batch_size)
        story.append(f"{steps} steps on {counted(world, 'rank')}")
        if steps == shards.steps:
            break
        position = position.after(epoch, position.steps + steps, whole)
    expected = np.bincount(order.samples(epoch, np.arange(order.size)), minlength=order.size)
    where = f"epoch {epoch}, {', then '.join(story)}"
    for text in differing_counts(run, counts, expected, shards.dropped, shards.repeated):
        yield f"{where}: {text}"


def _wrong_tail(run: CheckRun, number: int) -> Iterator[str]:
    """Resume with the same ranks: each gets the remaining samples of the uninterrupted run, in the same order."""
    epoch = _drawn(run, number, "epoch of a tail", run.settings.epochs)
    worlds = run.worlds()
    world = worlds[_drawn(run, number, "ranks of a tail", len(worlds))]
    rank = _drawn(run, number, "rank of a tail", world)
    shards = run.training_shards(world)
    steps = 1 + _drawn(run, number, "step of a tail", shards.steps)
    remaining = TrainingProgress(epoch).after(epoch, steps, shards).remaining_epoch(shards)
    whole, tail = (
        samples_of(run.sampler("train", run.training_order, shards, rank, epoch, remaining=part))
        for part in (None, remaining)
    )
    if not np.array_equal(whole[steps * run.settings.batch_size :], tail):
        yield (
            f"epoch {epoch}, rank {rank} of {world}, after {steps} steps: the samples differ from those of the "
            "uninterrupted epoch"
        )


def _drawn(run: CheckRun, number: int, what: str, choices: int) -> int:
    """A random number below ``choices``, the same in each check of these files."""
    return derive_key("check of resumption", run.data.seed, number, what) % choices
