"""The readers beside what this machine can do at best: ``python tests/benchmarks/readers.py``.

Rows of 4 KiB, 256 a batch, page cache warm, one thread. Contiguous data in random order against a gather from
RAM; compressed data in block order against decoding each chunk once, in file order, and a gather of its rows.
Each figure is the median of some rounds in turn; ratios mean more than times.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from h5lightning.options import Access
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.files.raw_file import RawFile
from h5lightning.storage.readers.direct.chunk_map import map_chunks
from h5lightning.storage.readers.direct.reader import DirectReader
from h5lightning.storage.readers.libhdf5.reader import H5pyReader
from h5lightning.storage.readers.protocol import DatasetColumn, Reader

WIDTH, BATCH, CHUNK_ROWS = 1024, 256, 32
SOURCE = DatasetColumn("x", None, "<f4", (WIDTH,))
Batch = list[tuple[str, npt.NDArray[np.int64], npt.NDArray[np.int64]]]  # file, rows, slots


def write_files(directory: Path, values: npt.NDArray[Any], files: int, **options: Any) -> list[str]:
    """The values, in equal parts."""
    directory.mkdir()
    paths = [str(directory / f"{number}.h5") for number in range(files)]
    for path, part in zip(paths, np.split(values, files), strict=True):
        with h5py.File(path, "w") as file:
            file.create_dataset("x", data=part, **options)
    return paths


def by_file(paths: list[str], rows: int, ids: npt.NDArray[np.int64]) -> Batch:
    """The rows of a batch that lie in each file."""
    files = ids // rows
    slots = [np.flatnonzero(files == number) for number in range(len(paths))]
    parts = [(paths[number], ids[found] % rows, found) for number, found in enumerate(slots)]
    return [part for part in parts if part[1].size]


def read_all(reader: Reader, batches: list[Batch], out: npt.NDArray[Any]) -> None:
    """Read batches one after the other into one buffer."""
    for batch in batches:
        for path, rows, slots in batch:
            reader.read_rows(path, SOURCE, rows, out, slots)


def gather(values: npt.NDArray[Any], batches: list[npt.NDArray[np.int64]], out: npt.NDArray[Any]) -> None:
    """What a batch takes when everything is in memory."""
    for ids in batches:
        np.take(values, ids, axis=0, out=out, mode="clip")


def decode_each_once(paths: list[str], window: npt.NDArray[np.uint8]) -> None:
    """Decode all chunks in the order of the files."""
    slots = window.reshape(-1, CHUNK_ROWS * WIDTH * 4)
    number = 0
    for path in paths:
        raw = RawFile(path)
        with h5py.File(path) as file:
            storage = map_chunks(file["x"].id, SOURCE, raw)
        assert storage.pipeline is not None
        for offset, size in zip(storage.offsets.tolist(), storage.sizes.tolist(), strict=True):
            storage.pipeline.decode(raw.read(offset, size), slots[number % len(slots)])
            number += 1
        raw.close()


def medians(ways: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Seconds of each way, after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, work in ways.items():
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(found[1:]) for name, found in seconds.items()}


def contiguous(directory: Path, files: int, rows: int, rounds: int) -> dict[str, float]:
    """All rows in random order."""
    rng = np.random.default_rng(0)
    values = rng.random((rows, WIDTH), dtype="f4")
    paths = write_files(directory / f"contiguous-{files}", values, files)
    batches = list(rng.permutation(rows)[: rows // BATCH * BATCH].reshape(-1, BATCH))
    parts = [by_file(paths, rows // files, ids) for ids in batches]
    out = np.empty((BATCH, WIDTH), "f4")
    with HandlePool(Access()) as pool, HandlePool(Access()) as other:
        direct, library = DirectReader(pool), H5pyReader(other)
        return medians(
            {
                "limit": lambda: gather(values, batches, out),
                "direct": lambda: read_all(direct, parts, out),
                "h5py": lambda: read_all(library, parts, out),
            },
            rounds,
        )


def compressed(
    directory: Path, files: int, rows: int, rounds: int, window_chunks: int = 240
) -> dict[str, float]:
    """Chunks in random order, the rows of a window of them mixed completely."""
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(rows, WIDTH)).cumsum(axis=1) / 10).round(2).astype("f4")
    options = {"chunks": (CHUNK_ROWS, WIDTH), "compression": "gzip", "shuffle": True}
    paths = write_files(directory / f"compressed-{files}", values, files, **options)
    chunks = rng.permutation(rows // CHUNK_ROWS)
    windows = np.split(chunks, range(window_chunks, len(chunks), window_chunks))
    ids = [rng.permutation((part[:, None] * CHUNK_ROWS + np.arange(CHUNK_ROWS)).ravel()) for part in windows]
    batches = list(np.concatenate(ids)[: rows // BATCH * BATCH].reshape(-1, BATCH))
    parts = [by_file(paths, rows // files, ids) for ids in batches]
    out, window = np.empty((BATCH, WIDTH), "f4"), np.empty((window_chunks * CHUNK_ROWS, WIDTH * 4), np.uint8)

    def limit() -> None:
        decode_each_once(paths, window)
        gather(window, [ids % len(window) for ids in batches], out.view(np.uint8))

    def direct() -> None:
        # A new reader for each epoch: nothing is decoded yet.
        with HandlePool(Access()) as pool:
            reader = DirectReader(pool)
            read_all(reader, parts, out)
            reader.close()

    return medians({"limit": limit, "direct": direct}, rounds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=15_360)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        for measure in (contiguous, compressed):
            for files in (1, 20):
                seconds = measure(Path(directory), files, arguments.rows, arguments.rounds)
                sys.stdout.write(f"{measure.__name__}, {files} files:\n")
                for name, value in seconds.items():
                    per_row = value / arguments.rows * 1e6
                    share = seconds["limit"] / value
                    sys.stdout.write(f"  {name:8} {per_row:8.2f} µs a row, {share:5.2f} of the limit\n")


if __name__ == "__main__":
    main()
