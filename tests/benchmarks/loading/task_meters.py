"""Measurements of tasks other than speed: open files and maps, the longest wait, and chunks that workers decode."""

from __future__ import annotations

import multiprocessing
import os
import re
import time
import warnings
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import h5py

from h5lightning.tools.bench.timing import Timing
from loading.data import Files
from loading.ours import training
from loading.races import Goal
from loading.task import Task
from loading.task_races import epoch_of

__all__ = ["decoded_by_workers", "held_files", "longest_wait_s", "longest_waits"]

_MOST_DESCRIPTORS = 512 + 8  # the default budget of open files, and those of the index and of threads
_MOST_MAPS = 65_530  # what Linux allows a process by default
_LOOKS = 50


def held_files(task: Task, files: Files) -> list[Goal]:
    """The most descriptors and memory maps that an epoch adds to those of the process."""
    before, most = (_descriptors(), _maps()), [0, 0]
    batches = -(-task.samples // task.batch)
    with training(files, **task.arguments()) as dm:
        for _ in islice(epoch_of(dm, 0), 0, None, max(1, batches // _LOOKS)):
            most = [max(most[0], _descriptors()), max(most[1], _maps())]
    grown = [one - other for one, other in zip(most, before, strict=True)]
    return [
        Goal(f"{task.name}: {what}", limit, Timing.of([count]), at_least=False)
        for what, limit, count in zip(
            ("open descriptors", "memory maps"), (_MOST_DESCRIPTORS, _MOST_MAPS), grown, strict=True
        )
    ]


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _maps() -> int:
    return Path("/proc/self/maps").read_bytes().count(b"\n")


def longest_waits(task: Task, files: Files, *, rounds: int, most_s: float, step_s: float = 0.005) -> Goal:
    """The longest wait between two batches of an epoch that starts with nothing decoded.

    Args:
        task: what a sample is.
        files: what is read.
        rounds: epochs.
        most_s: the longest wait that is accepted.
        step_s: seconds of a training step.
    """
    waits = []
    with training(files, **task.arguments()) as dm:
        for epoch in range(rounds):
            dm.teardown()
            waits.append(1000 * longest_wait_s(epoch_of(dm, epoch), step_s))
    what = f"{task.name}: longest wait between batches, ms, steps of {1000 * step_s:g} ms"
    return Goal(what, 1000 * most_s, Timing.of(waits), at_least=False)


def longest_wait_s(batches: Iterable[Any], step_s: float) -> float:
    """The longest wait after the first batch, where a step sleeps."""
    iterator, longest = iter(batches), 0.0
    next(iterator)
    while True:
        time.sleep(step_s)
        asked = time.perf_counter()
        if next(iterator, None) is None:
            return longest
        longest = max(longest, time.perf_counter() - asked)


def decoded_by_workers(task: Task, files: Files, most: float) -> Goal:
    """Bytes that all worker processes read of filtered chunks in an epoch, for each that is stored.

    A chunk is read each time it is decoded. The counters of a worker are looked at after each batch.
    """
    stored = sum(_stored_bytes(path, task.stored.names) for path in files.paths)
    read: dict[int, int] = {}
    with warnings.catch_warnings(), training(files, **task.arguments()) as dm:
        warnings.filterwarnings("ignore", "This DataLoader will create")  # more processes than cores
        for _ in epoch_of(dm, 0):
            read |= {process.pid: _read_bytes(process.pid) for process in multiprocessing.active_children()}
    workers = task.options["num_workers"]
    what = f"{task.name}: times that {workers} workers decode a chunk"
    return Goal(what, most, Timing.of([sum(read.values()) / stored]), at_least=False)


def _read_bytes(process: int | None) -> int:
    found = re.search(r"rchar: (\d+)", Path(f"/proc/{process}/io").read_text(encoding="ascii"))
    return int(found[1]) if found else 0


def _stored_bytes(path: str, names: Iterable[str]) -> int:
    with h5py.File(path, "r") as file:
        return sum(file[name].id.get_storage_size() for name in names)
