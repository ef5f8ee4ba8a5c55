"""Samples of other shapes than rows: ragged ones, buckets, crops of a volume, and windows along the last axis."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from h5lightning import Access, Shuffle
from h5lightning.tools.bench.timing import Timing
from loading.data import Files
from loading.meters import decoded_sizes
from loading.ours import training
from loading.races import Goal
from loading.report import Report
from loading.scale import Scale, say
from loading.shapes_data import (
    BoxByBox,
    Clouds,
    FixedRows,
    Recordings,
    Volume,
    write_clouds,
    write_fixed_rows,
    write_recordings,
    write_volume,
)
from loading.task_races import Batches, epoch_of, run_race

__all__ = ["PARTS", "decodes_of_epochs", "padding"]

MIB = 2**20
_FIXED = "fixed rows of the same bytes"
_RANDOM = "random order"
_BY_BOX = "h5py kept open, box by box"
_CHUNK_BYTES = 64**3
_EPOCHS = 2  # that are counted, not timed
_MOST_ROUNDS = 3  # of whole epochs of crops


@contextmanager
def _folder(scale: Scale) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=scale.folder) as folder:
        yield Path(folder)


def ragged(report: Report, scale: Scale) -> None:
    """Clouds of 20 to 200 rows joined into one tensor: rows of an index, and whole series."""
    clouds = Clouds("concat of 20 to 200 rows × 12 bytes, by an index", scale.files(20), scale.rows(55))
    series = replace(clouds, name="concat of 20 to 200 rows × 12 bytes, whole series", is_series=True)
    fixed = FixedRows(clouds)
    say(f"{clouds.files} files of clouds: writing {2 * clouds.size / MIB:,.0f} MiB")
    with _folder(scale) as folder:
        files, other = write_clouds(clouds, folder / "clouds"), write_fixed_rows(fixed, folder / "fixed")
        with training(other, **fixed.arguments()) as dm:
            for each in (clouds, series):
                _run(report, each, files, scale, {_FIXED: partial(epoch_of, dm)}, {_FIXED: 0.5})


def buckets(report: Report, scale: Scale) -> None:
    """Padded clouds of 40 to 200 rows: how much is padding, and how fast what is no padding comes."""
    apart = Clouds(
        "padded, 40 to 200 rows × 12 bytes", scale.files(20), scale.rows(55), 40, 200, ragged="pad"
    )
    together = replace(
        apart, name=f"{apart.name}, bucketed", options={"shuffle": Shuffle(bucket="length:points")}
    )
    say(f"{apart.files} files of clouds: writing {apart.size / MIB:,.0f} MiB")
    with _folder(scale) as folder:
        files = write_clouds(apart, folder / "clouds")
        with training(files, **apart.arguments()) as dm:
            _run(report, together, files, scale, {_RANDOM: partial(epoch_of, dm)}, {_RANDOM: None})
            usual = padding(epoch_of(dm, 0))
        with training(files, **together.arguments()) as dm:
            shares = [padding(epoch_of(dm, epoch)) for epoch in range(_EPOCHS)]
    what = f"{together.name}: share that is padding, where random order has {usual:.2f}"
    report.goals.append(Goal(what, 0.1, Timing.of(shares), at_least=False))


def padding(batches: Iterable[Mapping[str, Any]]) -> float:
    """Which share of the rows of padded batches is padding."""
    delivered, real = 0, 0
    for batch in batches:
        delivered += batch["points"].shape[0] * batch["points"].shape[1]
        real += int(batch["length"].sum())
    return 1 - real / delivered


def crops(report: Report, scale: Scale) -> None:
    """Crops of 64³ of a volume in gzip chunks of 64³: how often chunks are decoded, and how fast crops come.

    Epochs are whole ones of the whole volume, and begin with nothing decoded.
    """
    side = max(3, round(20 * scale.part ** (1 / 3)))
    grid = Volume("crops of 64³, stride 32", side, 32)
    room = {"access": Access(cache_bytes=300 * _CHUNK_BYTES)}
    drawn = Volume("crops of 64³, stride 64 with jitter, a cache of 300 chunks", side, 64, True, options=room)
    say(f"a volume of {side}³ chunks: writing {grid.size / MIB:,.0f} MiB before compression")
    with _folder(scale) as folder:
        files = write_volume(grid, folder / "volume")
        for volume in (grid, drawn):
            few = replace(scale, rounds=min(scale.rounds, _MOST_ROUNDS))
            rivals = {_BY_BOX: BoxByBox(volume, files)}
            _run(report, volume, files, few, rivals, {_BY_BOX: None}, forgets=True)
        counts = [chunks / side**3 for chunks, _ in decodes_of_epochs(grid, files)]
        what = f"{grid.name}: decodes of a chunk in an epoch"
        report.goals.append(Goal(what, 1.5, Timing.of(counts), at_least=False))
        counts = [chunks / samples for chunks, samples in decodes_of_epochs(drawn, files)]
        what = f"{drawn.name}: chunks decoded for a crop"
        report.goals.append(Goal(what, 2.5, Timing.of(counts), at_least=False))


def decodes_of_epochs(volume: Volume, files: Files) -> list[tuple[int, int]]:
    """The chunks that are decoded, and the crops that are delivered, in each of a few epochs from the beginning."""
    counts = []
    with training(files, **volume.arguments()) as dm:
        for epoch in range(_EPOCHS):
            dm.teardown()
            with decoded_sizes() as sizes:
                samples = sum(len(batch["x"]) for batch in epoch_of(dm, epoch))
                counts.append((len(sizes), samples))
    return counts


def eeg(report: Report, scale: Scale) -> None:
    """Windows along the last axis of recordings of 19 channels."""
    times = scale.rows(200_000, 2000)
    short = Recordings("(19, T) float32, windows of 200", scale.files(20), times, 200)
    say(f"{short.files} recordings: writing {short.size / MIB:,.0f} MiB")
    with _folder(scale) as folder:
        files = write_recordings(short, folder / "recordings")
        for each in (short, replace(short, name="(19, T) float32, windows of 1000", window=1000)):
            _run(report, each, files, scale, {_BY_BOX: BoxByBox(each, files)}, {_BY_BOX: 5.0})


def _run(
    report: Report,
    ours: Clouds | Volume | Recordings,
    files: Files,
    scale: Scale,
    rivals: Mapping[str, Batches],
    goals: Mapping[str, float | None],
    *,
    forgets: bool = False,
) -> None:
    say(f"  {ours.name}")
    options = {"rounds": scale.rounds, "limit_s": scale.limit_s, "forgets": forgets}
    os.sync()  # what was just written must not be written back while it is read
    report.results.append(run_race(ours.name, ours, files, ours.arguments(), rivals, goals, **options))


PARTS = (ragged, buckets, crops, eeg)
