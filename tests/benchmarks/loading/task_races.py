"""Races over a task: h5lightning against plain h5py and the limits of the machine."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from h5lightning import H5DataModule
from h5lightning.tools.bench.timing import Candidate, Timing, Trial, run_trial, run_trials, whole_epochs
from loading.data import Files
from loading.measure import ratios
from loading.ours import training
from loading.plain import PlainH5py
from loading.races import OURS, Goal, Measured, Result
from loading.task import Task
from loading.task_limits import CopyFromMemory, ReadRowsInOrder

__all__ = [
    "FROM_RAM",
    "IN_ORDER",
    "PLAIN",
    "cpu_goal",
    "cpu_ratio",
    "epoch_of",
    "epochs_of",
    "race",
    "run_race",
    "size_of",
]

PLAIN = "plain h5py"
FROM_RAM = "copied from RAM"
IN_ORDER = "preadv in order"

Batches = Callable[[int], Iterable[Any]]

RIVALS: dict[str, Callable[[Files, Task], Batches]] = {
    PLAIN: PlainH5py,
    FROM_RAM: CopyFromMemory,
    IN_ORDER: ReadRowsInOrder,
}

_MOST_EPOCHS = 1000  # of a trial


def epoch_of(dm: H5DataModule, number: int) -> Iterator[Any]:
    """The batches of an epoch."""
    loader: Any = dm.train_dataloader()
    loader.sampler.set_epoch(number)
    yield from loader


def size_of(batch: Mapping[str, Any]) -> int:
    """Samples in a batch."""
    return len(next(iter(batch.values())))


def race(
    task: Task,
    files: Files,
    goals: Mapping[str, float | None],
    *,
    rounds: int,
    limit_s: float,
    forgets: bool = False,
) -> Result:
    """Trials of h5lightning and its rivals in rounds.

    Args:
        task: what a sample is.
        files: what is read.
        goals: rival → how many times its sample rate h5lightning should reach; None without a goal.
        rounds: trials of each that count.
        limit_s: longest trial, from its first batch.
        forgets: start each trial of h5lightning with nothing decoded, and end it with the epoch.
    """
    rivals = {name: RIVALS[name](files, task) for name in goals}
    return run_race(
        task.name,
        task,
        files,
        task.arguments(),
        rivals,
        goals,
        rounds=rounds,
        limit_s=limit_s,
        forgets=forgets,
    )


def run_race(
    name: str,
    measured: Measured,
    files: Files,
    arguments: Mapping[str, Any],
    rivals: Mapping[str, Batches],
    goals: Mapping[str, float | None],
    *,
    rounds: int,
    limit_s: float,
    forgets: bool,
) -> Result:
    """Like `race`, of any data; ``arguments`` are those of `H5DataModule`."""
    with training(files, **arguments) as dm:
        found = {OURS: partial(epoch_of, dm), **rivals}
        candidates = [
            _candidate(rival, batches, dm, forgets=forgets, least_s=limit_s / 2)
            for rival, batches in found.items()
        ]
        trials = run_trials(candidates, rounds=rounds, limit_s=limit_s)
    for rival in rivals.values():
        getattr(rival, "close", gc.collect)()
    return Result(name, trials, _goals(name, goals, trials), measured)


def _candidate(name: str, batches: Batches, dm: H5DataModule, *, forgets: bool, least_s: float) -> Candidate:
    def prepare() -> None:
        if forgets:
            dm.teardown()
        gc.collect()

    return Candidate(
        name,
        lambda number: whole_epochs(batches, number * _MOST_EPOCHS, 0.0 if forgets else least_s),
        size_of,
        prepare,
        is_whole=forgets and name == OURS,
    )


def _goals(name: str, goals: Mapping[str, float | None], trials: Mapping[str, Sequence[Trial]]) -> list[Goal]:
    return [
        Goal(f"{name} ÷ {rival}", least, ratios(trials[OURS], trials[rival]))
        for rival, least in goals.items()
        if least is not None
    ]


def epochs_of(task: Task, files: Files, epochs: int = 3) -> list[Trial]:
    """Whole epochs of h5lightning; the first one opens the files."""
    with training(files, **task.arguments()) as dm:
        candidate = Candidate(OURS, partial(epoch_of, dm), size_of)
        return [run_trial(candidate, number) for number in range(epochs)]


def cpu_goal(name: str, trials: Sequence[Trial], most_us: float) -> Goal:
    """CPU time for each sample, all threads together."""
    reached = Timing.of([trial.cpu_us for trial in trials])
    return Goal(f"{name}: CPU µs a sample", most_us, reached, at_least=False)


def cpu_ratio(name: str, trials: Sequence[Trial], other: str, beside: Sequence[Trial], most: float) -> Goal:
    """CPU time for each sample, beside that of other work."""
    reached = Timing.of([one.cpu_us / two.cpu_us for one, two in zip(trials, beside, strict=True)])
    return Goal(f"{name}: CPU beside that of {other}", most, reached, at_least=False)
