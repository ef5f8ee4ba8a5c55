"""Samples of other shapes than rows: ragged ones, crops of volumes, and windows along the last axis."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import torch

from h5lightning import Field, Series, Whole, Windows
from loading.data import BATCH, Files

__all__ = [
    "BoxByBox",
    "Clouds",
    "FixedRows",
    "Recordings",
    "Volume",
    "write_clouds",
    "write_fixed_rows",
    "write_recordings",
    "write_volume",
]

_COLUMNS = 3  # of a point
_CHANNELS = 19
_SIDE = 64  # of a crop, and of a chunk
_CONTENTS = 8  # of chunks


@dataclass(frozen=True, slots=True)
class Clouds:
    """Point clouds one after the other: ``points`` ``(rows, 3)`` float32 and ``offsets`` in each file.

    Args:
        name: its name in tables.
        files: how many.
        each: clouds of each length in each file.
        shortest: rows of the shortest ones.
        longest: rows of the longest ones.
        ragged: how batches of them are made.
        is_series: each cloud is a series, and a sample a whole one; else the offsets are an index of the field.
        options: further arguments of `H5DataModule`.
    """

    name: str
    files: int
    each: int
    shortest: int = 20
    longest: int = 200
    ragged: str = "concat"
    is_series: bool = False
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def clouds(self) -> int:
        """Clouds of a file."""
        return self.each * (self.longest - self.shortest + 1)

    @property
    def mean_rows(self) -> int:
        """Rows of a cloud on average: there are as many of each length."""
        return (self.shortest + self.longest) // 2

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return self.files * self.clouds * self.mean_rows

    @property
    def sample_bytes(self) -> int:
        """Bytes of a cloud on average, without padding."""
        return self.mean_rows * _COLUMNS * 4

    @property
    def size(self) -> int:
        """Bytes of all values."""
        return self.rows * _COLUMNS * 4

    def arguments(self) -> dict[str, object]:
        """What `H5DataModule` is given; the first entry of a sample has one number for each cloud."""
        index = None if self.is_series else "offsets"
        divided = {"samples": Whole(), "series": Series(offsets="offsets")} if self.is_series else {}
        fields = {"length": "length:points", "points": Field("points", index=index, ragged=self.ragged)}
        return {"fields": fields, "batch_size": BATCH, **divided, **self.options}


def write_clouds(clouds: Clouds, folder: Path) -> Files:
    """Write the files, each with the lengths in an order of its own."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(20)
    lengths = np.repeat(np.arange(clouds.shortest, clouds.longest + 1), clouds.each)
    values = rng.random((int(lengths.sum()), _COLUMNS), np.float32)
    for number in range(clouds.files):
        with h5py.File(folder / f"{number:05}.h5", "w") as file:
            file["offsets"] = np.concatenate([[0], np.cumsum(rng.permutation(lengths))])
            file["points"] = values + np.float32(number)
    return Files(folder=folder)


@dataclass(frozen=True, slots=True)
class FixedRows:
    """The same bytes as some clouds, in rows of equal length.

    Args:
        clouds: with which they are compared.
    """

    clouds: Clouds

    def arguments(self) -> dict[str, object]:
        """What `H5DataModule` is given."""
        return {"fields": {"points": "points"}, "batch_size": BATCH, **self.clouds.options}


def write_fixed_rows(rows: FixedRows, folder: Path) -> Files:
    """Write the files."""
    folder.mkdir(parents=True)
    clouds = rows.clouds
    shape = (clouds.clouds, clouds.mean_rows * _COLUMNS)
    values = np.random.default_rng(20).random(shape, np.float32)
    for number in range(clouds.files):
        with h5py.File(folder / f"{number:05}.h5", "w") as file:
            file["points"] = values + np.float32(number)
    return Files(folder=folder)


