"""Plain h5py as one would write it by hand: files kept open, and a sorted selection in each file for a batch."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5d, h5p

from h5lightning.core.arrays import Int64Array
from h5lightning.core.string_table import StringTable
from h5lightning.options import Access, Rows, Samples, Whole, Windows
from h5lightning.storage.hdf5.external import encoded
from h5lightning.storage.hdf5.open_dataset import open_dataset
from h5lightning.storage.hdf5.open_file import open_file

__all__ = ["PlainH5py", "PlainSeries"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class PlainSeries:
    """The series that are read; all arrays ``(series,)``.

    Args:
        files: paths.
        file_of: the file of each series, ascending.
        first: first row of each series in its dataset.
        rows: rows of each series that are read.
        texts: what a ``*`` in the paths of the datasets stands for in each series; None without a ``*``.
        is_leading: whether axis 0 of the datasets counts series of equal length, and axis 1 their rows.
    """

    files: Sequence[str]
    file_of: Int64Array
    first: Int64Array
    rows: Int64Array
    texts: StringTable | None = None
    is_leading: bool = False

    @classmethod
    def of_files(cls, rows: Mapping[str, int]) -> PlainSeries:
        """Each file as one series: path → rows that are read, from the first one."""
        counts = np.array(list(rows.values()), np.int64)
        return cls(list(rows), np.arange(len(rows)), np.zeros_like(counts), counts)


class PlainH5py:
    """Shuffled batches of stored values by one thread, as NumPy arrays; nothing is converted or decoded.

    Args:
        series: what is read.
        columns: dataset → its members that are read, None for all of it.
        access: where values may lie.
        batch_size: samples in a batch.
        seed: seed of the order, which is ready before an epoch begins.
        samples: how samples lie in a series.
    """

    def __init__(
        self,
        series: PlainSeries,
        columns: Mapping[str, Sequence[str | None]],
        access: Access,
        *,
        batch_size: int,
        seed: int,
        samples: Samples | None = None,
    ) -> None:
        self._series = series
        self._samples = samples or Rows()
        self._ends = np.cumsum(_counts(series.rows, self._samples))
        self._columns = columns
        self._access = access
        self._batch_size = batch_size
        self._order = np.random.default_rng(seed).permutation(int(self._ends[-1]))

    def __call__(self, _: int = 0) -> Generator[int, None, None]:
        """Samples, batch by batch. The files are open for one epoch."""
        with ExitStack() as stack:
            files = [
                stack.enter_context(closing(open_file(path, self._access))) for path in self._series.files
            ]
            # Of many series, each dataset is opened when it is read.
            is_many = self._series.texts is not None
            opened = [[] if is_many else self._opened(number, files) for number in range(len(files))]
            for start in range(0, len(self._order), self._batch_size):
                ids = np.sort(self._order[start : start + self._batch_size])
                self._read(ids, files, opened)
                yield len(ids)

    def why_not(self) -> str:
        """Why h5py cannot read these data; empty if it can."""
        try:
            with closing(self()) as batches:
                next(batches, None)
        except Exception as error:  # noqa: BLE001 - HDF5 and plug-ins raise any kind
            return f"{type(error).__name__}: {error}"
        return ""

    def _opened(self, file: int, files: Sequence[h5py.File]) -> list[h5py.Dataset]:
        path, names = self._series.files[file], self._columns
        return [_with_default_cache(files[file], path, name, self._access) for name in names]

    def _read(
        self, ids: Int64Array, files: Sequence[h5py.File], opened: Sequence[Sequence[h5py.Dataset]]
    ) -> list[Array]:
        """One batch of sorted samples: an array for each dataset, or for each of its members."""
        of_series = np.searchsorted(self._ends, ids, side="right")
        borders = np.flatnonzero(np.diff(of_series, prepend=-1, append=-1)).tolist()
        parts: list[list[Array]] = [[] for _ in self._columns]
        for start, stop in pairwise(borders):
            series = int(of_series[start])
            numbers = ids[start:stop] - (int(self._ends[series - 1]) if series else 0)
            file = int(self._series.file_of[series])
            datasets = opened[file]
            if self._series.texts is not None:
                text = self._series.texts[series]
                datasets = [files[file][name.replace("*", text, 1)] for name in self._columns]
            for read, dataset in zip(parts, datasets, strict=True):
                read.append(self._values(dataset, series, numbers))
        if isinstance(self._samples, Whole):  # series may differ in length
            return [values for read in parts for values in read]
        return [
            np.concatenate([values if member is None else values[member] for values in read])
            for read, members in zip(parts, self._columns.values(), strict=True)
            for member in members
        ]

    def _values(self, dataset: h5py.Dataset, series: int, numbers: Int64Array) -> Array:
        """Some samples of a series."""
        first, rows = int(self._series.first[series]), int(self._series.rows[series])
        take = dataset.__getitem__
        if self._series.is_leading:
            length = dataset.shape[1]
            take = partial(_of_trajectory, dataset, first // length)
            first %= length
        if isinstance(self._samples, Whole):
            return np.asarray(take(slice(first, first + rows)))
        if not isinstance(self._samples, Windows):
            return np.asarray(take(first + numbers))
        dilation, length = self._samples.dilation, self._samples.rows
        starts = (first + numbers * self._samples.stride_rows).tolist()
        return np.stack([take(slice(row, row + (length - 1) * dilation + 1, dilation)) for row in starts])


def _of_trajectory(dataset: h5py.Dataset, number: int, rows: slice | Int64Array) -> Array:
    return np.asarray(dataset[number, rows])


def _counts(rows: Int64Array, samples: Samples) -> Int64Array:
    """Samples of each series, ``(series,)``."""
    if isinstance(samples, Whole):
        return (rows > 0).astype(np.int64)
    if not isinstance(samples, Windows):
        return rows
    span = (samples.rows - 1) * samples.dilation + 1
    return np.maximum(0, (rows - span) // samples.stride_rows + 1)


def _with_default_cache(file: h5py.File, path: str, name: str, access: Access) -> h5py.Dataset:
    """A dataset with the chunk cache that h5py gives it."""
    dataset = open_dataset(file, path, name, access)
    if dataset.chunks is None:
        return dataset
    plist = h5p.create(h5p.DATASET_ACCESS)
    plist.set_chunk_cache(*h5p.create(h5p.FILE_ACCESS).get_cache()[1:])
    dataset.id.close()  # otherwise the new handle shares the cache of the old one
    return h5py.Dataset(h5d.open(file.id, encoded(name), plist))
