"""Batches of any way to load, and what is measured of a process beside time: memory, and bytes that are read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from h5lightning.tools.bench.timing import Candidate, Trial, run_trial

__all__ = ["Batch", "anonymous_bytes", "read_bytes", "run_epoch", "samples_of"]


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
