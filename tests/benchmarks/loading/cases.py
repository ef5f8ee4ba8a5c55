"""The work in which loading could be slow: many files, windows, awkward chunks, tables; each beside plain h5py."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from h5lightning.tools.bench.timing import Timing, Trial
from loading import scaling as table
from loading import task_meters
from loading.compound import RecordSlices, Tracks, write_tracks
from loading.data import Files
from loading.races import OURS, Result
from loading.report import Report
from loading.scale import Scale, files_of, say
from loading.task import Stored, Task
from loading.task_races import (
    FROM_RAM,
    IN_ORDER,
    PLAIN,
    cpu_goal,
    cpu_ratio,
    epochs_of,
    race,
    run_race,
)

__all__ = ["PARTS"]

MIB = 2**20
IMAGE = (3, 64, 64)  # 48 KiB
SLICES = "slices of the record, split with NumPy"


def _race(
    report: Report,
    task: Task,
    files: Files,
    scale: Scale,
    goals: Mapping[str, float | None],
    **options: Any,
) -> Result:
    say(f"  {task.name}")
    result = race(task, files, goals, rounds=scale.rounds, limit_s=scale.limit_s, **options)
    report.results.append(result)
    return result


def scaling(report: Report, scale: Scale) -> None:
    """One factor at a time around an easy case."""
    for stored, points in table.points_by_data(scale.part, scale.most_files):
        with files_of(stored, scale) as files:
            for point in points:
                say(f"  {point.task.name}")
                goals = {PLAIN: table.LEAST}
                found = race(point.task, files, goals, rounds=scale.rounds, limit_s=scale.limit_s / 2)
                report.scaling.append((point, found))


def many_files(report: Report, scale: Scale) -> None:
    """More files than may be open at a time, in random order."""
    epochs: list[tuple[str, list[Trial]]] = []
    for count in (400, 1000, 10_000):
        stored = Stored(scale.files(count), scale.rows(32, 8))
        with files_of(stored, scale) as files:
            task = Task(f"{stored.files:,} files of {stored.rows} rows of 4 KiB", stored)
            _race(report, task, files, scale, {PLAIN: 1.5})
            epochs.append((task.name, epochs_of(task, files)))
            if count == 10_000:
                report.goals += [cpu_goal(*epochs[-1], 25), *task_meters.held_files(task, files)]
    report.goals.append(cpu_ratio(*epochs[-1], *epochs[0], 4))


def many_fields(report: Report, scale: Scale) -> None:
    """Twenty fields of a thousand files."""
    stored = Stored(scale.files(1000), scale.rows(32, 8), fields=20)
    with files_of(stored, scale) as files:
        task = Task(f"20 fields of {stored.files:,} files of {stored.rows} rows of 4 KiB", stored)
        _race(report, task, files, scale, {PLAIN: 1.5})
        report.goals.append(cpu_goal(task.name, epochs_of(task, files), 60))


def big_batches(report: Report, scale: Scale) -> None:
    """Batches of 8 MiB and 16 MiB of contiguous rows."""
    for name, row_bytes, batch in (("256 KiB", MIB // 4, 32), ("1 MiB", MIB, 16)):
        stored = Stored(20, scale.rows(1024 * MIB // row_bytes // 20), (row_bytes // 4,))
        with files_of(stored, scale) as files:
            task = Task(f"{name} rows, batches of {batch}", stored, batch)
            _race(report, task, files, scale, {PLAIN: 1.5, IN_ORDER: 0.8})


def windows(report: Report, scale: Scale) -> None:
    """Windows of contiguous rows, and two fields that are steps of one window."""
    goals = {PLAIN: 1.6, FROM_RAM: 0.7}
    stored = Stored(20, scale.rows(3200, 128))
    with files_of(stored, scale) as files:
        tasks = [Task(f"windows of {length} × 4 KiB", stored, 64, length) for length in (16, 64)]
        for length in (17, 64):
            steps = {"x": (0, length - 1), "y": (length - 1, length)}
            tasks.append(Task(f"steps, {length - 1} + 1 × 4 KiB", stored, 64, length, steps))
        for task in tasks:
            _race(report, task, files, scale, goals)
    stored = Stored(20, scale.rows(320, 8), IMAGE)
    with files_of(stored, scale) as files:
        _race(report, Task("windows of 5 × 48 KiB", stored, 64, 5), files, scale, goals)


def split_chunks(report: Report, scale: Scale) -> None:
    """Chunks that are narrower than a row, without filters."""
    for name, stored in (
        ("chunks of a quarter of a 4 KiB row", Stored(20, 3200, (1024,), chunks=(32, 256))),
        ("h5py's own chunks of 48 KiB rows", Stored(20, 400, IMAGE, chunks=True)),
    ):
        smaller = replace(stored, rows=scale.rows(stored.rows, 32))
        with files_of(smaller, scale) as files:
            _race(report, Task(f"{name}, unfiltered", smaller), files, scale, {PLAIN: 10})


def auto_gzip(report: Report, scale: Scale) -> None:
    """Gzip with h5py's own chunks in a window of 48 MiB, beside one row a chunk."""
    options = {"shuffle": {"mode": "block", "window_bytes": 48 * MIB}}
    results = {}
    for name, chunks in (
        ("one row", (1, *IMAGE)),
        ("50 whole rows", (50, *IMAGE)),
        ("50 rows × 1/48 (as h5py chooses)", (50, 1, 16, 16)),
    ):
        stored = Stored(20, scale.rows(400, 50), IMAGE, chunks=chunks, filters="gzip")
        task = Task(f"gzip, {name} a chunk, 48 MiB window", stored, 32, options=options)
        with files_of(stored, scale) as files:
            result = results[name] = _race(report, task, files, scale, {PLAIN: None}, forgets=True)
            if len(results) == 3:
                row = results["one row"]
                report.goals.append(
                    cpu_ratio(task.name, result.epochs[OURS], row.name, row.epochs[OURS], 1.3)
                )
                decoding_s = 1e-6 * task.batch * _cpu_us(row)
                most_s = 0.02 + decoding_s
                report.goals.append(
                    task_meters.longest_waits(task, files, rounds=scale.rounds, most_s=most_s)
                )


