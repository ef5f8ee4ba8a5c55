"""Clocks and meters: an epoch's time, rounds in turn, medians with spread, waiting, memory, bytes read."""

from __future__ import annotations

import gc
import re
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

__all__ = [
    "Batch",
    "Contestant",
    "Epoch",
    "Spread",
    "anonymous_bytes",
    "in_turn",
    "ratios",
    "read_bytes",
    "run_epoch",
    "waiting_share",
]


class Batch(NamedTuple):
    """Data ``(N, columns)`` and labels ``(N,)``, as arrays or tensors; valid until the next is asked for."""

    data: Any
    labels: Any


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to get the samples of a data set.

    Args:
        name: what tables call it.
        batches: the number of an epoch → its batches.
        prepare: what must happen before each epoch, not timed, such as to empty a cache.
        counts_start: what it takes until the first batch counts; not where processes must be started, which is
            long beside the epochs here and short beside those of a training.
    """

    name: str
    batches: Callable[[int], Iterable[Batch]]
    prepare: Callable[[], object] = gc.collect
    counts_start: bool = True


@dataclass(frozen=True, slots=True)
class Epoch:
    """What it took to consume an epoch, or its beginning.

    Args:
        samples: delivered.
        first_samples: of them in the first batch.
        first_s: seconds until the first batch was there.
        total_s: seconds until the last was.
        counts_start: the first batch counts.
    """

    samples: int
    first_samples: int
    first_s: float
    total_s: float
    counts_start: bool = True

    @property
    def rate(self) -> float:
        """Samples a second; where the start does not count, from the first batch on, if there are more."""
        if self.counts_start or self.samples == self.first_samples:
            return self.samples / self.total_s
        return (self.samples - self.first_samples) / max(self.total_s - self.first_s, 1e-9)


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some measurements, and their ends."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))


# ── time ─────────────────────────────────────────────────────────────────────────────────────────────


def run_epoch(batches: Iterable[Batch], limit_s: float = float("inf"), *, counts_start: bool = True) -> Epoch:
    """Consume batches as they come, to the end or for so long after the first: slow ways need no whole epoch."""
    samples, first_samples, first_s = 0, 0, 0.0
    started = time.perf_counter()
    iterator = iter(batches)
    for batch in iterator:
        samples += len(batch.labels)
        elapsed = time.perf_counter() - started
        if not first_samples:
            first_samples, first_s = samples, elapsed
        if elapsed - first_s > limit_s:
            break
    total_s = time.perf_counter() - started
    _close(iterator)
    return Epoch(samples, first_samples, first_s, total_s, counts_start)


def _close(iterator: Iterator[Batch]) -> None:
    """End what a generator that was left early still holds."""
    close = getattr(iterator, "close", None)
    if close is not None:
        close()


def in_turn(contestants: Sequence[Contestant], *, rounds: int, limit_s: float) -> dict[str, list[Epoch]]:
    """Epochs of all contestants, one each in every round: a slow moment of the machine hits all alike.

    A first round, cut short, warms up and does not count.
    """
    found: dict[str, list[Epoch]] = {contestant.name: [] for contestant in contestants}
    for number in range(rounds + 1):
        for contestant in contestants:
            contestant.prepare()
            limited_s = limit_s if number else limit_s / 4
            epoch = run_epoch(contestant.batches(number), limited_s, counts_start=contestant.counts_start)
            if number:
                found[contestant.name].append(epoch)
    return found


def ratios(ours: Sequence[Epoch], others: Sequence[Epoch]) -> Spread:
    """How many times the samples a second, round by round."""
    return Spread.of([mine.rate / other.rate for mine, other in zip(ours, others, strict=True)])


def waiting_share(batches: Iterable[Batch], step_s: float) -> float:
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


# ── memory and bytes ─────────────────────────────────────────────────────────────────────────────────


def anonymous_bytes() -> int:
    """This process's memory that no file backs; Linux only."""
    return _proc("status")["RssAnon"] * 1024


def read_bytes() -> int:
    """Bytes that this process asked for with read calls, from the page cache or not; Linux only."""
    return _proc("io")["rchar"]


def _proc(name: str) -> Mapping[str, int]:
    lines = Path("/proc/self", name).read_text(encoding="ascii").splitlines()
    found = (re.match(r"(\w+):\s+(\d+)", line) for line in lines)
    return {match[1]: int(match[2]) for match in found if match}
