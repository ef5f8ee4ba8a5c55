"""Other formats that people convert to, each in the setting that its own documentation recommends for speed.

A library is imported where it is used: one that is not installed is left out, and named.
"""

from __future__ import annotations

import importlib.util
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy as np
import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler
from torch.utils.data import Dataset as TorchDataset

from loading.data import BATCH, Dataset
from loading.measure import Batch

__all__ = ["PEERS", "Converted", "Peer", "convert", "missing"]


class Peer(ABC):
    """A format: how a data set is converted to it, and how a DataLoader reads it in random order."""

    name: str
    library: str  # what is imported

    @property
    def package(self) -> str:
        """What is installed."""
        return self.library

    @abstractmethod
    def write(self, dataset: Dataset, folder: Path) -> None:
        """Convert a data set into an empty folder."""

    @abstractmethod
    def batches(self, folder: Path, epoch: int, workers: int) -> Iterator[Batch]:
        """Shuffled batches of all samples."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A copy of a data set in another format.

    Args:
        peer: the format.
        folder: where the copy is.
        seconds: what it took to make.
        stored_bytes: what it takes on disk.
    """

    peer: Peer
    folder: Path
    seconds: float
    stored_bytes: int

    def batches(self, epoch: int, workers: int) -> Iterator[Batch]:
        """Shuffled batches of all samples."""
        return self.peer.batches(self.folder, epoch, workers)


def convert(peer: Peer, dataset: Dataset, folder: Path) -> Converted:
    """Convert a data set, with a clock."""
    folder.mkdir(parents=True)
    started = time.perf_counter()
    peer.write(dataset, folder)
    seconds = time.perf_counter() - started
    stored = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Converted(peer, folder, seconds, stored)


def missing() -> list[str]:
    """The peers whose library is not installed."""
    return [peer.name for peer in PEERS if importlib.util.find_spec(peer.library) is None]


def _samples_of(path: str) -> Iterator[tuple[np.ndarray, int]]:
    """The samples of a file in order."""
    with h5py.File(path, "r") as file:
        data, labels = file["data"][()], file["label"][()]
    yield from zip(data, labels.tolist(), strict=True)


# ── litdata ──────────────────────────────────────────────────────────────────────────────────────────


class LitData(Peer):
    """``optimize`` into chunks of 64 MB, read by StreamingDataset and StreamingDataLoader."""

    name = "litdata"
    library = "litdata"

    def write(self, dataset: Dataset, folder: Path) -> None:
        """Convert with one process for each core."""
        import litdata

        litdata.optimize(
            fn=_litdata_samples,
            inputs=dataset.paths,
            output_dir=str(folder),
            chunk_bytes="64MB",
            num_workers=2,
            start_method="fork",
            verbose=False,
        )

    def batches(self, folder: Path, epoch: int, workers: int) -> Iterator[Batch]:
        """Shuffled batches; litdata permutes chunks, and samples inside of them."""
        import litdata

        # By default several items are decoded together, most of them in vain where they are shuffled.
        stored = litdata.StreamingDataset(str(folder), shuffle=True, seed=epoch, batch_decode=0)
        for batch in litdata.StreamingDataLoader(stored, batch_size=BATCH, num_workers=workers):
            yield Batch(batch["data"], batch["label"])


def _litdata_samples(path: str) -> Iterator[Mapping[str, Any]]:
    for data, label in _samples_of(path):
        yield {"data": torch.from_numpy(data), "label": label}


# ── webdataset ───────────────────────────────────────────────────────────────────────────────────────


