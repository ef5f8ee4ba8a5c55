"""What this machine can do at best with the same files: reading in order, decoding each chunk once, gathering from RAM.

Each limit yields samples as it goes, like a loader yields batches. What is known before a turn is not timed.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby

import h5py
import numpy as np
import numpy.typing as npt

from h5lightning.options import Access
from h5lightning.storage.codecs import NoCodecError, Pipeline
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.tools.bench.stored_pieces import Piece, merged, opened, pieces_of, pipeline_of, read_into

__all__ = ["DecodeOnce", "Extent", "GatherFromMemory", "ReadInOrder", "StoredRows", "find_stored_rows"]

_READ_BYTES = 1 << 20  # larger reads leave the processor's caches
_MOST_CHUNKS = 100_000  # of one dataset in one file: more say nothing new
_GATHERED_BYTES = 512 << 20  # far more than any processor's cache
_TOGETHER = 8  # chunks for each thread between two looks at the clock


@dataclass(frozen=True, slots=True)
class Extent:
    """Stored bytes of one file that are decoded together.

    Args:
        path: of the file.
        piece: where they lie.
        decoded_bytes: what they become.
        pipeline: decodes them; None for what is stored as it is.
    """

    path: str
    piece: Piece
    decoded_bytes: int
    pipeline: Pipeline | None


@dataclass(frozen=True, slots=True)
class StoredRows:
    """All stored bytes of some rows of some files.

    Args:
        extents: in the order of files and rows.
        samples: how many samples they hold.
        only_hdf5: why they cannot all be decoded here; empty if they can.
    """

    extents: Sequence[Extent]
    samples: int
    only_hdf5: str = ""

    @property
    def stored_bytes(self) -> int:
        """Bytes in the files."""
        return sum(extent.piece.size for extent in self.extents)

    @property
    def is_decoded(self) -> bool:
        """Whether anything has a filter."""
        return any(extent.pipeline for extent in self.extents)

    @property
    def samples_per_byte(self) -> float:
        """What a stored byte is worth."""
        return self.samples / max(1, self.stored_bytes)


def find_stored_rows(
    paths: Sequence[str], datasets: Sequence[str], *, share: float, samples: int
) -> StoredRows:
    """Ask HDF5 where values lie.

    Args:
        paths: the files.
        datasets: datasets with a sample axis.
        share: of the rows of each dataset, its first ones.
        samples: how many samples that is.
    """
    extents: list[Extent] = []
    reason = ""
    with HandlePool(Access()) as pool:
        for path in paths:
            found: list[Extent] = []
            for name in datasets:
                with pool.dataset(path, name) as stored:
                    own, only_hdf5 = _extents_of(stored, path, share)
                found += own
                reason = reason or (only_hdf5 and f"'/{name}' {only_hdf5}")
            extents += sorted(found, key=lambda extent: extent.piece.row)
    return StoredRows(extents, samples, reason)


def _extents_of(stored: h5py.Dataset, path: str, share: float) -> tuple[list[Extent], str]:
    """Where the first rows of a dataset lie, and why only HDF5 decodes them, if that is so."""
    rows = max(1, _READ_BYTES * len(stored) // max(1, stored.nbytes))
    pieces = pieces_of(stored, rows, stop=math.ceil(share * len(stored)), most=_MOST_CHUNKS)
    try:
        pipeline, reason = pipeline_of(stored), ""
    except NoCodecError as error:
        pipeline, reason = None, str(error)
    chunk_bytes = math.prod(stored.chunks or (0,)) * stored.dtype.itemsize
    return [
        Extent(path, piece, chunk_bytes if pipeline else piece.size, pipeline) for piece in pieces
    ], reason


class ReadInOrder:
    """``preadv`` of all stored bytes, file after file, into one buffer, by one thread."""

    def __init__(self, stored: StoredRows) -> None:
        self._runs: list[tuple[str, list[Piece]]] = []
        for path, extents in groupby(stored.extents, key=lambda extent: extent.path):
            pieces = sorted((extent.piece for extent in extents), key=lambda piece: piece.offset)
            self._runs.append((path, merged(pieces, _READ_BYTES)))
        self._samples_per_byte = stored.samples_per_byte
        self._buffer = memoryview(bytearray(_READ_BYTES))

    def __call__(self, _: int = 0) -> Iterator[float]:
        """Samples, read by read."""
        for path, runs in self._runs:
            with opened(path) as descriptor:
                for run in runs:
                    for start in range(0, run.size, _READ_BYTES):
                        size = min(_READ_BYTES, run.size - start)
                        read_into(descriptor, self._buffer[:size], run.offset + start)
                        yield size * self._samples_per_byte


class DecodeOnce:
    """Each chunk read and decoded once, in the order of the files; what has no filter is only read.

    Args:
        stored: the rows.
        threads: that decode.
    """

    def __init__(self, stored: StoredRows, *, threads: int) -> None:
        self._stored = stored
        self._threads = threads
        self._local = threading.local()

    def __call__(self, _: int = 0) -> Iterator[float]:
        """Samples, some chunks at a time."""
        step = self._threads * _TOGETHER
        with ThreadPoolExecutor(self._threads) as pool:
            for path, group in groupby(self._stored.extents, key=lambda extent: extent.path):
                extents = list(group)
                with opened(path) as descriptor:
                    for start in range(0, len(extents), step):
                        some = extents[start : start + step]
                        sizes = pool.map(self._decode, [descriptor] * len(some), some)
                        yield sum(sizes) * self._stored.samples_per_byte

    def _decode(self, descriptor: int, extent: Extent) -> int:
        stored = self._buffer("stored", extent.piece.size)
        read_into(descriptor, memoryview(stored.data), extent.piece.offset)
        if extent.pipeline is not None:
            out = self._buffer("decoded", extent.decoded_bytes)
            extent.pipeline.decode(stored, out, extent.piece.mask)
        return extent.piece.size

    def _buffer(self, name: str, size: int) -> npt.NDArray[np.uint8]:
        """Memory of this thread, which is made once: fresh pages would cost as much as a fast decoder."""
        kept = getattr(self._local, name, None)
        if kept is None or len(kept) < size:
            kept = np.zeros(size, np.uint8)
            setattr(self._local, name, kept)
        return kept[:size]


class GatherFromMemory:
    """``np.take`` of random samples from RAM into a reused buffer, by one thread; ids are ready.

    Args:
        sample_bytes: of each dataset, decoded.
        samples: of the data set; as many are held in memory, as far as they fit.
        batch_size: samples in a batch.
        seed: of their order.
    """

    def __init__(self, sample_bytes: Sequence[int], *, samples: int, batch_size: int, seed: int) -> None:
        held = max(1, min(samples, _GATHERED_BYTES // max(1, sum(sample_bytes))))
        # Zeros that nobody wrote would all be one page, which stays in the processor's cache.
        self._arrays = [np.full((held, size), 1, np.uint8) for size in sample_bytes]
        self._out = [np.full((batch_size, size), 1, np.uint8) for size in sample_bytes]
        self._order = np.random.default_rng(seed).permutation(held)
        self._batch_size = batch_size

    def __call__(self, _: int = 0) -> Iterator[float]:
        """Samples, batch by batch."""
        for start in range(0, len(self._order), self._batch_size):
            ids = self._order[start : start + self._batch_size]
            for array, out in zip(self._arrays, self._out, strict=True):
                # mode="clip" writes straight into the buffer; the default makes a copy first.
                np.take(array, ids, axis=0, out=out[: len(ids)], mode="clip")
            yield len(ids)
