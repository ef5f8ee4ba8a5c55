"""The limits of this machine: read in order, gather from memory, decode every chunk once.

Their buffers are made once and used for every batch; what is known before the epoch is not timed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from h5lightning.core.arrays import Int64Array
from h5lightning.storage.files.raw_file import RawFile
from h5lightning.tools.bench import trials
from h5lightning.tools.bench.stored_ranges import ByteRange, join_adjacent, pipeline_of, stored_ranges
from loading.data import BATCH, Dataset
from loading.measure import Batch

__all__ = ["DecodeAndGather", "GatherFromMemory", "ReadInOrder", "evict", "read_files", "ready_tensors"]

_READ_BYTES = 4 << 20


# ── reading in order ─────────────────────────────────────────────────────────────────────────────────


class ReadInOrder:
    """``preadv`` of the stored bytes of batches of adjacent rows, one file after the other.

    Args:
        dataset: of any layout without filters.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._paths = dataset.paths
        self._reads = [_reads_of(path) for path in self._paths]
        self._data = np.zeros((BATCH, dataset.workload.columns), np.float32)
        self._labels = np.zeros(BATCH, np.int64)

    def __call__(self, epoch: int = 0) -> Iterator[Batch]:
        """An epoch's batches; the order is always the same."""
        for path, reads in zip(self._paths, self._reads, strict=True):
            with closing(RawFile(path)) as raw:
                for data, labels in reads:
                    self._fill(raw, self._data, data)
                    rows = self._fill(raw, self._labels, labels)
                    yield Batch(self._data[:rows], self._labels[:rows])

    @staticmethod
    def _fill(raw: RawFile, out: npt.NDArray[Any], ranges: Sequence[ByteRange]) -> int:
        into, filled = out.reshape(-1).view(np.uint8), 0
        for part in ranges:
            raw.read_into(part.offset, into[filled : filled + part.size])
            filled += part.size
        return sum(part.rows for part in ranges)


def _reads_of(path: str) -> list[tuple[list[ByteRange], list[ByteRange]]]:
    with h5py.File(path, "r") as file:
        data, labels = (
            [join_adjacent(group) for group in _grouped(stored_ranges(file[name], BATCH), BATCH)]
            for name in ("data", "label")
        )
    return list(zip(data, labels, strict=True))


def _grouped(ranges: Sequence[ByteRange], rows: int) -> Iterator[list[ByteRange]]:
    """Ranges in groups of at most ``rows`` rows."""
    group: list[ByteRange] = []
    for part in ranges:
        if group and sum(member.rows for member in group) + part.rows > rows:
            yield group
            group = []
        group.append(part)
    yield group


def read_files(dataset: Dataset) -> Iterator[Batch]:
    """Whole files in order, into one buffer: the best that a disk can do. Labels are counted, not read."""
    buffer = memoryview(bytearray(_READ_BYTES))
    row = 0
    for path in dataset.paths:
        with closing(RawFile(path)) as raw:
            offset = 0
            descriptor = raw.descriptor()
            while count := os.preadv(descriptor.number, [buffer], offset):
                offset += count
        labels = np.arange(row, row + dataset.workload.rows_of_file)
        row += len(labels)
        yield Batch(None, labels)


def evict(dataset: Dataset) -> None:
    """Put the files of a data set out of the page cache."""
    trials.evict(dataset.paths, syncs=True)


# ── gathering ────────────────────────────────────────────────────────────────────────────────────────


class GatherFromMemory:
    """``np.take`` of random rows from arrays in RAM, by one thread; the order of each epoch is ready."""

    def __init__(self, dataset: Dataset) -> None:
        self._all = dataset.in_memory()
        self._out = tuple(np.zeros((BATCH, *array.shape[1:]), array.dtype) for array in self._all)
        self._order = np.random.default_rng(0).permutation(dataset.workload.rows)

    def __call__(self, epoch: int = 0) -> Iterator[Batch]:
        """An epoch's batches; the order is always the same."""
        yield from _gathered(self._all, self._order, self._out)


def _gathered(
    stored: Sequence[npt.NDArray[Any]], order: Int64Array, out: Sequence[npt.NDArray[Any]]
) -> Iterator[Batch]:
    """Batches of the rows ``order``, ``(N,)``, of arrays that belong together."""
    for start in range(0, len(order), BATCH):
        ids = order[start : start + BATCH]
        for array, into in zip(stored, out, strict=True):
            # mode="clip" writes straight into the buffer; the default makes a copy first.
            np.take(array, ids, axis=0, out=into[: len(ids)], mode="clip")
        yield Batch(*(into[: len(ids)] for into in out))


