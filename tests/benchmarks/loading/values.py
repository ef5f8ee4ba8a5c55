"""What is done to values: normalisation, statistics of the rows of train, and images that are decoded."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import torch

from h5lightning import Field, H5DataModule, Split
from h5lightning.tools.bench.timing import Timing
from loading.compound import MEMBERS, Tracks, write_tracks
from loading.data import BATCH, Dataset, Files, Workload
from loading.limits import DecodeAndGather
from loading.ours import training
from loading.races import THREADS, Goal
from loading.report import Report
from loading.scale import Scale, say, written
from loading.task_races import epoch_of, run_race

__all__ = ["PARTS", "Images", "write_images"]

_PLAIN = "without normalisation"
_FROM_RAM = "the same bytes decoded from RAM"
_HEIGHT, _WIDTH = 480, 640
_MANY = 1000  # files of the second start
_IMAGES_A_BATCH = 64


# ── normalisation ────────────────────────────────────────────────────────────────────────────────────


def normalized(report: Report, scale: Scale) -> None:
    """12 of 22 members of a compound dataset as one tensor, with and without normalisation."""
    name = "12 of 22 compound members as one tensor, lzf, normalised"
    tracks = Tracks(name, 20, scale.rows(4000, 100), "auto")
    fields = {"x": Field("tracks", member=list(MEMBERS), dtype="float32")}
    arguments = {"fields": fields, "batch_size": BATCH}
    with tempfile.TemporaryDirectory(dir=scale.folder) as folder:
        say(f"  {name}")
        files = write_tracks(tracks, Path(folder) / "data")
        with training(files, **arguments) as plain:
            rivals = {_PLAIN: partial(_fresh_epoch, plain)}
            ours = {**arguments, "normalize": {"x": "standard"}}
            report.results.append(
                run_race(
                    name, tracks, files, ours, rivals, {_PLAIN: 0.9},
                    rounds=scale.rounds, limit_s=scale.limit_s, forgets=True,
                )
            )  # fmt: skip


def _fresh_epoch(dm: H5DataModule, number: int) -> Iterator[Mapping[str, torch.Tensor]]:
    """An epoch that begins with nothing decoded."""
    dm.teardown()
    yield from epoch_of(dm, number)


# ── statistics ───────────────────────────────────────────────────────────────────────────────────────


def statistics(report: Report, scale: Scale) -> None:
    """Statistics of gzip data beside decoding each chunk once; and the second start with many files."""
    name = "statistics of gzip + shuffle, 32 rows of 4 KiB a chunk"
    with written(Workload(name, 64_000, 4096, chunk_rows=32, filters="gzip+shuffle"), scale) as dataset:
        decoding = DecodeAndGather(dataset, threads=THREADS, gathers=False)
        ratios = []
        for number in range(scale.rounds + 1):
            folder = Path(dataset.index_dir)
            without = _seconds(partial(_set_up, dataset, folder / f"without-{number}", {}))
            both = _seconds(partial(_set_up, dataset, folder / f"with-{number}"))
            ratios.append((both - without) / _seconds(lambda: list(map(len, decoding(0)))))
        what = f"{name}: beside decoding each chunk once"
        report.goals.append(Goal(what, 1.3, Timing.of(ratios[1:]), at_least=False))
    rows = 20 * scale.files(_MANY)
    with written(Workload("small files", rows, 256, files=scale.files(_MANY)), scale) as dataset:
        known = Path(dataset.index_dir) / "known"
        _set_up(dataset, known)
        times = [_seconds(partial(_set_up, dataset, known)) for _ in range(scale.rounds)]
    what = f"second start of {scale.files(_MANY):,} files with statistics: seconds"
    report.goals.append(Goal(what, 1.0, Timing.of(times), at_least=False))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _set_up(dataset: Dataset, index_dir: Path, normalize: Mapping[str, str] | None = None) -> None:
    """Set up a DataModule that normalises all rows, unless told otherwise; with a new ``index_dir``, all is read."""
    normalize = {"data": "standard"} if normalize is None else normalize
    dm = H5DataModule(
        dataset.pattern,
        fields={"data": "data"},
        split=Split(val=None, test=None),
        normalize=dict(normalize),
        index_dir=str(index_dir),
    )
    dm.prepare_data()
    dm.setup()
    if normalize and int(dm.statistics["data"].count[0]) != dataset.workload.rows:
        raise RuntimeError("the statistics do not count each row")
    dm.teardown()


# ── images ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Images:
    """JPEG images of variable length in files, one a row.

    Args:
        name: its name in tables.
        files: how many.
        each: images of each file.
    """

    name: str
    files: int
    each: int

    @property
    def rows(self) -> int:
        """Images of all files."""
        return self.files * self.each

    @property
    def sample_bytes(self) -> int:
        """Bytes of a decoded image."""
        return _HEIGHT * _WIDTH * 3

    @property
    def size(self) -> int:
        """Bytes of all decoded images."""
        return self.rows * self.sample_bytes


def write_images(images: Images, folder: Path) -> Files:
    """Write one file of smooth pictures, and the others as copies of it."""
    import imagecodecs

    folder.mkdir(parents=True)
    path = folder / "00000.h5"
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:_HEIGHT, :_WIDTH]
    with h5py.File(path, "w") as file:
        data = file.create_dataset("image", (images.each,), h5py.vlen_dtype("uint8"))
        for row in range(images.each):
            waves = rng.uniform(0.005, 0.05, (3, 2))
            pixels = [127 + 90 * np.sin(a * x + row) * np.cos(b * y) for a, b in waves]
            noisy = np.stack(pixels, -1) + rng.normal(0, 6, (_HEIGHT, _WIDTH, 3))
            encoded = imagecodecs.jpeg8_encode(noisy.clip(0, 255).astype("uint8"), level=90)
            data[row] = np.frombuffer(encoded, "uint8")
    for number in range(1, images.files):
        shutil.copyfile(path, folder / f"{number:05}.h5")
    return Files(folder=folder)


class _DecodedFromRam:
    """The same bytes in RAM, decoded in threads into tensors that are used again."""

    def __init__(self, files: Files) -> None:
        self._stored: list[bytes] = []
        for path in files.paths:
            with h5py.File(path) as file:
                self._stored += [value.tobytes() for value in file["image"][:]]
        self._out = np.zeros((_IMAGES_A_BATCH, _HEIGHT, _WIDTH, 3), np.uint8)
        self._threads = ThreadPoolExecutor(THREADS)

    def __call__(self, epoch: int = 0) -> Iterator[Mapping[str, torch.Tensor]]:
        """An epoch's batches in random order."""
        import imagecodecs

        order = np.random.default_rng(epoch).permutation(len(self._stored)).tolist()
        for start in range(0, len(order), _IMAGES_A_BATCH):
            rows = order[start : start + _IMAGES_A_BATCH]

            def decode(place: int, rows: list[int] = rows) -> None:
                imagecodecs.jpeg8_decode(self._stored[rows[place]], out=self._out[place])

            for _ in self._threads.map(decode, range(len(rows))):
                pass
            yield {"image": torch.from_numpy(self._out[: len(rows)])}

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()


def images(report: Report, scale: Scale) -> None:
    """JPEG images of 480 × 640, shuffled."""
    pictures = Images("JPEG 480 × 640, variable length", scale.files(10), scale.rows(60, 4))
    arguments = {"fields": {"image": Field("image", decode="image")}, "batch_size": _IMAGES_A_BATCH}
    with tempfile.TemporaryDirectory(dir=scale.folder) as folder:
        say(f"  {pictures.name}")
        files = write_images(pictures, Path(folder) / "data")
        os.sync()
        rivals = {_FROM_RAM: _DecodedFromRam(files)}
        report.results.append(
            run_race(
                pictures.name, pictures, files, arguments, rivals, {_FROM_RAM: 0.85},
                rounds=scale.rounds, limit_s=scale.limit_s, forgets=False,
            )
        )  # fmt: skip


PARTS = (normalized, statistics, images)