class WebDataset(Peer):
    """Tar shards, one for each file, shuffled by shard and in a buffer, batched in the pipeline."""

    name = "webdataset"
    library = "webdataset"
    _BUFFER = 5000

    def write(self, dataset: Dataset, folder: Path) -> None:
        """Convert each file to a shard."""
        import webdataset

        number = 0
        for shard_number, path in enumerate(dataset.paths):
            # A time in whole seconds needs no extra header, which would take longer to read than the sample.
            with webdataset.TarWriter(str(folder / f"{shard_number:06}.tar"), mtime=0) as shard:
                for data, label in _samples_of(path):
                    shard.write({"__key__": f"{number:09}", "npy": data, "cls": label})
                    number += 1

    def batches(self, folder: Path, epoch: int, workers: int) -> Iterator[Batch]:
        """Shuffled batches; each worker reads shards of its own."""
        import webdataset

        shards = sorted(str(path) for path in folder.glob("*.tar"))
        stored = (
            webdataset.WebDataset(shards, shardshuffle=len(shards), seed=epoch)
            .shuffle(self._BUFFER)
            .decode()
            .to_tuple("npy", "cls")
            .batched(BATCH)
        )
        for data, labels in webdataset.WebLoader(stored, batch_size=None, num_workers=workers):
            yield Batch(data, labels)


# ── Hugging Face datasets ────────────────────────────────────────────────────────────────────────────


class HuggingFace(Peer):
    """Arrow files of fixed-length lists, read a batch at a time as tensors."""

    name = "HF datasets"
    library = "datasets"

    def write(self, dataset: Dataset, folder: Path) -> None:
        """Convert by a generator of samples' columns."""
        import datasets

        features = datasets.Features(
            data=datasets.List(datasets.Value("float32"), length=dataset.workload.columns),
            label=datasets.Value("int64"),
        )
        datasets.disable_progress_bars()
        with datasets.arrow_writer.ArrowWriter(path=str(folder / "data.arrow"), features=features) as writer:
            for path in dataset.paths:
                with h5py.File(path, "r") as file:
                    writer.write_batch({"data": file["data"][()], "label": file["label"][()]})
            writer.finalize()

    def batches(self, folder: Path, epoch: int, workers: int) -> Iterator[Batch]:
        """Batches in fully random order; a batch is one request."""
        import datasets

        stored = datasets.Dataset.from_file(str(folder / "data.arrow")).with_format("torch")
        for batch in _whole(stored, epoch, workers):
            yield Batch(batch["data"], batch["label"])


# ── zarr ─────────────────────────────────────────────────────────────────────────────────────────────


class Zarr(Peer):
    """Zarr 3 arrays in shards of many chunks without compression, read by tensorstore a batch at a time."""

    name = "zarr (tensorstore)"
    library = "tensorstore"
    _SHARD_ROWS = 4096

    def write(self, dataset: Dataset, folder: Path) -> None:
        """Convert file by file."""
        arrays = {
            "data": (dataset.workload.rows, dataset.workload.columns),
            "label": (dataset.workload.rows,),
        }
        stores = {
            name: self._create(folder / name, shape, "float32" if name == "data" else "int64")
            for name, shape in arrays.items()
        }
        for shard_number, path in enumerate(dataset.paths):
            start = shard_number * dataset.workload.rows_of_file
            with h5py.File(path, "r") as file:
                for name, store in stores.items():
                    store[start : start + dataset.workload.rows_of_file] = file[name][()]

    def _create(self, folder: Path, shape: Sequence[int], dtype: str) -> Any:
        import tensorstore

        # A row of data is a chunk, so that a random one is read alone; labels are few bytes, and one chunk.
        chunk = [1, *shape[1:]] if len(shape) > 1 else [self._SHARD_ROWS]
        return tensorstore.open(
            {"driver": "zarr3", "kvstore": f"file://{folder}/"},
            create=True,
            shape=shape,
            dtype=getattr(tensorstore, dtype),
            chunk_layout=tensorstore.ChunkLayout(
                write_chunk_shape=[self._SHARD_ROWS, *shape[1:]], read_chunk_shape=chunk
            ),
        ).result()

    def batches(self, folder: Path, epoch: int, workers: int) -> Iterator[Batch]:
        """Batches in fully random order; a batch is one request for each array."""
        stored = _ZarrRows(folder)
        for batch in _whole(stored, epoch, workers, start="spawn"):
            yield Batch(batch["data"], batch["label"])


