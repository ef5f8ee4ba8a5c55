"""How long a start takes over many small files, against a loop that opens each: ``python tests/benchmarks/scan.py``.

Everything is measured in one run, each figure the median of some rounds in turn; ratios mean more than times.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from h5lightning.options import Access
from h5lightning.storage.discovery import discover
from h5lightning.storage.indexing.build_catalog import build_catalog
from h5lightning.storage.scanning import ScanRequest

REQUEST = ScanRequest(("x", "y"))


def write_files(directory: Path, count: int) -> None:
    """``count`` files with two small fields of different lengths."""
    directory.mkdir(parents=True)
    for number in range(count):
        with h5py.File(directory / f"{number:06}.h5", "w") as file:
            rows = 8 + number % 5
            file["x"] = np.full((rows, 16), number, "f4")
            file["y"] = np.arange(rows)


def read_shapes(directory: Path) -> None:
    """What a user would write."""
    for path in sorted(directory.glob("*.h5")):
        with h5py.File(path, "r") as file:
            assert file["x"].shape[0] == file["y"].shape[0]


def first_start(directory: Path, processes: int | None) -> None:
    """Discover, scan all, save."""
    index = directory.parent / "index"
    shutil.rmtree(index, ignore_errors=True)
    found = discover(str(directory / "*.h5"))
    build_catalog(found, REQUEST, access=Access(), index_dir=index, processes=processes, progress=False)


def warm_start(directory: Path) -> None:
    """Discover, load, validate."""
    found = discover(str(directory / "*.h5"))
    built = build_catalog(
        found, REQUEST, access=Access(), index_dir=directory.parent / "index", progress=False
    )
    assert built.scanned == 0


def start_after_a_change(directory: Path) -> None:
    """Discover, load, scan one file, save."""
    os.utime(directory / "000000.h5")
    found = discover(str(directory / "*.h5"))
    built = build_catalog(
        found, REQUEST, access=Access(), index_dir=directory.parent / "index", progress=False
    )
    assert built.scanned == 1


def measure(steps: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median seconds of each step; the steps take turns, so that a slow moment hits all of them."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - started)
    return {name: statistics.median(taken) for name, taken in times.items()}


def run(files: int, rounds: int) -> dict[str, float]:
    """Seconds by step."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "runs"
        write_files(directory, files)
        steps = {
            "plain loop, 2 shapes a file": lambda: read_shapes(directory),
            "first start, this process": lambda: first_start(directory, 1),
            "first start, all cores": lambda: first_start(directory, None),
            "warm start": lambda: warm_start(directory),
            "start after one file changed": lambda: start_after_a_change(directory),
        }
        return measure(steps, rounds)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    seconds = run(options.files, options.rounds)
    (reference, *_) = seconds.values()
    for name, taken in seconds.items():
        line = f"{name:30} {1e6 * taken / options.files:8.1f} µs/file {taken / reference:7.3f} of the loop"
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
