"""Seeded data sets of several files, each sample of which says who it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

__all__ = ["FILTERS", "Dataset", "Workload", "filters_here", "write"]

BATCH = 256
FILES = 20
_LEVELS = 4096  # 12 random bits in each float: deflate leaves about half of the bytes


@dataclass(frozen=True, slots=True)
class Workload:
    """What is stored, and how.

    Args:
        name: what tables call it.
        rows: samples over all files; a multiple of ``files``.
        row_bytes: bytes of the data of a sample, float32.
        files: files of equal length.
        chunk_rows: rows of a chunk; None for the contiguous layout.
        filters: a key of `FILTERS`.
    """

    name: str
    rows: int
    row_bytes: int
    files: int = FILES
    chunk_rows: int | None = None
    filters: str = "none"

    @property
    def columns(self) -> int:
        """Elements of a row."""
        return self.row_bytes // 4

    @property
    def size(self) -> int:
        """Bytes of the data, decoded."""
        return self.rows * self.row_bytes

    @property
    def sample_bytes(self) -> int:
        """Bytes of a sample: data and label."""
        return self.row_bytes + 8

    @property
    def rows_of_file(self) -> int:
        """Rows of each file."""
        return self.rows // self.files


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """A folder of files, and where the index of the scan is kept."""

    folder: Path

    @property
    def pattern(self) -> str:
        """What `H5DataModule` is given."""
        return str(self.folder / "*.h5")

    @property
    def paths(self) -> list[str]:
        """The files in order."""
        return sorted(str(path) for path in self.folder.glob("*.h5"))

    @property
    def index_dir(self) -> str:
        """A folder of its own."""
        return str(self.folder.with_suffix(".index"))


@dataclass(frozen=True, slots=True)
class Dataset(Files):
    """A workload on disk: ``data`` ``(rows, columns)`` and ``label`` ``(rows,)`` in each file.

    Sample i has the label i, and i is the first element of its data.
    """

    workload: Workload

    @property
    def sample_bytes(self) -> int:
        """Bytes of a sample: data and label."""
        return self.workload.sample_bytes

    def in_memory(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """All data ``(rows, columns)`` and labels ``(rows,)``."""
        data = np.empty((self.workload.rows, self.workload.columns), np.float32)
        labels = np.empty(self.workload.rows, np.int64)
        for number, path in enumerate(self.paths):
            start = number * self.workload.rows_of_file
            stop = start + self.workload.rows_of_file
            with h5py.File(path, "r") as file:
                file["data"].read_direct(data[start:stop])
                file["label"].read_direct(labels[start:stop])
        return data, labels


def write(workload: Workload, folder: Path) -> Dataset:
    """Write the files of a workload into a new folder."""
    folder.mkdir(parents=True)
    for number in range(workload.files):
        _write_file(workload, number, folder / f"{number:04}.h5")
    return Dataset(workload, folder=folder)


def _write_file(workload: Workload, number: int, path: Path) -> None:
    rows, first = workload.rows_of_file, number * workload.rows_of_file
    with h5py.File(path, "w") as file:
        chunks = (workload.chunk_rows, workload.columns) if workload.chunk_rows else None
        data = file.create_dataset(
            "data", (rows, workload.columns), "f4", chunks=chunks, **FILTERS[workload.filters]()
        )
        for start, block in _blocks(workload, number):
            data[start : start + len(block)] = block
        file["label"] = np.arange(first, first + rows)


def _blocks(workload: Workload, number: int) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Where blocks of a file's rows start, and their values: a few MiB at a time."""
    rng = np.random.default_rng([20, number])
    rows, first = workload.rows_of_file, number * workload.rows_of_file
    step = max(workload.chunk_rows or 1, 32 * (1 + (1 << 17) // workload.row_bytes))
    for start in range(0, rows, step):
        shape = (min(step, rows - start), workload.columns)
        block = rng.integers(0, _LEVELS, shape, dtype=np.uint16).astype(np.float32)
        block /= _LEVELS
        block[:, 0] = np.arange(first + start, first + start + len(block))
        yield start, block


# ── filters ──────────────────────────────────────────────────────────────────────────────────────────


def _plugin(name: str, **options: Any) -> Callable[[], Mapping[str, Any]]:
    """The arguments of a filter of hdf5plugin, which is imported only where it is used."""

    def arguments() -> Mapping[str, Any]:
        import hdf5plugin

        return getattr(hdf5plugin, name)(**options)

    return arguments


FILTERS: dict[str, Callable[[], Mapping[str, Any]]] = {
    "none": dict,
    "gzip": lambda: {"compression": "gzip"},
    "gzip+shuffle": lambda: {"compression": "gzip", "compression_opts": 4, "shuffle": True},
    "lzf": lambda: {"compression": "lzf", "shuffle": True},
    "blosc-zstd": _plugin("Blosc", cname="zstd", clevel=5),
    "lz4": _plugin("LZ4"),
    "bitshuffle+lz4": _plugin("Bitshuffle", cname="lz4"),
    "zstd": _plugin("Zstd"),
}


def filters_here() -> list[str]:
    """The filters that can be written here; those of hdf5plugin where it is installed."""
    try:
        import hdf5plugin  # noqa: F401
    except ImportError:
        return ["none", "gzip", "gzip+shuffle", "lzf"]
    return list(FILTERS)
