"""Rows of filtered chunks: read what is adjacent in one go, decode in threads, keep for the next batch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

import numpy as np

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.core.monitor import Guard, Monitor
from h5lightning.core.process_local import ProcessLocal
from h5lightning.errors import BadFileError, ChecksumError
from h5lightning.storage.codecs import CodecError, Pipeline
from h5lightning.storage.files.coalescing import MAX_GAP_BYTES, MAX_RUN_BYTES
from h5lightning.storage.files.raw_file import RawFile
from h5lightning.storage.files.verified_blocks import DamagedBlockError
from h5lightning.storage.readers.checks import damaged_chunk, name_of
from h5lightning.storage.readers.decoded.chunk_cache import ChunkRowCache, Missing, SlabPlaces
from h5lightning.storage.readers.direct.chunk_map import ChunkMap, column_parts
from h5lightning.storage.readers.direct.verified_rows import VerifiedFile
from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest
from h5lightning.storage.readers.row_writer import RowWriter

__all__ = ["CachedRows", "DecodedChunkRows", "Decoding", "FilteredRows", "SlabTable"]

Work = Callable[[], None]


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
        self._caches: dict[tuple[int, int], ChunkRowCache] = {}
        self._guard = Guard()
        self._local = threading.local()
        self._executor: ThreadPoolExecutor | None = None

    def run(self, works: Sequence[Work]) -> None:
        """Do all the work, in threads if there are some; no thread is at work any more when this ends."""
        if self.threads == 1 or len(works) == 1:
            for work in works:
                work()
            return
        crew = _Crew()
        try:
            try:
                futures = [self._begin(partial(crew.do, work)) for work in works]
                for future in futures:
                    future.result()
            finally:
                crew.dismiss()
        finally:
            crew.dismiss()

    def _begin(self, work: Work) -> Future[None]:
        try:
            return (self._executor or self._guard.run(self._make_executor)).submit(work)
        except RuntimeError:
            # It was closed meanwhile, or cannot start a thread: who asks does the work.
            future: Future[None] = Future()
            work()
            future.set_result(None)
            return future

    def _make_executor(self) -> ThreadPoolExecutor:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self.threads, "h5lightning-decode")
        return self._executor

    def scratch(self) -> Bytes:
        """Memory of this thread for what it has just read: to get it from the system anew costs page faults."""
        scratch: Bytes | None = getattr(self._local, "scratch", None)
        if scratch is None:
            scratch = self._local.scratch = np.empty(MAX_RUN_BYTES, np.uint8)
        return scratch

    def close(self) -> None:
        """Stop the threads and forget the slabs; who is at work goes on, and anybody may begin anew."""
        executor = self._guard.run(self._forget)
        if executor is not None:
            executor.shutdown()

    def _forget(self) -> ThreadPoolExecutor | None:
        for cache in self._caches.values():
            cache.clear()
        self._caches = {}
        executor, self._executor = self._executor, None
        return executor

    def cache(self, slab_rows: int, row_bytes: int) -> ChunkRowCache:
        """The cache of all slabs of this size."""
        return self._caches.get((slab_rows, row_bytes)) or self._guard.run(self._add, slab_rows, row_bytes)

    def _add(self, slab_rows: int, row_bytes: int) -> ChunkRowCache:
        cache = self._caches.get((slab_rows, row_bytes))
        if cache is None:
            total = row_bytes + sum(other.row_bytes for other in self._caches.values())
            for other in self._caches.values():
                other.limit(self._cache_bytes * other.row_bytes // total)
            limit_bytes = self._cache_bytes * row_bytes // total
            cache = self._caches[slab_rows, row_bytes] = ChunkRowCache(slab_rows, row_bytes, limit_bytes)
        return cache


class _Crew:
    """The threads at work for one call: none of them may write to a buffer when the call is over.

    A future tells of what is waiting in a queue, but not the caller who was interrupted before it had the future.
    """

    __slots__ = ("_at_work", "_is_over", "_monitor")

    def __init__(self) -> None:
        self._at_work: set[object] = set()
        self._is_over = False
        self._monitor = Monitor()

    def do(self, work: Work) -> None:
        """Do some work, unless the call is over."""
        member = object()
        try:
            try:
                if self._monitor.run(self._join, member):
                    work()
            finally:
                self._monitor.run(self._leave, member)
        finally:
            self._monitor.run(self._leave, member)

    def dismiss(self) -> None:
        """Let nobody begin any more, and wait for those who have begun."""
        self._is_over = True
        self._monitor.until(lambda: None if self._at_work else True)

    def _join(self, member: object) -> bool:
        if not self._is_over:
            self._at_work.add(member)
        return not self._is_over

    def _leave(self, member: object) -> None:
        self._monitor.tell()
        self._at_work.discard(member)


class DecodedChunkRows:
    """The `Decoding` of each process; pickled, copied or forked, it starts empty."""

    def __init__(self, cache_bytes: int, threads: int) -> None:
        self._options = cache_bytes, threads
        self._local: ProcessLocal[Decoding] = ProcessLocal()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._options

    def here(self) -> Decoding:
        """That of this process."""
        return self._local.get(self._make)

    def close(self) -> None:
        """Stop this process's threads and forget its slabs."""
        self.here().close()

    def _make(self) -> Decoding:
        return Decoding(*self._options)


