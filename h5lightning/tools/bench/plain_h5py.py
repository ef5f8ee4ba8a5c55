"""Plain h5py as one would write it by hand: files kept open, and a sorted selection in each file for a batch."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import pairwise
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5d, h5p

from h5lightning.core.arrays import Int64Array
from h5lightning.options import Access
from h5lightning.storage.hdf5.external import encoded
from h5lightning.storage.hdf5.open_dataset import open_dataset
from h5lightning.storage.hdf5.open_file import open_file

__all__ = ["PlainH5py"]


class PlainH5py:
    """Shuffled batches of stored values by one thread, as NumPy arrays; nothing is converted or decoded.

    Args:
        files: path → rows that are read, from the first one.
        columns: dataset → its members that are read, None for all of it.
        access: where values may lie.
        batch_size: samples in a batch.
        seed: seed of the order, which is ready before an epoch begins.
        is_whole: a sample is a whole file.
    """

    def __init__(
        self,
        files: Mapping[str, int],
        columns: Mapping[str, Sequence[str | None]],
        access: Access,
        *,
        batch_size: int,
        seed: int,
        is_whole: bool = False,
    ) -> None:
        self._files = list(files)
        rows = np.array(list(files.values()), np.int64)
        self._ends = np.cumsum((rows > 0) if is_whole else rows)
        self._columns = columns
        self._access = access
        self._batch_size = batch_size
        self._is_whole = is_whole
        self._order = np.random.default_rng(seed).permutation(int(self._ends[-1]))

    def __call__(self, _: int = 0) -> Generator[int, None, None]:
        """Samples, batch by batch. The files are open for one epoch."""
        with ExitStack() as stack:
            datasets = [self._opened(path, stack) for path in self._files]
            for start in range(0, len(self._order), self._batch_size):
                ids = np.sort(self._order[start : start + self._batch_size])
                self._read(ids, datasets)
                yield len(ids)

    def why_not(self) -> str:
        """Why h5py cannot read these data; empty if it can."""
        try:
            with closing(self()) as batches:
                next(batches, None)
        except Exception as error:  # noqa: BLE001 - HDF5 and plug-ins raise any kind
            return f"{type(error).__name__}: {error}"
        return ""

    def _opened(self, path: str, stack: ExitStack) -> list[h5py.Dataset]:
        file = stack.enter_context(closing(open_file(path, self._access)))
        return [_with_default_cache(file, path, name, self._access) for name in self._columns]

    def _read(self, ids: Int64Array, datasets: Sequence[Sequence[h5py.Dataset]]) -> list[npt.NDArray[Any]]:
        """One batch of sorted samples: an array for each dataset, or for each of its members."""
        files = np.searchsorted(self._ends, ids, side="right")
        borders = np.flatnonzero(np.diff(files, prepend=-1, append=-1)).tolist()
        parts: list[list[npt.NDArray[Any]]] = [[] for _ in self._columns]
        for start, stop in pairwise(borders):
            file = int(files[start])
            rows = ids[start:stop] - (int(self._ends[file - 1]) if file else 0)
            for read, dataset in zip(parts, datasets[file], strict=True):
                read.append(dataset[()] if self._is_whole else dataset[rows])
        if self._is_whole:  # files may differ in length
            return [values for read in parts for values in read]
        return [
            np.concatenate([values if member is None else values[member] for values in read])
            for read, members in zip(parts, self._columns.values(), strict=True)
            for member in members
        ]


def _with_default_cache(file: h5py.File, path: str, name: str, access: Access) -> h5py.Dataset:
    """A dataset with the chunk cache that h5py gives it."""
    dataset = open_dataset(file, path, name, access)
    if dataset.chunks is None:
        return dataset
    plist = h5p.create(h5p.DATASET_ACCESS)
    plist.set_chunk_cache(*h5p.create(h5p.FILE_ACCESS).get_cache()[1:])
    dataset.id.close()  # otherwise the new handle shares the cache of the old one
    return h5py.Dataset(h5d.open(file.id, encoded(name), plist))