def _cpu_us(result: Result) -> float:
    return Timing.of([trial.cpu_us for trial in result.epochs[OURS]]).median


def worker_decodes(report: Report, scale: Scale) -> None:
    """Four worker processes on chunks that hold many rows."""
    stored = Stored(20, scale.rows(6400, 32), chunks=(32, 1024), filters="gzip")
    with files_of(stored, scale) as files:
        task = Task("gzip, 32 rows of 4 KiB a chunk", stored, options={"num_workers": 4})
        say(f"  {task.name}, 4 workers")
        report.goals.append(task_meters.decoded_by_workers(task, files, 1.5))


def h5py_reader(report: Report, scale: Scale) -> None:
    """``reader="h5py"``, which reads what the direct reader cannot."""
    options = {"reader": "h5py"}
    contiguous = Stored(20, scale.rows(3200, 32))
    chunked = replace(contiguous, chunks=(32, 1024))
    gzip = replace(contiguous, chunks=(32, 1024), filters="gzip")
    for name, stored, window in (
        ("contiguous 4 KiB rows", contiguous, 1),
        ("windows of 16 × 4 KiB", contiguous, 16),
        ("32 rows of 4 KiB a chunk", chunked, 1),
        ("gzip, 32 rows of 4 KiB a chunk", gzip, 1),
    ):
        with files_of(stored, scale) as files:
            batch = 256 if window == 1 else 64
            task = Task(f'reader="h5py", {name}', stored, batch, window, options=options)
            _race(report, task, files, scale, {PLAIN: 1.0}, forgets=stored.filters != "none")


def compound(report: Report, scale: Scale) -> None:
    """12 of 22 members of a compound dataset with lzf, shuffled and in order."""
    with tempfile.TemporaryDirectory(dir=scale.folder) as folder:
        jets = scale.rows(4000, 100)
        files = write_tracks(Tracks("", 20, jets, "none"), Path(folder) / "data")
        for name, shuffle, least in (("in order", "none", 1.0), ("shuffled", "auto", 0.8)):
            tracks = Tracks(f"12 of 22 compound members, lzf, {name}", 20, jets, shuffle)
            say(f"  {tracks.name}")
            report.results.append(
                run_race(
                    tracks.name,
                    tracks,
                    files,
                    tracks.arguments(),
                    {SLICES: RecordSlices(files)},
                    {SLICES: least},
                    rounds=scale.rounds,
                    limit_s=scale.limit_s,
                    forgets=True,
                )
            )


def transforms(report: Report, scale: Scale) -> None:
    """A transform for each sample that changes nothing; plain h5py has none."""
    stored = Stored(20, scale.rows(3200))
    with files_of(stored, scale) as files:
        task = Task("identity transform of 4 KiB rows", stored, options={"transform": _identity})
        _race(report, task, files, scale, {PLAIN: 3})


def _identity(sample: Any) -> Any:
    return sample


def constants(report: Report, scale: Scale) -> None:
    """A constant of 4 KiB in each of a thousand files; plain h5py keeps those that it has read."""
    stored = Stored(scale.files(1000), scale.rows(32, 8), constant=1024)
    with files_of(stored, scale) as files:
        task = Task(f"4 KiB rows and a constant of 4 KiB, {stored.files:,} files", stored)
        _race(report, task, files, scale, {PLAIN: None})


PARTS = (
    scaling, many_files, many_fields, big_batches, windows, split_chunks, auto_gzip, worker_decodes, h5py_reader,
    compound, transforms, constants,
)  # fmt: skip
