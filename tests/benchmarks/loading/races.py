"""Races: h5lightning against other ways to load the same data, and how many times as fast it should be."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from h5lightning import H5DataModule
from h5lightning.tools.bench.timing import Candidate, Timing, Trial, run_trials, whole_epochs
from loading import by_hand, ours
from loading.data import Dataset
from loading.limits import DecodeAndGather, GatherFromMemory, ReadInOrder, read_files, ready_tensors
from loading.measure import Batch, ratios, samples_of

__all__ = ["OURS", "THREADS", "Goal", "Measured", "Race", "Result", "against_best", "candidate_of", "run"]

OURS = "h5lightning"
THREADS = os.cpu_count() or 1

Batches = Callable[[int], Iterable[Batch]]


def _collect(_: Dataset) -> None:
    gc.collect()


# What each rival is called → what makes its epochs from a data set.
RIVALS: dict[str, Callable[[Dataset], Batches]] = {
    "tutorial (opens the file for every item)": lambda dataset: partial(by_hand.opened_per_item, dataset),
    "h5py kept open": lambda dataset: partial(by_hand.kept_open, dataset),
    "h5py kept open, data beyond its cache": lambda dataset: partial(
        by_hand.kept_open, dataset, cache_bytes=0
    ),
    "h5py, one chunk at a time": lambda dataset: partial(by_hand.chunk_at_a_time, dataset),
    "preadv in order": ReadInOrder,
    "np.take from RAM": GatherFromMemory,
    "decode only": lambda dataset: DecodeAndGather(dataset, threads=THREADS, gathers=False),
    "decode + gather": lambda dataset: DecodeAndGather(dataset, threads=THREADS),
    "ready tensors, 2 workers": lambda dataset: lambda _: ready_tensors(dataset, workers=2),
    "files read in order": lambda dataset: lambda _: read_files(dataset),
}


# An epoch begins with decoding ahead: only a whole one shows how fast they are.
_DECODES_AHEAD = (None, "decode only", "decode + gather")

_MOST_EPOCHS = 1000  # of a trial


@dataclass(frozen=True, slots=True)
class Goal:
    """A number that should be reached.

    Args:
        what: the quantity that is compared.
        target: the number.
        reached: as measured.
        at_least: whether more is better.
    """

    what: str
    target: float
    reached: Timing
    at_least: bool = True

    @property
    def is_reached(self) -> bool:
        """Whether the median reaches it."""
        median = self.reached.median
        return median >= self.target if self.at_least else median <= self.target


@dataclass(frozen=True, slots=True)
class Race:
    """H5lightning against rivals over one data set.

    Args:
        name: its name in tables.
        goals: rival → how many times its sample rate h5lightning should reach; None without a goal.
        options: options of `H5DataModule`.
        prepare: runs before each epoch.
        forgets: start each epoch of h5lightning with nothing open and nothing decoded; otherwise the data kept from the
            epoch before could be the whole data set of a benchmark, with nothing left to measure.
    """

    name: str
    goals: Mapping[str, float | None]
    options: Mapping[str, Any] = field(default_factory=dict)
    prepare: Callable[[Dataset], object] = _collect
    forgets: bool = False

    @property
    def is_repeated(self) -> bool:
        """Whether a trial has several epochs if they are short: a processor that was idle is slow at first.

        Not where each epoch begins with preparations, or with the start of processes.
        """
        return not self.forgets and not self.options.get("num_workers")


class Measured(Protocol):
    """How large the data of a race are."""

    @property
    def files(self) -> int:
        """How many files there are."""

    @property
    def rows(self) -> int:
        """Rows of all files."""

    @property
    def size(self) -> int:
        """Bytes of the data, decoded."""

    @property
    def sample_bytes(self) -> int:
        """Bytes of a sample."""


@dataclass(frozen=True, slots=True)
class Result:
    """Trials of each candidate, in the order of the rounds, and the goals.

    Args:
        name: its name in tables.
        epochs: candidate → an epoch, or its beginning, of each round.
        goals: the goals.
        workload: the data.
    """

    name: str
    epochs: Mapping[str, Sequence[Trial]]
    goals: Sequence[Goal]
    workload: Measured

    @property
    def sample_bytes(self) -> int:
        """Bytes of a sample."""
        return self.workload.sample_bytes


def run(
    race: Race, dataset: Dataset, *, rounds: int, limit_s: float, peers: Sequence[Candidate] = ()
) -> Result:
    """Run a race: h5lightning, the rivals and the peers in rounds."""
    least_s = limit_s / 2 if race.is_repeated else 0.0
    with ours.data_module(dataset, **race.options) as dm:
        candidates = [
            candidate_of(race, dataset, dm, rival, least_s=least_s) for rival in (None, *race.goals)
        ]
        epochs = run_trials([*candidates, *peers], rounds=rounds, limit_s=limit_s)
    goals = [
        Goal(f"{race.name} ÷ {rival}", least, ratios(epochs[OURS], epochs[rival]))
        for rival, least in race.goals.items()
        if least is not None
    ]
    return Result(race.name, epochs, goals, dataset.workload)


def against_best(result: Result, rivals: Sequence[str], what: str, target: float) -> Goal:
    """H5lightning compared with the rival that has the highest median."""
    medians = {name: Timing.of([epoch.rate for epoch in result.epochs[name]]).median for name in rivals}
    best = max(medians, key=medians.__getitem__)
    reached = ratios(result.epochs[OURS], result.epochs[best])
    return Goal(f"{result.name} ÷ {what}: {best}", target, reached)


def candidate_of(
    race: Race, dataset: Dataset, dm: H5DataModule, rival: str | None = None, *, least_s: float = 0.0
) -> Candidate:
    """H5lightning, or a rival; a trial has as many epochs as take ``least_s``."""

    def prepare() -> None:
        # Also before a trial of a rival: pages that a process has mapped stay in the page cache.
        if race.forgets:
            dm.teardown()
        race.prepare(dataset)

    batches = partial(ours.batches, dm) if rival is None else RIVALS[rival](dataset)
    return Candidate(
        rival or OURS,
        lambda number: whole_epochs(batches, number * _MOST_EPOCHS, least_s),
        samples_of,
        prepare,
        counts_start=not race.options.get("num_workers"),
        is_whole=race.forgets and rival in _DECODES_AHEAD,
    )