# ── rows of slabs ────────────────────────────────────────────────────────────────────────────────────


class SlabTable(Protocol):
    """A dataset that is decoded slab by slab."""

    @property
    def places(self) -> SlabPlaces:
        """Where each of its slabs lies in the cache."""

    def works(self, slabs: Sequence[tuple[int, Bytes]], parts: int) -> list[Work]:
        """What fills the buffers of some slabs, in about so many parts that may be done at the same time."""


class CachedRows:
    """Rows of several files, by way of their slabs.

    Args:
        cache: of all slabs of the tables.
        tables: the dataset in each file.
        decoding: does the work.
    """

    def __init__(self, cache: ChunkRowCache, tables: Sequence[SlabTable], decoding: Decoding) -> None:
        self._cache = cache
        self._tables = tables
        self._decoding = decoding
        # One number for each slab of all tables, ascending with the tables.
        self._firsts = np.cumsum([0, *(len(table.places) for table in tables)])

    def put(self, take: ReadRequest, to: RowWriter) -> None:
        """See `Joined.put`."""
        height, most = self._cache.slab_rows, self._cache.capacity
        slabs = take.rows // height
        within = take.rows - slabs * height
        numbers = slabs + self._firsts[:-1].repeat(take.sizes)
        different, which = np.unique(numbers, return_inverse=True)
        if len(different) <= most:
            self._put_held(different, which, within, take.slots, to)
            return
        for first in range(0, len(different), most):
            here = np.flatnonzero((which >= first) & (which < first + most))
            held = different[first : first + most]
            self._put_held(held, which[here] - first, within[here], take.slots[here], to)

    def _put_held(
        self, numbers: Int64Array, which: Int64Array, within: Int64Array, slots: Int64Array, to: RowWriter
    ) -> None:
        """Deliver rows of slabs that fit into the cache together."""
        cache, wanted = self._cache, _by_table(numbers, self._firsts, self._tables)

        def deliver(rows: Bytes, held: Int64Array) -> None:
            to.put(rows, (held[which] * cache.slab_rows + within)[:, None], slots)

        cache.use([(table.places, own) for table, own in wanted], _Filling(wanted, self._decoding), deliver)


