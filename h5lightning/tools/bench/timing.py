"""Clocks for ways to get batches: turns of each, one after the other in rounds; medians with spread."""

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

__all__ = ["Candidate", "Timing", "Trial", "in_turn", "ratios", "run_turn", "waiting_share", "whole_epochs"]

T = TypeVar("T")

_WARM_UP = 0.25  # of a turn: the first round, which does not count


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to get samples.

    Args:
        name: what tables call it.
        batches: number of a turn → its batches.
        size_of: samples of a batch.
        prepare: what must happen before each turn, not timed, such as to empty a cache.
        counts_start: what it takes until the first batch counts; not where processes must be started, which is
            long beside a turn and short beside a training.
        is_whole: a turn that counts is never cut short.
    """

    name: str
    batches: Callable[[int], Iterable[Any]]
    size_of: Callable[[Any], float] = len
    prepare: Callable[[], object] = gc.collect
    counts_start: bool = True
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """What it took to consume batches.

    Args:
        samples: delivered.
        first_samples: of them in the first batch.
        first_s: seconds until the first batch was there.
        total_s: seconds until the last was.
        counts_start: the first batch counts.
        was_cut: there were more.
    """

    samples: float
    first_samples: float
    first_s: float
    total_s: float
    counts_start: bool = True
    was_cut: bool = False

    @property
    def rate(self) -> float:
        """Samples a second; where the start does not count, from the first batch on, if there are more."""
        if self.counts_start or self.samples == self.first_samples:
            return self.samples / max(self.total_s, 1e-9)
        return (self.samples - self.first_samples) / max(self.total_s - self.first_s, 1e-9)


@dataclass(frozen=True, slots=True)
class Timing:
    """The median of some measurements, and their ends."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Timing:
        """The spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))


def run_turn(contestant: Candidate, number: int, limit_s: float = math.inf) -> Trial:
    """Consume batches as they come, to the end or for so long after the first: slow ways need no whole epoch."""
    samples, first_samples, first_s, was_cut = 0.0, 0.0, 0.0, False
    started = time.perf_counter()
    iterator = iter(contestant.batches(number))
    for batch in iterator:
        samples += contestant.size_of(batch)
        elapsed = time.perf_counter() - started
        if not first_samples:
            first_samples, first_s = samples, elapsed
        if elapsed - first_s > limit_s:
            was_cut = True
            break
    total_s = time.perf_counter() - started
    _close(iterator)
    return Trial(samples, first_samples, first_s, total_s, contestant.counts_start, was_cut)


def _close(iterator: Iterator[Any]) -> None:
    """End what a generator that was left early still holds."""
    close = getattr(iterator, "close", None)
    if close is not None:
        close()


def in_turn(
    contestants: Sequence[Candidate],
    *,
    rounds: int,
    limit_s: float,
    patience_s: float = math.inf,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, list[Trial]]:
    """Turns of all contestants, one each in every round: a slow moment of the machine hits all alike.

    A first round, cut short, warms up and does not count.

    Args:
        contestants: who takes turns, in this order.
        rounds: turns of each that count.
        limit_s: seconds of a turn after its first batch, at most.
        patience_s: who takes longer in the warm-up has no other turn, and that one counts.
        advance: told after each turn that it is done.
    """
    found: dict[str, list[Trial]] = {contestant.name: [] for contestant in contestants}
    too_slow: set[str] = set()
    with _quick_collections():
        for number, contestant in product(range(rounds + 1), contestants):
            name = contestant.name
            if name not in too_slow:
                contestant.prepare()
                longest_s = math.inf if contestant.is_whole else limit_s
                turn = run_turn(contestant, number, longest_s if number else limit_s * _WARM_UP)
                too_slow |= {name} if not number and turn.total_s > patience_s else set()
                found[name] += [turn] if number or name in too_slow else []
            advance(1)
    return found


@contextmanager
def _quick_collections() -> Iterator[None]:
    """Keep the garbage collector from looking at what is there already: that takes 0.2 s with torch, each time."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def whole_epochs(epoch: Callable[[int], Iterable[T]], first: int, least_s: float) -> Iterator[T]:
    """The batches of epochs, one after the other, until one of them ends after so many seconds.

    Args:
        epoch: number of an epoch → its batches.
        first: the first number.
        least_s: seconds; 0 for one epoch.
    """
    started = time.perf_counter()
    for number in count(first):
        yield from epoch(number)
        if time.perf_counter() - started >= least_s:
            return


def ratios(ours: Sequence[Trial], others: Sequence[Trial]) -> Timing:
    """How many times the samples a second, round by round."""
    return Timing.of([mine.rate / other.rate for mine, other in zip(ours, others, strict=True)])


def waiting_share(batches: Iterable[Any], step_s: float) -> float:
    """Share of an epoch's time, in [0, 1], that a loop waits whose steps take ``step_s``, after its first batch.

    A step sleeps, as the process does while an accelerator works.
    """
    iterator = iter(batches)
    next(iterator)
    waited, started = 0.0, time.perf_counter()
    while True:
        time.sleep(step_s)
        asked = time.perf_counter()
        batch = next(iterator, None)
        waited += time.perf_counter() - asked
        if batch is None:
            return waited / (time.perf_counter() - started)
