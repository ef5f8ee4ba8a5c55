"""What the machine can do at best for a task: copies from RAM, and reads in order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import h5py
import numpy as np
import numpy.typing as npt

from loading.data import Files
from loading.task import Task

__all__ = ["CopyFromMemory", "ReadRowsInOrder"]


class CopyFromMemory:
    """The windows of an epoch copied from an array in RAM into buffers that are used again, by one thread."""

    def __init__(self, files: Files, task: Task) -> None:
        self._task = task
        (self._name,) = task.stored.names
        self._values = np.empty((task.rows, *task.stored.row), np.float32)
        for number, path in enumerate(files.paths):
            with h5py.File(path, "r") as file:
                file[self._name].read_direct(self._values[number * task.stored.rows :][: task.stored.rows])
        self._steps = dict(task.steps) or {self._name: (0, task.window)}
        self._out = {
            key: np.zeros((task.batch, stop - start, *task.stored.row), np.float32)
            for key, (start, stop) in self._steps.items()
        }
        files_of, rows = np.divmod(np.random.default_rng(0).permutation(task.samples), task.samples_of_file)
        self._starts = files_of * task.stored.rows + rows

    def __call__(self, epoch: int = 0) -> Iterator[Mapping[str, npt.NDArray[np.float32]]]:
        """An epoch's batches; the order is always the same."""
        for first in range(0, len(self._starts), self._task.batch):
            starts = self._starts[first : first + self._task.batch]
            if self._task.window == 1:
                self._take(starts)
            else:
                self._copy(starts)
            yield {key: out[: len(starts)] for key, out in self._out.items()}

    def _take(self, rows: npt.NDArray[np.int64]) -> None:
        out = self._out[self._name][: len(rows), 0]
        np.take(self._values, rows, axis=0, out=out, mode="clip")

    def _copy(self, starts: npt.NDArray[np.int64]) -> None:
        for slot, start in enumerate(starts.tolist()):
            for key, (first, last) in self._steps.items():
                self._out[key][slot] = self._values[start + first : start + last]


class ReadRowsInOrder:
    """``preadv`` of batches of adjacent contiguous rows into one buffer, one file after the other."""

    def __init__(self, files: Files, task: Task) -> None:
        (self._name,) = task.stored.names
        self._files = [(path, self._offset(path)) for path in files.paths]
        self._buffer = np.zeros((task.batch, *task.stored.row), np.float32)
        self._task = task

    def _offset(self, path: str) -> int:
        with h5py.File(path, "r") as file:
            offset: int = file[self._name].id.get_offset()
        return offset

    def __call__(self, epoch: int = 0) -> Iterator[Mapping[str, npt.NDArray[np.float32]]]:
        """An epoch's batches; the order is always the same."""
        stored, batch = self._task.stored, self._task.batch
        for path, offset in self._files:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                for start in range(0, stored.rows, batch):
                    rows = self._buffer[: min(batch, stored.rows - start)]
                    os.preadv(
                        descriptor, [rows.reshape(-1).view(np.uint8)], offset + start * stored.row_bytes
                    )
                    yield {self._name: rows}
            finally:
                os.close(descriptor)