# ── boxes ────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume ``(side, side, side)`` uint8 in gzip chunks of 64³, of which crops of 64³ are taken.

    Args:
        name: its name in tables.
        chunks: chunks along each axis.
        stride: from one crop to the next.
        jitter: whether the starts of crops are drawn.
        batch: crops of a batch.
        options: further arguments of `H5DataModule`.
    """

    name: str
    chunks: int
    stride: int
    jitter: bool = False
    batch: int = 16
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def files(self) -> int:
        """How many files there are."""
        return 1

    @property
    def rows(self) -> int:
        """Rows of the volume."""
        return self.chunks * _SIDE

    @property
    def sample_bytes(self) -> int:
        """Bytes of a crop."""
        return _SIDE**3

    @property
    def size(self) -> int:
        """Bytes of the volume."""
        return self.rows**3

    @property
    def path(self) -> str:
        """Where the values lie."""
        return "volume"

    def arguments(self) -> dict[str, object]:
        """What `H5DataModule` is given."""
        crops = Windows((_SIDE,) * 3, stride=self.stride, axis=(0, 1, 2), jitter=self.jitter)
        return {"fields": {"x": self.path}, "samples": crops, "batch_size": self.batch, **self.options}

    def boxes(self, rng: np.random.Generator) -> tuple[npt.NDArray[np.int64], tuple[int, ...]]:
        """The starts of all crops of an epoch in random order, ``(N, 3)``, and their size."""
        along = np.arange(0, self.rows - _SIDE + 1, self.stride)
        starts = np.stack([one.ravel() for one in np.meshgrid(*(along,) * 3, indexing="ij")], axis=1)
        if self.jitter:
            starts = starts + rng.integers(0, self.stride, starts.shape)
        return rng.permutation(np.minimum(starts, self.rows - _SIDE)), (_SIDE,) * 3


def write_volume(volume: Volume, folder: Path) -> Files:
    """Write the file; a few different chunks are compressed, and stored again and again."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(20)
    # Five random bits in each byte: deflate leaves about 0.65 of the bytes.
    contents = [zlib.compress(rng.integers(0, 32, _SIDE**3, np.uint8).tobytes(), 4) for _ in range(_CONTENTS)]
    with h5py.File(folder / "00000.h5", "w", libver="latest") as file:
        shape, chunks = (volume.rows,) * 3, (_SIDE,) * 3
        values = file.create_dataset(volume.path, shape, "u1", chunks=chunks, compression="gzip")
        for number, place in enumerate(product(range(0, volume.rows, _SIDE), repeat=3)):
            values.id.write_direct_chunk(place, contents[number % _CONTENTS])
    return Files(folder=folder)


@dataclass(frozen=True, slots=True)
class Recordings:
    """Recordings ``(19, times)`` float32, contiguous, of which windows along the last axis are taken.

    Args:
        name: its name in tables.
        files: how many.
        times: of each.
        window: times of a sample; the next one begins half a window later.
        batch: windows of a batch.
        options: further arguments of `H5DataModule`.
    """

    name: str
    files: int
    times: int
    window: int
    batch: int = 64
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Times of all files."""
        return self.files * self.times

    @property
    def sample_bytes(self) -> int:
        """Bytes of a window."""
        return _CHANNELS * self.window * 4

    @property
    def size(self) -> int:
        """Bytes of all values."""
        return _CHANNELS * self.rows * 4

    @property
    def path(self) -> str:
        """Where the values lie."""
        return "eeg"

    def arguments(self) -> dict[str, object]:
        """What `H5DataModule` is given."""
        windows = Windows(self.window, stride=self.window // 2, axis=-1)
        return {"fields": {"x": self.path}, "samples": windows, "batch_size": self.batch, **self.options}

    def boxes(self, rng: np.random.Generator) -> tuple[npt.NDArray[np.int64], tuple[int, ...]]:
        """The starts of all windows of a file in random order, ``(N, 2)``, and their size."""
        starts = np.arange(0, self.times - self.window + 1, self.window // 2)
        both = np.stack([np.zeros_like(starts), starts], axis=1)
        return rng.permutation(both), (_CHANNELS, self.window)


def write_recordings(recordings: Recordings, folder: Path) -> Files:
    """Write the files."""
    folder.mkdir(parents=True)
    values = np.random.default_rng(20).random((_CHANNELS, recordings.times), np.float32)
    for number in range(recordings.files):
        with h5py.File(folder / f"{number:05}.h5", "w") as file:
            file[recordings.path] = values + np.float32(number)
    return Files(folder=folder)


class BoxByBox:
    """Box by box through h5py, with the files kept open; stacked by torch.

    Args:
        stored: what is stored, and which boxes are samples.
        files: where.
    """

    def __init__(self, stored: Volume | Recordings, files: Files) -> None:
        self._files = [h5py.File(path, "r") for path in files.paths]
        self._datasets: list[Any] = [file[stored.path] for file in self._files]
        self._stored = stored

    def __call__(self, epoch: int = 0) -> Iterator[Mapping[str, torch.Tensor]]:
        """An epoch's batches."""
        rng, batch = np.random.default_rng(epoch), self._stored.batch
        starts, sizes = self._stored.boxes(rng)
        order = rng.permutation(len(starts) * len(self._datasets))
        for first in range(0, len(order), batch):
            chosen = [divmod(one, len(starts)) for one in order[first : first + batch].tolist()]
            items = [self._item(self._datasets[number], starts[place], sizes) for number, place in chosen]
            yield {"x": torch.stack(items)}

    @staticmethod
    def _item(dataset: Any, start: npt.NDArray[np.int64], sizes: tuple[int, ...]) -> torch.Tensor:
        box = tuple(slice(a, a + size) for a, size in zip(start.tolist(), sizes, strict=True))
        return torch.from_numpy(dataset[box])

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()
