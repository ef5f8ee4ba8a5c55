"""The limits of this machine for the same files: read in order, decode each chunk once, gather from memory.

Each limit yields numbers of samples, as a loader yields batches. What is known before a trial is not timed.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby

import h5py
import numpy as np

from h5lightning.core.arrays import Bytes
from h5lightning.errors import BadFileError
from h5lightning.options import Access
from h5lightning.storage.codecs import FilterPipeline, NoCodecError
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.files.raw_file import RawFile
from h5lightning.storage.hdf5.chunk_index import DamageError
from h5lightning.tools.bench.stored_ranges import ByteRange, join_adjacent, pipeline_of, stored_ranges

__all__ = ["DecodeOnce", "GatherFromMemory", "MeasuredBytes", "ReadInOrder", "find_measured_bytes"]

_READ_BYTES = 1 << 20  # larger reads leave the processor's caches
_MOST_CHUNKS = 100_000  # of one dataset in one file: more do not change the figures
_GATHERED_BYTES = 512 << 20  # far more than any processor's cache
_CHUNKS_PER_THREAD = 8  # between two looks at the clock


@dataclass(frozen=True, slots=True)
class _EncodedRange:
    """Stored bytes of one file that are decoded together."""

    path: str
    stored: ByteRange
    decoded_bytes: int
    pipeline: FilterPipeline | None  # None where values are stored as they are


@dataclass(frozen=True, slots=True)
class MeasuredBytes:
    """The stored bytes of the rows that are measured.

    Args:
        ranges: in the order of files and rows.
        samples: number of samples in them.
        only_hdf5: why only HDF5 can decode some of them; empty if it is not needed.
    """

    ranges: Sequence[_EncodedRange]
    samples: int
    only_hdf5: str = ""

    @property
    def stored_bytes(self) -> int:
        """Bytes in the files."""
        return sum(part.stored.size for part in self.ranges)

    @property
    def is_decoded(self) -> bool:
        """Whether any range has a filter."""
        return any(part.pipeline for part in self.ranges)

    @property
    def samples_per_byte(self) -> float:
        """Samples for each stored byte."""
        return self.samples / max(1, self.stored_bytes)


def find_measured_bytes(
    datasets: Mapping[str, Sequence[str]], *, share: float, samples: int
) -> MeasuredBytes:
    """Ask HDF5 where values lie.

    Args:
        datasets: path of each file → paths of its datasets with a sample axis.
        share: fraction of the rows of each dataset, from its first row.
        samples: number of samples in these rows.

    Raises:
        BadFileError: a file cannot be opened, or is damaged.
    """
    ranges: list[_EncodedRange] = []
    reason = ""
    with HandlePool(Access()) as pool:
        for path, names in datasets.items():
            in_file: list[_EncodedRange] = []
            for name in names:
                with pool.dataset(path, name) as stored:
                    in_dataset, only_hdf5 = _ranges_of(stored, path, share)
                in_file += in_dataset
                reason = reason or (only_hdf5 and f"'/{name}' {only_hdf5}")
            ranges += sorted(in_file, key=lambda part: part.stored.row)
    return MeasuredBytes(ranges, samples, reason)


def _ranges_of(dataset: h5py.Dataset, path: str, share: float) -> tuple[list[_EncodedRange], str]:
    """Where the first rows of a dataset lie, and why only HDF5 decodes them; empty if HDF5 is not needed."""
    rows = max(1, _READ_BYTES * len(dataset) // max(1, dataset.nbytes))
    try:
        ranges = stored_ranges(dataset, rows, stop=math.ceil(share * len(dataset)), most=_MOST_CHUNKS)
    except DamageError as error:
        raise BadFileError(f"'{dataset.name}' in {path} is damaged: {error}. Copy the file again") from error
    try:
        pipeline, reason = pipeline_of(dataset), ""
    except NoCodecError as error:
        pipeline, reason = None, str(error)
    if pipeline and not ranges and len(dataset):
        reason = "has chunks that only HDF5 can locate"
    chunk_bytes = math.prod(dataset.chunks or (0,)) * dataset.dtype.itemsize
    encoded = [_EncodedRange(path, part, chunk_bytes if pipeline else part.size, pipeline) for part in ranges]
    return encoded, reason


class ReadInOrder:
    """``preadv`` of all stored bytes, file after file, into one buffer, by one thread."""

    def __init__(self, measured: MeasuredBytes) -> None:
        self._reads: list[tuple[str, list[ByteRange]]] = []
        for path, group in groupby(measured.ranges, key=lambda part: part.path):
            ranges = sorted((part.stored for part in group), key=lambda stored: stored.offset)
            self._reads.append((path, join_adjacent(ranges, _READ_BYTES)))
        self._samples_per_byte = measured.samples_per_byte
        self._buffer = np.zeros(_READ_BYTES, np.uint8)

    def __call__(self, _: int = 0) -> Iterator[float]:
        """Samples, read by read."""
        for path, ranges in self._reads:
            with closing(RawFile(path)) as raw:
                for part in ranges:
                    for start in range(0, part.size, _READ_BYTES):
                        size = min(_READ_BYTES, part.size - start)
                        raw.read_into(part.offset + start, self._buffer[:size])
                        yield size * self._samples_per_byte


class DecodeOnce:
    """Each chunk is read and decoded once, in the order of the files; bytes without a filter are only read."""

    def __init__(self, measured: MeasuredBytes, *, threads: int) -> None:
        self._measured = measured
        self._threads = threads
        self._local = threading.local()

    def __call__(self, _: int = 0) -> Iterator[float]:
        """Samples, some chunks at a time."""
        step = self._threads * _CHUNKS_PER_THREAD
        with ThreadPoolExecutor(self._threads) as executor:
            for path, group in groupby(self._measured.ranges, key=lambda part: part.path):
                ranges = list(group)
                with closing(RawFile(path)) as raw:
                    for start in range(0, len(ranges), step):
                        chunks = ranges[start : start + step]
                        sizes = executor.map(self._decode, [raw] * len(chunks), chunks)
                        yield sum(sizes) * self._measured.samples_per_byte

    def _decode(self, raw: RawFile, part: _EncodedRange) -> int:
        stored = self._buffer("stored", part.stored.size)
        raw.read_into(part.stored.offset, stored)
        if part.pipeline is not None:
            out = self._buffer("decoded", part.decoded_bytes)
            part.pipeline.decode(stored, out, part.stored.mask)
        return part.stored.size

    def _buffer(self, name: str, size: int) -> Bytes:
        """Memory of this thread, made once: fresh pages would cost as much as a fast decoder."""
        kept: Bytes | None = getattr(self._local, name, None)
        if kept is None or len(kept) < size:
            kept = np.zeros(size, np.uint8)
            setattr(self._local, name, kept)
        return kept[:size]


class GatherFromMemory:
    """``np.take`` of random samples from memory into a reused buffer, by one thread; the order is ready.

    Args:
        sample_bytes: decoded bytes of a sample, for each dataset.
        samples: samples of the data set; as many of them as fit are held in memory.
        batch_size: samples in a batch.
        seed: seed of their order.
    """

    def __init__(self, sample_bytes: Sequence[int], *, samples: int, batch_size: int, seed: int) -> None:
        held = max(1, min(samples, _GATHERED_BYTES // max(1, sum(sample_bytes))))
        # Zeros that were never written would all be one page, which stays in the processor's cache.
        self._arrays = [np.full((held, size), 1, np.uint8) for size in sample_bytes]
        self._out = [np.full((batch_size, size), 1, np.uint8) for size in sample_bytes]
        self._order = np.random.default_rng(seed).permutation(held)
        self._batch_size = batch_size

    def __call__(self, _: int = 0) -> Iterator[float]:
        """Samples, batch by batch."""
        for start in range(0, len(self._order), self._batch_size):
            samples = self._order[start : start + self._batch_size]
            for array, out in zip(self._arrays, self._out, strict=True):
                # mode="clip" writes straight into the buffer; the default makes a copy first.
                np.take(array, samples, axis=0, out=out[: len(samples)], mode="clip")
            yield len(samples)
