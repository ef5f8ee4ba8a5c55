"""Rows of filtered chunks: read what is adjacent in one go, decode in threads, keep for the next batch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from h5lightning.coalescing import MAX_GAP_BYTES, MAX_RUN_BYTES
from h5lightning.codecs import CodecError, Pipeline
from h5lightning.errors import BadFileError
from h5lightning.readers.checks import name_of
from h5lightning.readers.delivering import Delivery
from h5lightning.readers.protocol import RowSource
from h5lightning.readers.raw_file import RawFile
from h5lightning.readers.slab_cache import SlabCache
from h5lightning.readers.storage_map import StorageMap, column_parts

__all__ = ["Decoding", "SlabTable"]

Bytes = npt.NDArray[np.uint8]
Int64Array = npt.NDArray[np.int64]


class Decoding:
    """Decoded slabs and decoding threads of one process.

    Args:
        cache_bytes: decoded bytes that are kept; shared by the length of rows, since batches take as many rows
            of one dataset as of another.
        threads: threads that decode.
    """

    def __init__(self, cache_bytes: int, threads: int) -> None:
        self.threads = threads
        self._cache_bytes = cache_bytes
        self._caches: dict[tuple[int, int], SlabCache] = {}
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None

    def table(self, raw: RawFile, source: RowSource, storage: StorageMap, first_slab: int) -> SlabTable:
        """The table of a filtered dataset."""
        cache = self._cache(storage.chunk_rows, storage.row_bytes)
        return SlabTable(raw, source, storage, first_slab, cache, self)

    def run(self, work: Callable[[_Read], None], reads: Sequence[_Read]) -> None:
        """Do all the work, in threads if there are some."""
        if self.threads == 1 or len(reads) == 1:
            for read in reads:
                work(read)
            return
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self.threads, "h5lightning-decode")
        for _ in self._executor.map(work, reads):
            pass  # the exception of a thread is raised here

    def close(self) -> None:
        """Stop the threads and forget the slabs."""
        with self._lock:
            self._caches.clear()
            if self._executor is not None:
                self._executor.shutdown()
                self._executor = None

    def _cache(self, slab_rows: int, row_bytes: int) -> SlabCache:
        with self._lock:
            cache = self._caches.get((slab_rows, row_bytes))
            if cache is None:
                total = row_bytes + sum(other.row_bytes for other in self._caches.values())
                for other in self._caches.values():
                    other.limit(self._cache_bytes * other.row_bytes // total)
                limit_bytes = self._cache_bytes * row_bytes // total
                cache = self._caches[slab_rows, row_bytes] = SlabCache(slab_rows, row_bytes, limit_bytes)
            return cache


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """One read of the file, and what lies in it."""

    start: int
    stop: int
    chunks: list[tuple[int, Bytes]]  # number of a chunk, and the buffer of its slab


@dataclass(frozen=True, slots=True, eq=False)
class SlabTable:
    """A dataset whose chunks are decoded whole; see `Table`.

    Args:
        raw: the open file.
        source: what is read, for messages.
        storage: where the chunks lie; with a pipeline.
        first_slab: number of the first slab in the cache.
        cache: decoded slabs.
        decoding: the threads.
    """

    raw: RawFile
    source: RowSource
    storage: StorageMap
    first_slab: int
    cache: SlabCache
    decoding: Decoding

    def put(self, rows: Int64Array, slots: Int64Array, to: Delivery) -> None:
        """Deliver rows; see `Table.put`."""
        slabs = rows // self.storage.chunk_rows
        within = rows - slabs * self.storage.chunk_rows
        numbers = (slabs + self.first_slab).tolist()
        # For the few rows that a batch takes from one file, a dict needs a third of the time of np.unique.
        wanted = list(dict.fromkeys(numbers))
        most = self.cache.capacity
        if len(wanted) <= most:
            self._put_held(wanted, numbers, within, slots, to)
            return
        for first in range(0, len(wanted), most):
            piece = wanted[first : first + most]
            here = np.flatnonzero(np.isin(numbers, piece))
            self._put_held(piece, [numbers[i] for i in here.tolist()], within[here], slots[here], to)

    def _put_held(
        self, wanted: list[int], numbers: list[int], within: Int64Array, slots: Int64Array, to: Delivery
    ) -> None:
        """Deliver rows of slabs that fit into the cache together."""
        with self.cache.hold(wanted, self._fill) as first_rows:
            starts = np.fromiter(map(first_rows.__getitem__, numbers), np.int64, len(numbers))
            to.put(self.cache.rows, starts + within, slots)

    def _fill(self, slabs: Sequence[tuple[int, Bytes]]) -> None:
        columns = len(self.storage.offsets) // -(-self.storage.shape[0] // self.storage.chunk_rows)
        chunks = [
            ((number - self.first_slab) * columns + column, buffer)
            for number, buffer in slabs
            for column in range(columns)
        ]
        self.decoding.run(self._decode, _reads(self.storage, chunks, self.decoding.threads))

    def _decode(self, read: _Read) -> None:
        stored = self.raw.read(read.start, read.stop - read.start)
        for chunk, buffer in read.chunks:
            start = int(self.storage.offsets[chunk]) - read.start
            try:
                self._decode_chunk(chunk, stored[start : start + int(self.storage.sizes[chunk])], buffer)
            except CodecError as error:
                raise self._damaged(chunk, error) from error

    def _decode_chunk(self, chunk: int, stored: Bytes, slab: Bytes) -> None:
        storage, mask = self.storage, int(self.storage.masks[chunk])
        pipeline: Pipeline = storage.pipeline  # type: ignore[assignment] # a slab table has one
        if storage.holds_whole_rows:
            pipeline.decode(stored, slab, mask)
            return
        decoded = np.empty(storage.chunk_bytes, np.uint8)
        pipeline.decode(stored, decoded, mask)
        parts = column_parts(storage)
        part, inside = parts[chunk % len(parts)]
        element = np.dtype((np.void, storage.itemsize))
        rows = slab.view(element).reshape(storage.chunk_rows, *storage.row_shape)
        into, values = (slice(None), *part), (slice(None), *inside)
        rows[into] = decoded.view(element).reshape(storage.chunks)[values]

    def _damaged(self, chunk: int, error: CodecError) -> BadFileError:
        columns = len(column_parts(self.storage))
        first = chunk // columns * self.storage.chunk_rows
        last = min(first + self.storage.chunk_rows, self.storage.shape[0]) - 1
        return BadFileError(
            f"{name_of(self.raw.path, self.source)}: rows {first} to {last} cannot be read: a chunk decodes "
            f"wrongly ({error}). The file is damaged: copy it again"
        )


def _reads(storage: StorageMap, chunks: Iterable[tuple[int, Bytes]], threads: int) -> list[_Read]:
    """Reads of the file that together hold the chunks, enough of them for all threads."""
    ordered = sorted(chunks, key=lambda chunk: int(storage.offsets[chunk[0]]))
    numbers = [number for number, _ in ordered]
    most_bytes = min(MAX_RUN_BYTES, int(storage.sizes[numbers].sum()) // threads)
    reads: list[_Read] = []
    for number, buffer in ordered:
        start = int(storage.offsets[number])
        stop = start + int(storage.sizes[number])
        last = reads[-1] if reads else None
        if last is not None and start - last.stop <= MAX_GAP_BYTES and stop - last.start <= most_bytes:
            reads[-1] = _Read(last.start, stop, [*last.chunks, (number, buffer)])
        else:
            reads.append(_Read(start, stop, [(number, buffer)]))
    return reads
