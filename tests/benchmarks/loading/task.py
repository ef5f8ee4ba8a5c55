"""Data that are read in harder ways than by single rows of a few files, and what one sample of them is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from h5lightning import Field, Windows
from loading.data import BATCH, FILTERS, Files

__all__ = ["CONSTANT", "Stored", "Task", "write_files"]

CONSTANT = "constant"
_LEVELS = 4096  # 12 random bits in each float: deflate leaves about half of the bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """Files of equal length, with equal float32 datasets ``(rows, *row)``.

    Args:
        files: how many.
        rows: of each file.
        row: shape of a row.
        fields: datasets of each file.
        chunks: shape of a chunk, True for that of h5py, None for the contiguous layout.
        filters: a key of `FILTERS`.
        constant: elements of a dataset without a sample axis; 0 for none.
    """

    files: int
    rows: int
    row: tuple[int, ...] = (1024,)
    fields: int = 1
    chunks: tuple[int, ...] | bool | None = None
    filters: str = "none"
    constant: int = 0

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of one field."""
        return 4 * prod(self.row)

    @property
    def names(self) -> list[str]:
        """The datasets."""
        return [f"f{number:03}" for number in range(self.fields)]


@dataclass(frozen=True, slots=True)
class Task:
    """What a sample is, of which data.

    Args:
        name: its name in tables.
        stored: the data.
        batch: samples in a batch.
        window: consecutive rows of a sample.
        steps: rows of the window for each key, all of the first field; empty for the whole window of each field.
        options: of `H5DataModule`.
    """

    name: str
    stored: Stored
    batch: int = BATCH
    window: int = 1
    steps: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def samples_of_file(self) -> int:
        """Windows that begin in each file."""
        return self.stored.rows - self.window + 1

    @property
    def samples(self) -> int:
        """Samples of all files."""
        return self.stored.files * self.samples_of_file

    @property
    def sample_bytes(self) -> int:
        """Bytes of a sample."""
        return self.stored.fields * self.window * self.stored.row_bytes + 4 * self.stored.constant

    @property
    def files(self) -> int:
        """How many files there are."""
        return self.stored.files

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return self.stored.files * self.stored.rows

    @property
    def size(self) -> int:
        """Bytes of the data, decoded."""
        return self.rows * self.stored.row_bytes * self.stored.fields

    def arguments(self) -> dict[str, Any]:
        """What `H5DataModule` is given to deliver these samples."""
        fields: dict[str, Field] = {name: Field(name) for name in self.stored.names}
        if self.steps:
            fields = {key: Field(self.stored.names[0], steps=steps) for key, steps in self.steps.items()}
        if self.stored.constant:
            fields[CONSTANT] = Field(CONSTANT, constant=True)
        windows = {"samples": Windows(self.window)} if self.window > 1 else {}
        return {"fields": fields, "batch_size": self.batch, **windows, **self.options}


def write_files(stored: Stored, folder: Path) -> Files:
    """Write one file with h5py, and the others as copies of its bytes.

    The first element of a contiguous row is the number of the row over all files. In other layouts it is the number
    inside its file, and all files hold the same.
    """
    folder.mkdir(parents=True)
    template = folder / "template"
    with h5py.File(template, "w") as file:
        offsets = [_write_field(file, name, stored) for name in stored.names]
        if stored.constant:
            file[CONSTANT] = np.arange(stored.constant, dtype=np.float32)
    contents = np.fromfile(template, np.uint8)
    template.unlink()
    numbers = [_first_elements(contents, offset, stored) for offset in offsets if offset is not None]
    for number in range(stored.files):
        for view in numbers:
            view[:] = np.arange(number * stored.rows, (number + 1) * stored.rows)
        contents.tofile(folder / f"{number:05}.h5")
    return Files(folder=folder)


def _write_field(file: h5py.File, name: str, stored: Stored) -> int | None:
    """Write a dataset; returns where its values begin, if they are in one piece."""
    shape = (stored.rows, *stored.row)
    dataset = file.create_dataset(name, shape, "f4", chunks=stored.chunks, **FILTERS[stored.filters]())
    rng = np.random.default_rng(20)
    step = max(1, (16 << 20) // stored.row_bytes)
    block = rng.integers(0, _LEVELS, (min(step, stored.rows), *stored.row), dtype=np.uint16)
    values = block.astype(np.float32) / _LEVELS
    for start in range(0, stored.rows, step):
        part = values[: stored.rows - start]
        part.reshape(len(part), -1)[:, 0] = np.arange(start, start + len(part))
        dataset[start : start + len(part)] = part
    offset: int | None = dataset.id.get_offset()
    return offset


def _first_elements(contents: npt.NDArray[np.uint8], offset: int, stored: Stored) -> npt.NDArray[np.float32]:
    values = contents[offset : offset + stored.rows * stored.row_bytes].view(np.float32)
    return values.reshape(stored.rows, -1)[:, 0]