# ── decoding ─────────────────────────────────────────────────────────────────────────────────────────


class DecodeAndGather:
    """Each chunk read and decoded once, in file order, in threads; then the rows gathered from the window.

    Args:
        dataset: of filtered chunks, which evenly divide the files.
        threads: that decode.
        window_bytes: decoded data that are mixed with each other.
        gathers: deliver the rows in random order; else in file order, without a copy.
    """

    def __init__(
        self, dataset: Dataset, *, threads: int, window_bytes: int = 256 << 20, gathers: bool = True
    ) -> None:
        self._paths = dataset.paths
        self._threads = threads
        self._gathers = gathers
        self._height = dataset.workload.chunk_rows or BATCH
        self._chunks = [(file, part) for file, path in enumerate(self._paths) for part in _data_of(path)]
        _, self._labels = dataset.in_memory()
        self._step = min(
            len(self._chunks), max(1, window_bytes // (self._height * dataset.workload.row_bytes))
        )
        self._out = np.zeros((BATCH, dataset.workload.columns), np.float32)
        self._out_labels = np.zeros(BATCH, np.int64)
        with h5py.File(self._paths[0], "r") as file:
            self._pipeline = pipeline_of(file["data"])

    def __call__(self, epoch: int = 0) -> Iterator[Batch]:
        """An epoch's batches."""
        rng = np.random.default_rng(epoch)
        # As of ours, which forgets what was decoded: an epoch begins with untouched memory.
        window = np.empty((self._step * self._height, self._out.shape[1]), np.float32)
        with ExitStack() as stack:
            files = [stack.enter_context(closing(RawFile(path))) for path in self._paths]
            executor = stack.enter_context(ThreadPoolExecutor(self._threads))
            for start in range(0, len(self._chunks), self._step):
                chunks = self._chunks[start : start + self._step]
                rows = self._decode(executor, files, chunks, window)
                labels = self._labels[start * self._height :][:rows]
                order = rng.permutation(rows) if self._gathers else np.arange(rows)
                yield from self._batches(window, labels, order)

    def _decode(
        self,
        executor: ThreadPoolExecutor,
        files: Sequence[RawFile],
        chunks: Sequence[tuple[int, ByteRange]],
        window: npt.NDArray[np.float32],
    ) -> int:
        """Fill the window with chunks; returns their rows."""

        def decode(number: int) -> None:
            file, part = chunks[number]
            stored = files[file].read(part.offset, part.size)
            out = window[number * self._height : (number + 1) * self._height]
            self._pipeline.decode(stored, out.reshape(-1).view(np.uint8))

        for _ in executor.map(decode, range(len(chunks))):
            pass  # the exception of a thread is raised here
        return sum(part.rows for _, part in chunks)

    def _batches(
        self, window: npt.NDArray[np.float32], labels: Int64Array, order: Int64Array
    ) -> Iterator[Batch]:
        if self._gathers:
            yield from _gathered((window, labels), order, (self._out, self._out_labels))
            return
        for start in range(0, len(order), BATCH):
            stop = min(start + BATCH, len(order))
            yield Batch(window[start:stop], labels[start:stop])


def _data_of(path: str) -> list[ByteRange]:
    with h5py.File(path, "r") as file:
        return stored_ranges(file["data"], BATCH)


# ── transfer between processes ──────────────────────────────────────────────────────────────────────


class _ReadyTensors(TorchDataset):
    """Batches that need no reading: what the way from a worker process to the training loop costs at least."""

    def __init__(self, dataset: Dataset) -> None:
        self._size = dataset.workload.rows
        self._columns = dataset.workload.columns

    def __len__(self) -> int:
        return self._size

    def __getitems__(self, numbers: Sequence[int]) -> Batch:
        return Batch(torch.empty(len(numbers), self._columns), torch.tensor(numbers))


def ready_tensors(dataset: Dataset, *, workers: int) -> Iterator[Batch]:
    """Batches of the right shape and labels, and arbitrary data, from worker processes."""
    samples = _ReadyTensors(dataset)
    yield from DataLoader(samples, batch_size=BATCH, shuffle=True, num_workers=workers, collate_fn=_as_it_is)


def _as_it_is(batch: Batch) -> Batch:
    return batch
