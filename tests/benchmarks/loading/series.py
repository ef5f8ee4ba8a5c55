"""Series inside of files, beside the same rows in one series and beside the loaders of a field."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from h5lightning.tools.bench.timing import Timing
from loading.data import Files
from loading.ours import training
from loading.races import Goal
from loading.report import Report
from loading.scale import Scale, say
from loading.series_data import Clips, Groups, ItemByItem, write_clips, write_groups
from loading.task_races import epoch_of, run_race

__all__ = ["PARTS"]

MIB = 2**20
_IN_ONE = "the same windows over one series"
_PLAIN_ROWS = "plain rows of the same bytes"
_BY_ITEM = "h5py, clip by clip"


@contextmanager
def _folder(scale: Scale) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=scale.folder) as folder:
        yield Path(folder)


def groups(report: Report, scale: Scale) -> None:
    """Windows of 16 rows over 1,000 groups of one file, and over one series of as many rows."""
    windows = Groups(
        "windows of 16 over 1,000 groups", 1, 1000, scale.rows(256, 32), 256, window=16, batch=64
    )
    one = replace(windows, groups=0, length=windows.groups * windows.length)
    say(f"{windows.name}: writing {2 * windows.size / MIB:,.0f} MiB")
    with _folder(scale) as folder:
        files, other = write_groups(windows, folder / "groups"), write_groups(one, folder / "one")
        _race(report, windows, files, scale, _IN_ONE, one, other, 0.8)


def million(report: Report, scale: Scale) -> None:
    """A million series in 200 files, two fields: the index, a warm start, and batches, each read alone."""
    count, alone = scale.rows(5000), {"threads": 0}
    name = f"{200 * count:,} series in 200 files, one batch at a time"
    series = Groups(name, scale.files(200), count, 16, 16, fields=2, options=alone)
    rows = replace(series, groups=0, length=count * series.length)
    say(f"{series.name}: writing {2 * series.size / MIB:,.0f} MiB")
    with _folder(scale) as folder:
        files, other = write_groups(series, folder / "series"), write_groups(rows, folder / "rows")
        _race(report, series, files, scale, _PLAIN_ROWS, rows, other, 0.5)
        index = Path(files.index_dir)
        stored = sum(path.stat().st_size for path in index.rglob("*") if path.is_file()) / MIB
        name = f"{series.name}: MiB of the index on disk"
        report.goals.append(Goal(name, 200 * 1e6 / MIB, Timing.of([stored]), at_least=False))
        starts = [_start_s(series, files) for _ in range(3)]
        name = f"{series.name}: seconds of a warm start"
        report.goals.append(Goal(name, 2.0, Timing.of(starts), at_least=False))


def _start_s(series: Groups, files: Files) -> float:
    began = time.perf_counter()
    with training(files, **series.arguments()):
        return time.perf_counter() - began


def clips(report: Report, scale: Scale) -> None:
    """Clips of 4 frames of videos that a table of starts and lengths divides."""
    videos = Clips("clips of 4 frames of 147 KiB", scale.rows(64), 64)
    say(f"{videos.name}: writing {videos.size / MIB:,.0f} MiB")
    with _folder(scale) as folder:
        files = write_clips(videos, folder / "clips")
        rivals = {_BY_ITEM: ItemByItem(videos, files)}
        _run(report, videos, files, scale, rivals, {_BY_ITEM: 4.0})


def _race(
    report: Report, ours: Groups, files: Files, scale: Scale, name: str, other: Groups, at: Files, goal: float
) -> None:
    """A race of h5lightning against itself over other files."""
    with training(at, **other.arguments()) as dm:
        _run(report, ours, files, scale, {name: partial(epoch_of, dm)}, {name: goal})


def _run(
    report: Report,
    ours: Any,
    files: Files,
    scale: Scale,
    rivals: dict[str, Any],
    goals: dict[str, float | None],
) -> None:
    say(f"  {ours.name}")
    options = {"rounds": scale.rounds, "limit_s": scale.limit_s, "forgets": False}
    os.sync()  # what was just written must not be written back while it is read
    report.results.append(run_race(ours.name, ours, files, ours.arguments(), rivals, goals, **options))


PARTS = (groups, million, clips)
