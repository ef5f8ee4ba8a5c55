"""Plain h5py, as one would write it: files kept open, a sorted selection for each file, one slice for each window."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import torch

from loading.data import Files
from loading.task import CONSTANT, Task

__all__ = ["PlainH5py"]

_MOST_OPEN = 512


class PlainH5py:
    """One process without threads; the order of an epoch is ready before it begins.

    Datasets are kept with their files while no file has to be closed. Closing a file takes h5py longer with each
    dataset that is open (20 ms with 10,000 of them), so that for more files they are looked up for each batch.

    Args:
        files: what is read.
        task: what a sample is.
    """

    def __init__(self, files: Files, task: Task) -> None:
        self._paths = files.paths
        self._task = task
        self._order = np.random.default_rng(0).permutation(task.samples)
        self._open: OrderedDict[int, h5py.File] = OrderedDict()
        self._datasets: dict[int, list[h5py.Dataset]] = {}
        self._constants: dict[int, npt.NDArray[np.float32]] = {}

    def __call__(self, epoch: int = 0) -> Iterator[Mapping[str, torch.Tensor]]:
        """An epoch's batches; each epoch begins at another place of the same order."""
        starts = np.arange(0, len(self._order), self._task.batch)
        for start in np.roll(starts, -97 * epoch):
            batch = self._read(np.sort(self._order[start : start + self._task.batch]))
            yield {name: torch.from_numpy(values) for name, values in batch.items()}

    def close(self) -> None:
        """Close the files."""
        while self._open:
            self._open.popitem()[1].close()

    def _read(self, ids: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        """One batch, of sorted ids."""
        files, rows = np.divmod(ids, self._task.samples_of_file)
        batch = self._buffers(len(ids))
        borders = np.flatnonzero(np.diff(files, prepend=-1, append=-1)).tolist()
        for start, stop in pairwise(borders):
            file = int(files[start])
            self._read_file(file, rows[start:stop], {key: out[start:stop] for key, out in batch.items()})
        return batch

    def _buffers(self, size: int) -> dict[str, npt.NDArray[np.float32]]:
        task, row = self._task, self._task.stored.row
        window = (task.window,) if task.window > 1 else ()
        shapes = dict.fromkeys(task.stored.names, (*window, *row))
        if task.steps:
            shapes = {key: (stop - start, *row) for key, (start, stop) in task.steps.items()}
        if task.stored.constant:
            shapes[CONSTANT] = (task.stored.constant,)
        return {key: np.empty((size, *shape), np.float32) for key, shape in shapes.items()}

    def _read_file(
        self, file: int, rows: npt.NDArray[np.int64], out: Mapping[str, npt.NDArray[np.float32]]
    ) -> None:
        datasets = self._datasets_of(file)
        if self._task.stored.constant:
            out[CONSTANT][:] = self._constants[file]
        if self._task.window > 1:
            self._read_windows(datasets, rows, out)
            return
        for name, dataset in zip(self._task.stored.names, datasets, strict=True):
            out[name][:] = dataset[rows]

    def _read_windows(
        self,
        datasets: list[h5py.Dataset],
        starts: npt.NDArray[np.int64],
        out: Mapping[str, npt.NDArray[np.float32]],
    ) -> None:
        """One slice for each window, of each dataset."""
        for slot, start in enumerate(starts.tolist()):
            for name, dataset in zip(self._task.stored.names, datasets, strict=True):
                window = dataset[start : start + self._task.window]
                for key, (first, last) in (self._task.steps or {name: (0, self._task.window)}).items():
                    out[key][slot] = window[first:last]

    def _datasets_of(self, file: int) -> list[h5py.Dataset]:
        if file in self._datasets:
            return self._datasets[file]
        opened = self._opened(file)
        datasets = [opened[name] for name in self._task.stored.names]
        if len(self._paths) <= _MOST_OPEN:
            self._datasets[file] = datasets
        return datasets

    def _opened(self, file: int) -> h5py.File:
        """An open file; the one that was used longest ago is closed for it."""
        opened = self._open.pop(file, None)
        if opened is None:
            if len(self._open) >= _MOST_OPEN:
                self._open.popitem(last=False)[1].close()
            opened = h5py.File(self._paths[file], "r")
            if self._task.stored.constant and file not in self._constants:
                self._constants[file] = opened[CONSTANT][()]
        self._open[file] = opened
        return opened