class _ZarrRows(TorchDataset):
    """Opens its arrays in the process that reads: tensorstore's threads do not survive a fork."""

    # Decoded chunks that are kept. Random rows of data come once in an epoch; a chunk of labels, many times.
    _CACHE_BYTES: ClassVar[Mapping[str, int]] = {"data": 0, "label": 64 << 20}

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        metadata = json.loads((folder / "label" / "zarr.json").read_text(encoding="utf-8"))
        self._size = int(metadata["shape"][0])
        self._stores: Sequence[Any] | None = None

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, numbers: Sequence[int]) -> Mapping[str, torch.Tensor]:
        if self._stores is None:
            self._stores = [self._open(name) for name in self._CACHE_BYTES]
        data, labels = (store[numbers].read() for store in self._stores)
        return {"data": torch.from_numpy(data.result()), "label": torch.from_numpy(labels.result())}

    def _open(self, name: str) -> Any:
        import tensorstore

        context = tensorstore.Context({"cache_pool": {"total_bytes_limit": self._CACHE_BYTES[name]}})
        spec = {"driver": "zarr3", "kvstore": f"file://{self._folder / name}/", "recheck_cached_data": "open"}
        return tensorstore.open(spec, context=context, read=True).result()


# ── Lance ────────────────────────────────────────────────────────────────────────────────────────────


class Lance(Peer):
    """A Lance table of fixed-size lists, read by ``take`` a batch at a time."""

    name = "Lance"
    library = "lance"
    _GROUP_ROWS = 4096  # of a record batch that is written

    @property
    def package(self) -> str:
        """What is installed."""
        return "pylance"

    def write(self, dataset: Dataset, folder: Path) -> None:
        """Convert file by file."""
        import lance
        import pyarrow as pa

        data = pa.list_(pa.float32(), dataset.workload.columns)
        schema = pa.schema({"data": data, "label": pa.int64()})
        lance.write_dataset(self._record_batches(dataset, schema), str(folder / "data.lance"), schema=schema)

    def _record_batches(self, dataset: Dataset, schema: Any) -> Iterator[Any]:
        import pyarrow as pa

        for path in dataset.paths:
            with h5py.File(path, "r") as file:
                data, labels = file["data"][()], file["label"][()]
            for start in range(0, len(labels), self._GROUP_ROWS):
                rows = slice(start, start + self._GROUP_ROWS)
                values = pa.array(data[rows].reshape(-1))
                lists = pa.FixedSizeListArray.from_arrays(values, dataset.workload.columns)
                yield pa.record_batch([lists, pa.array(labels[rows])], schema=schema)

    def batches(self, folder: Path, epoch: int, workers: int) -> Iterator[Batch]:
        """Batches in fully random order; a batch is one request."""
        stored = _LanceRows(folder / "data.lance")
        for batch in _whole(stored, epoch, workers, start="spawn"):
            yield Batch(batch["data"], batch["label"])


class _LanceRows(TorchDataset):
    """Opens its table in the process that reads: Lance's threads do not survive a fork."""

    def __init__(self, folder: Path) -> None:
        import lance

        self._folder = str(folder)
        self._size = lance.dataset(self._folder).count_rows()
        self._table: Any = None

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, numbers: Sequence[int]) -> Mapping[str, torch.Tensor]:
        import lance

        if self._table is None:
            self._table = lance.dataset(self._folder)
        found = self._table.take(numbers)
        data, labels = (found[name].combine_chunks() for name in ("data", "label"))
        rows = data.flatten().to_numpy().reshape(len(numbers), -1)
        # A copy: torch cannot hold the read-only memory of Arrow.
        return {"data": torch.tensor(rows), "label": torch.tensor(labels.to_numpy())}


def _whole(stored: Any, epoch: int, workers: int, start: str | None = None) -> Iterator[Any]:
    """Batches of a data set that is asked for a list of samples at a time."""
    order = RandomSampler(stored, generator=torch.Generator().manual_seed(epoch))
    sampler = BatchSampler(order, BATCH, drop_last=False)
    context = start if workers else None
    yield from DataLoader(
        stored, sampler=sampler, batch_size=None, num_workers=workers, multiprocessing_context=context
    )


PEERS: tuple[Peer, ...] = (LitData(), WebDataset(), HuggingFace(), Zarr(), Lance())
