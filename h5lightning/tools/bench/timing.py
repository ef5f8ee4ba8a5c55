"""Fair timing of several ways to get batches: trials in rounds, each result a median with its range."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, product
from typing import Any, TypeVar

__all__ = [
    "Budget",
    "Candidate",
    "Timing",
    "Trial",
    "run_trial",
    "run_trials",
    "whole_epochs",
]

T = TypeVar("T")

_WARM_UP = 0.25  # length of the first round, which does not count, as a fraction of a trial


@dataclass(frozen=True, slots=True)
class Budget:
    """How long to measure.

    Args:
        seconds: about how long for each candidate, over all rounds.
        rounds: trials of each candidate that count.
        is_cold: put the files out of the page cache before each trial.
    """

    seconds: float = 2.5
    rounds: int = 3
    is_cold: bool = False

    @property
    def trial_s(self) -> float:
        """About how many seconds a trial takes."""
        return self.seconds / self.rounds


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to get samples.

    Args:
        name: its name in tables.
        batches: number of a trial → its batches.
        size_of: a batch → its number of samples.
        prepare: runs before each trial and is not timed, such as emptying a cache.
        counts_start: whether the time until the first batch counts. It should not where worker processes are started:
            that is long beside a trial, but short beside a training.
        is_whole: whether a trial that counts is never cut short.
    """

    name: str
    batches: Callable[[int], Iterable[Any]]
    size_of: Callable[[Any], float] = len
    prepare: Callable[[], object] = gc.collect
    counts_start: bool = True
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """The samples and the time of one trial; ``first`` is its first batch.

    Args:
        counts_start: whether the first batch counts.
        was_cut: whether the trial ended before its batches did.
        cpu_s: CPU time of this process, of the user and of the system, over all its threads.
    """

    samples: float
    first_samples: float
    first_s: float
    total_s: float
    counts_start: bool = True
    was_cut: bool = False
    cpu_s: float = 0.0

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU time for each sample, without those of worker processes."""
        return 1e6 * self.cpu_s / self.samples

    @property
    def rate(self) -> float:
        """Samples per second; from the first batch on where the start does not count and there are more batches."""
        if self.counts_start or self.samples == self.first_samples:
            return self.samples / max(self.total_s, 1e-9)
        return (self.samples - self.first_samples) / max(self.total_s - self.first_s, 1e-9)


@dataclass(frozen=True, slots=True)
class Timing:
    """The median of some measurements, and their range."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Timing:
        """The median and range of at least one value."""
        return cls(statistics.median(values), min(values), max(values))


def run_trial(candidate: Candidate, number: int, limit_s: float = math.inf) -> Trial:
    """Consume batches to the end, or for ``limit_s`` seconds after the first batch."""
    samples, first_samples, first_s, was_cut = 0.0, 0.0, 0.0, False
    started, cpu_started = time.perf_counter(), time.process_time()
    iterator = iter(candidate.batches(number))
    for batch in iterator:
        samples += candidate.size_of(batch)
        elapsed = time.perf_counter() - started
        if not first_samples:
            first_samples, first_s = samples, elapsed
        if elapsed - first_s > limit_s:
            was_cut = True
            break
    total_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu_started
    close = getattr(iterator, "close", None)
    if close is not None:
        close()  # releases what a generator holds that was left early
    return Trial(samples, first_samples, first_s, total_s, candidate.counts_start, was_cut, cpu_s)


def run_trials(
    candidates: Sequence[Candidate],
    *,
    rounds: int,
    limit_s: float,
    patience_s: float = math.inf,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, list[Trial]]:
    """Trials of all candidates, one each in every round, so that a slow moment of the machine affects all of them.

    A first round, cut short, warms up and does not count.

    Args:
        candidates: in the order of their trials in a round.
        rounds: number of rounds that count.
        limit_s: maximum length of a trial in seconds, from its first batch.
        patience_s: a candidate that takes longer in the warm-up has no other trial, and that one counts.
        advance: called with 1 after each trial.
    """
    trials: dict[str, list[Trial]] = {candidate.name: [] for candidate in candidates}
    too_slow: set[str] = set()
    with _quick_collections():
        for number, candidate in product(range(rounds + 1), candidates):
            name = candidate.name
            if name not in too_slow:
                candidate.prepare()
                longest_s = math.inf if candidate.is_whole else limit_s
                trial = run_trial(candidate, number, longest_s if number else limit_s * _WARM_UP)
                too_slow |= {name} if not number and trial.total_s > patience_s else set()
                trials[name] += [trial] if number or name in too_slow else []
            advance(1)
    return trials


@contextmanager
def _quick_collections() -> Iterator[None]:
    """Exclude existing objects from garbage collection: with torch, looking at them takes 0.2 s each time."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def whole_epochs(epoch: Callable[[int], Iterable[T]], first: int, least_s: float) -> Iterator[T]:
    """The batches of whole epochs, one after the other, for at least ``least_s`` seconds.

    Args:
        epoch: number of an epoch → its batches.
        first: number of the first epoch.
        least_s: seconds; 0 for one epoch.
    """
    started = time.perf_counter()
    for number in count(first):
        yield from epoch(number)
        if time.perf_counter() - started >= least_s:
            return
