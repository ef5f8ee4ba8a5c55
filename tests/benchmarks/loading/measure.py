"""Batches of any way to load, and what is measured beside rates: their ratios, waiting, memory, and bytes read."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from h5lightning.tools.bench.timing import Candidate, Timing, Trial, run_trial

__all__ = ["Batch", "anonymous_bytes", "ratios", "read_bytes", "run_epoch", "samples_of", "waiting_share"]


class Batch(NamedTuple):
    """Data ``(N, columns)`` and labels ``(N,)``, as arrays or tensors; valid until the next is asked for."""

    data: Any
    labels: Any


def samples_of(batch: Batch) -> int:
    """Samples in a batch."""
    return len(batch.labels)


def run_epoch(batches: Iterable[Batch]) -> Trial:
    """Consume batches as they come, to the end."""
    return run_trial(Candidate("", lambda _: batches, samples_of), 0)


def ratios(ours: Sequence[Trial], theirs: Sequence[Trial]) -> Timing:
    """The ratio of the sample rates, round by round."""
    return Timing.of([our.rate / their.rate for our, their in zip(ours, theirs, strict=True)])


def waiting_share(batches: Iterable[Any], step_s: float) -> float:
    """Share of an epoch's time, in [0, 1], that a loop with steps of ``step_s`` waits after its first batch.

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
