"""Who runs against whom over which data, and how many times as fast ours should be."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from h5lightning import H5DataModule
from h5lightning.tools.bench.timing import Candidate, Timing, Trial, ratios, run_trials, whole_epochs
from loading import by_hand, ours
from loading.data import Dataset, Workload
from loading.limits import DecodeAndGather, GatherFromMemory, ReadInOrder, read_files, ready_tensors
from loading.measure import Batch, samples_of

__all__ = ["OURS", "THREADS", "Goal", "Race", "Result", "against_best", "contestant_of", "run"]

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


# An epoch begins with what is decoded for the rest of it: only a whole one says how fast they are.
_DECODES_AHEAD = (None, "decode only", "decode + gather")

_MOST_EPOCHS = 1000  # of a turn


@dataclass(frozen=True, slots=True)
class Goal:
    """A number that should be reached.

    Args:
        what: what is compared.
        wanted: the number.
        reached: as measured.
        at_least: more is better; else less is.
    """

    what: str
    wanted: float
    reached: Timing
    at_least: bool = True

    @property
    def is_reached(self) -> bool:
        """Whether the median reaches it."""
        median = self.reached.median
        return median >= self.wanted if self.at_least else median <= self.wanted


@dataclass(frozen=True, slots=True)
class Race:
    """Ours against rivals over one data set.

    Args:
        name: what tables call it.
        wanted: rival → how many times its samples a second ours should deliver; None for no such wish.
        options: of ours, those of `H5DataModule`.
        prepare: what must happen before each epoch.
        forgets: ours starts each epoch with nothing open and nothing decoded: what it keeps of the epoch before
            may be a whole data set of a size that suits a benchmark, and then nothing is left to be measured.
    """

    name: str
    wanted: Mapping[str, float | None]
    options: Mapping[str, Any] = field(default_factory=dict)
    prepare: Callable[[Dataset], object] = _collect
    forgets: bool = False

    @property
    def is_repeated(self) -> bool:
        """Whether a turn has several epochs if they are short: a processor that was idle is slow at first.

        Not where each epoch begins with what is done before it, or with the start of processes.
        """
        return not self.forgets and not self.options.get("num_workers")


@dataclass(frozen=True, slots=True)
class Result:
    """Turns of each contestant, in the order of the rounds, and what was wanted.

    Args:
        name: what tables call it.
        epochs: contestant → an epoch, or its beginning, of each round.
        goals: what was wanted.
        workload: what the data are.
    """

    name: str
    epochs: Mapping[str, Sequence[Trial]]
    goals: Sequence[Goal]
    workload: Workload

    @property
    def sample_bytes(self) -> int:
        """Bytes of a sample: data and label."""
        return self.workload.row_bytes + 8


def run(
    race: Race, dataset: Dataset, *, rounds: int, limit_s: float, others: Sequence[Candidate] = ()
) -> Result:
    """Run a race: ours, the rivals and the others in turn."""
    least_s = limit_s / 2 if race.is_repeated else 0.0
    with ours.data_module(dataset, **race.options) as dm:
        contestants = [
            contestant_of(race, dataset, dm, rival, least_s=least_s) for rival in (None, *race.wanted)
        ]
        epochs = run_trials([*contestants, *others], rounds=rounds, limit_s=limit_s)
    wanted = {rival: least for rival, least in race.wanted.items() if least is not None}
    goals = [
        Goal(f"{race.name} ÷ {rival}", least, ratios(epochs[OURS], epochs[rival]))
        for rival, least in wanted.items()
    ]
    return Result(race.name, epochs, goals, dataset.workload)


def against_best(result: Result, rivals: Sequence[str], what: str, wanted: float) -> Goal:
    """Ours in relation to the rival that has the highest median."""
    medians = {name: Timing.of([epoch.rate for epoch in result.epochs[name]]).median for name in rivals}
    best = max(medians, key=medians.__getitem__)
    reached = ratios(result.epochs[OURS], result.epochs[best])
    return Goal(f"{result.name} ÷ {what}: {best}", wanted, reached)


def contestant_of(
    race: Race, dataset: Dataset, dm: H5DataModule, rival: str | None = None, *, least_s: float = 0.0
) -> Candidate:
    """Ours, or a rival; a turn has as many epochs as take ``least_s``."""

    def prepare() -> None:
        # Before a rival's turn too: what a process has mapped stays in the page cache.
        if race.forgets:
            dm.teardown()
        race.prepare(dataset)

    batches = partial(ours.batches, dm) if rival is None else RIVALS[rival](dataset)
    return Candidate(
        rival or OURS,
        lambda turn: whole_epochs(batches, turn * _MOST_EPOCHS, least_s),
        samples_of,
        prepare,
        counts_start=not race.options.get("num_workers"),
        is_whole=race.forgets and rival in _DECODES_AHEAD,
    )