def _by_table(
    numbers: Int64Array, firsts: Int64Array, tables: Sequence[SlabTable]
) -> list[tuple[SlabTable, Int64Array]]:
    """The tables that some ascending numbers belong to, with the numbers of their own slabs."""
    borders = np.searchsorted(numbers, firsts).tolist()
    return [
        (table, numbers[start:stop] - first)
        for table, first, (start, stop) in zip(tables, firsts.tolist(), pairwise(borders))  # noqa: B905 - one border more
        if start < stop
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _Filling:
    """Fills the slabs that a cache lacks, of all files together."""

    wanted: Sequence[tuple[SlabTable, Int64Array]]
    decoding: Decoding

    def __call__(self, missing: Sequence[Missing]) -> None:
        by_dataset: dict[int, list[tuple[int, Bytes]]] = {}
        for slab in missing:
            by_dataset.setdefault(slab.dataset, []).append((slab.slab, slab.buffer))
        parts = -(-2 * self.decoding.threads // len(by_dataset))
        works = [
            work
            for dataset, slabs in by_dataset.items()
            for work in self.wanted[dataset][0].works(slabs, parts)
        ]
        self.decoding.run(works)


# ── slabs that are decoded here ──────────────────────────────────────────────────────────────────────


class _Chunk(NamedTuple):
    """A stored chunk, and the buffer of its slab."""

    number: int
    start: int
    size: int
    mask: int
    slab: Bytes


class _Read(NamedTuple):
    """One read of the file, and what lies in it."""

    start: int
    stop: int
    chunks: list[_Chunk]


@dataclass(frozen=True, slots=True, eq=False)
class FilteredRows:
    """A dataset whose chunks are read from the file and decoded whole.

    Args:
        raw: the open file.
        source: what is read, for messages.
        storage: where the chunks lie; with a pipeline.
        places: where the slabs lie in the cache.
        cache: decoded slabs.
        decoding: the threads.
    """

    raw: RawFile | VerifiedFile
    source: DatasetColumn
    storage: ChunkMap
    places: SlabPlaces
    cache: ChunkRowCache
    decoding: Decoding

    @property
    def group(self) -> object:
        """See `Table.group`."""
        return self.cache

    @staticmethod
    def joined(tables: Sequence[FilteredRows]) -> CachedRows:
        """See `Table.joined`."""
        return CachedRows(tables[0].cache, tables, tables[0].decoding)

    def works(self, slabs: Sequence[tuple[int, Bytes]], parts: int) -> list[Work]:
        """See `SlabTable.works`."""
        columns = self._columns
        numbers = [slab * columns + column for slab, _ in slabs for column in range(columns)]
        buffers = [buffer for _, buffer in slabs for _ in range(columns)]
        return [partial(self.decode, read) for read in _reads(self.storage, numbers, buffers, parts)]

    def lacking(self, rows: Int64Array) -> Int64Array:
        """Those of some rows whose slab was not decoded yet."""
        return rows[self.places.is_lacking(rows // self.storage.chunk_rows)]

    def decode(self, read: _Read) -> None:
        """Read some chunks, and decode them into the buffers of their slabs."""
        try:
            stored = self.raw.read(read.start, read.stop - read.start, self.decoding.scratch())
        except DamagedBlockError as error:
            raise self._not_verified(read, error) from error
        for chunk in read.chunks:
            start = chunk.start - read.start
            try:
                self._decode_chunk(chunk, stored[start : start + chunk.size])
            except CodecError as error:
                raise self._damaged(chunk.number, error) from error

    def _decode_chunk(self, chunk: _Chunk, stored: Bytes) -> None:
        storage = self.storage
        pipeline: Pipeline = storage.pipeline  # type: ignore[assignment] # a slab table has one
        if storage.holds_whole_rows:
            pipeline.decode(stored, chunk.slab, chunk.mask)
            return
        decoded = np.empty(storage.chunk_bytes, np.uint8)
        pipeline.decode(stored, decoded, chunk.mask)
        parts = column_parts(storage)
        part, inside = parts[chunk.number % len(parts)]
        element = np.dtype((np.void, storage.itemsize))
        rows = chunk.slab.view(element).reshape(storage.chunk_rows, *storage.row_shape)
        into, values = (slice(None), *part), (slice(None), *inside)
        rows[into] = decoded.view(element).reshape(storage.chunks)[values]

    @property
    def _columns(self) -> int:
        """Chunks of a slab."""
        return len(self.storage.offsets) // len(self.places)

    def _damaged(self, chunk: int, error: CodecError) -> BadFileError:
        storage = self.storage
        pipeline: Pipeline = storage.pipeline  # type: ignore[assignment] # a slab table has one
        size, offset = int(storage.sizes[chunk]), int(storage.offsets[chunk])
        names = pipeline.names
        return damaged_chunk(
            name_of(self.raw.path, self.source), self._place(chunk), size, offset, names, error
        )

    def _not_verified(self, read: _Read, error: DamagedBlockError) -> ChecksumError:
        """The error that names the first chunk of a read that lies in a damaged block, which may hold several."""
        inside = [chunk for chunk in read.chunks if chunk.start + chunk.size > error.start]
        where = f"the chunk at {self._place((inside or read.chunks)[0].number)}, or one beside it"
        return error.of(f"{name_of(self.raw.path, self.source)}: {where}")

    def _place(self, chunk: int) -> tuple[int, ...]:
        """Coordinates of a chunk in the dataset."""
        storage = self.storage
        cells = [-(-length // size) for length, size in zip(storage.shape, storage.chunks, strict=True)]
        place: tuple[int, ...] = tuple(np.multiply(np.unravel_index(chunk, cells), storage.chunks).tolist())
        return place


def _reads(storage: ChunkMap, numbers: Sequence[int], buffers: Sequence[Bytes], parts: int) -> list[_Read]:
    """Reads of the file that together hold some chunks, in some parts at least."""
    offsets, sizes, masks = storage.offsets[numbers], storage.sizes[numbers], storage.masks[numbers]
    most_bytes = min(MAX_RUN_BYTES, int(sizes.sum()) // parts)
    columns = zip(numbers, offsets.tolist(), sizes.tolist(), masks.tolist(), buffers, strict=True)
    reads: list[_Read] = []
    for chunk in sorted(map(_Chunk._make, columns), key=_start_of):
        stop = chunk.start + chunk.size
        last = reads[-1] if reads else None
        if last is not None and chunk.start - last.stop <= MAX_GAP_BYTES and stop - last.start <= most_bytes:
            last.chunks.append(chunk)
            reads[-1] = _Read(last.start, stop, last.chunks)
        else:
            reads.append(_Read(chunk.start, stop, [chunk]))
    return reads


_start_of = attrgetter("start")
