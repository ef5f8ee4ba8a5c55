"""What one writes by hand with h5py: the baselines that a user comes from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from loading.data import BATCH, Dataset
from loading.measure import Batch

__all__ = ["chunk_at_a_time", "kept_open", "opened_per_item"]

_BLOCK_ROWS = 32  # read at a time from what has no chunks


class OpenedPerItem(TorchDataset):
    """The pattern of most tutorials: safe with workers, since each sample opens its file."""

    def __init__(self, dataset: Dataset) -> None:
        self._paths = dataset.paths
        self._rows_of_file = dataset.workload.rows_of_file

    def __len__(self) -> int:
        return len(self._paths) * self._rows_of_file

    def __getitem__(self, number: int) -> tuple[torch.Tensor, int]:
        position, row = divmod(number, self._rows_of_file)
        with h5py.File(self._paths[position], "r") as file:
            return torch.from_numpy(file["data"][row]), int(file["label"][row])


class KeptOpen(OpenedPerItem):
    """The same with files that stay open, and their datasets looked up once.

    Args:
        dataset: what is read.
        cache_bytes: HDF5's cache of decoded chunks, for each dataset; None for its default.
    """

    def __init__(self, dataset: Dataset, cache_bytes: int | None = None) -> None:
        super().__init__(dataset)
        options = {} if cache_bytes is None else {"rdcc_nbytes": cache_bytes}
        self._files = [h5py.File(path, "r", **options) for path in self._paths]
        self._datasets = [(file["data"], file["label"]) for file in self._files]

    def __getitem__(self, number: int) -> tuple[torch.Tensor, int]:
        file, row = divmod(number, self._rows_of_file)
        data, labels = self._datasets[file]
        return torch.from_numpy(data[row]), int(labels[row])

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()


def opened_per_item(dataset: Dataset, epoch: int) -> Iterator[Batch]:
    """Shuffled batches, each sample of which opens its file."""
    return _loaded(OpenedPerItem(dataset), epoch)


def kept_open(dataset: Dataset, epoch: int, cache_bytes: int | None = None) -> Iterator[Batch]:
    """Shuffled batches from files that stay open, with torch's default collate function."""
    samples = KeptOpen(dataset, cache_bytes)
    try:
        yield from _loaded(samples, epoch)
    finally:
        samples.close()


def _loaded(samples: TorchDataset, epoch: int) -> Iterator[Batch]:
    generator = torch.Generator().manual_seed(epoch)
    for batch in DataLoader(samples, batch_size=BATCH, shuffle=True, generator=generator):
        yield Batch(*batch)


def chunk_at_a_time(dataset: Dataset, epoch: int) -> Iterator[Batch]:
    """Whole chunks in random order, as many as make a batch; rows of a chunk stay together."""
    files = [h5py.File(path, "r") for path in dataset.paths]
    try:
        yield from _chunk_batches(dataset, [(file["data"], file["label"]) for file in files], epoch)
    finally:
        for file in files:
            file.close()


def _chunk_batches(dataset: Dataset, files: list[tuple[Any, Any]], epoch: int) -> Iterator[Batch]:
    height = dataset.workload.chunk_rows or _BLOCK_ROWS
    data = np.empty((max(BATCH, height), dataset.workload.columns), np.float32)
    labels = np.empty(len(data), np.int64)
    filled = 0
    for file, start in _shuffled_chunks(dataset, height, epoch):
        stop = min(start + height, dataset.workload.rows_of_file)
        if filled + stop - start > len(data):
            yield Batch(data[:filled], labels[:filled])
            filled = 0
        into = np.s_[filled : filled + stop - start]
        for stored, out in zip(files[file], (data, labels), strict=True):
            stored.read_direct(out, np.s_[start:stop], into)
        filled += stop - start
    yield Batch(data[:filled], labels[:filled])


def _shuffled_chunks(dataset: Dataset, height: int, epoch: int) -> list[tuple[int, int]]:
    """File and first row of each chunk."""
    starts = range(0, dataset.workload.rows_of_file, height)
    chunks = [(file, start) for file in range(dataset.workload.files) for start in starts]
    order = np.random.default_rng(epoch).permutation(len(chunks))
    return [chunks[number] for number in order]
