"""Runs that are interrupted at random steps and go on, on other numbers of ranks too: nothing missing or repeated."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.formatting import counted
from h5lightning.core.permutation import derive_key
from h5lightning.core.progress import Advance
from h5lightning.planning.sampling.position import Position
from h5lightning.tools.check.counting import counts_of, differing_counts, samples_of
from h5lightning.tools.check.result import CheckResult
from h5lightning.tools.check.run import CheckRun, listed

__all__ = ["prove_resumption"]


_INTERRUPTIONS = 2


def prove_resumption(case: CheckRun, advance: Advance) -> CheckResult:
    """An epoch that is interrupted twice delivers what the uninterrupted one does."""
    failures: list[str] = []
    worlds = case.worlds()
    for number in range(case.settings.resumptions if worlds else 0):
        failures += _wrong_epoch(case, number)
        failures += _wrong_tail(case, number)
        advance(1)
    scope = f"{counted(case.settings.resumptions, 'interrupted epoch')}, ranks {listed(worlds)} in turn"
    return CheckResult("resumed runs lose and repeat nothing", scope, tuple(failures))


def _wrong_epoch(case: CheckRun, number: int) -> Iterator[str]:
    """Go through an epoch in three runs with other numbers of ranks, and count every sample."""
    order, epoch = case.training_order, _drawn(case, number, "epoch", case.settings.epochs)
    counts = np.zeros(order.size, dtype=np.int64)
    position, story = Position(epoch), []
    for run in range(_INTERRUPTIONS + 1):
        worlds = case.worlds()
        world = worlds[_drawn(case, number, f"ranks {run}", len(worlds))]
        whole = case.training_shards(world)
        rest = position.remaining(whole)
        shards = whole if rest is None else rest.shards
        steps = (
            shards.steps if run == _INTERRUPTIONS else _drawn(case, number, f"step {run}", shards.steps + 1)
        )
        counts += _counts(case, position, world, steps)
        story.append(f"{steps} steps on {counted(world, 'rank')}")
        if steps == shards.steps:
            break
        position = position.after(epoch, position.steps + steps, whole)
    expected = np.bincount(order.samples(epoch, np.arange(order.size)), minlength=order.size)
    where = f"epoch {epoch}, {', then '.join(story)}"
    for text in differing_counts(case, counts, expected, shards.dropped, shards.repeated):
        yield f"{where}: {text}"


def _wrong_tail(case: CheckRun, number: int) -> Iterator[str]:
    """Resume a run as it was: each rank gets, in the same order, what the uninterrupted run would have brought."""
    epoch = _drawn(case, number, "epoch of a tail", case.settings.epochs)
    worlds = case.worlds()
    world = worlds[_drawn(case, number, "ranks of a tail", len(worlds))]
    rank = _drawn(case, number, "rank of a tail", world)
    shards = case.training_shards(world)
    steps = 1 + _drawn(case, number, "step of a tail", shards.steps)
    rest = Position(epoch).after(epoch, steps, shards).remaining(shards)
    whole, tail = (
        samples_of(case.sampler("train", case.training_order, shards, rank, epoch, rest=part))
        for part in (None, rest)
    )
    if not np.array_equal(whole[steps * case.settings.batch_size :], tail):
        yield f"epoch {epoch}, rank {rank} of {world}, after {steps} steps: not the rest of the uninterrupted epoch"


def _counts(case: CheckRun, position: Position, world: int, steps: int) -> Int64Array:
    """How often each sample comes in the next steps of all ranks, ``(N,)``."""
    order, shards = case.training_order, case.training_shards(world)
    rest, stop = position.remaining(shards), steps * case.settings.batch_size
    counts = np.zeros(order.size, dtype=np.int64)
    for rank in range(world):
        counts += counts_of(case.sampler("train", order, shards, rank, position.epoch, rest=rest), stop)
    return counts


def _drawn(case: CheckRun, number: int, what: str, choices: int) -> int:
    """One of some choices, the same in each check of these files."""
    return derive_key("check of resumption", case.assembly.seed, number, what) % choices
