"""Delivers rows of several files by way of the cache of their decoded chunk rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Protocol

import numpy as np

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.storage.readers.decoded.chunk_cache import ChunkRowCache, ChunkRowSlots, MissingChunkRow
from h5lightning.storage.readers.decoded.decode_pool import DecodePool, Task
from h5lightning.storage.readers.protocol import ReadRequest
from h5lightning.storage.readers.row_group import RowGroup

__all__ = ["CachedRows", "ChunkRowDecoder", "TableWriter"]

_LEAST_RUN_BYTES = 32 * 1024  # of a run that is copied in one piece
_DECODED_AT_ONCE = 8  # chunk rows that a thread reserves; other threads decode the next ones meanwhile


class ChunkRowDecoder(Protocol):
    """Decodes the chunk rows of one dataset of one file."""

    @property
    def slots(self) -> ChunkRowSlots:
        """The slots of its chunk rows in the cache."""

    def tasks(self, chunk_rows: Sequence[tuple[int, Bytes]], parts: int) -> list[Task]:
        """What fills the buffers of some chunk rows.

        Args:
            chunk_rows: numbers and buffers, ``(chunk row bytes,)``.
            parts: about how many tasks may run at the same time.
        """


class TableWriter(Protocol):
    """Takes rows out of a table of bytes."""

    def put(self, table: Bytes, pieces: Int64Array, slots: Int64Array) -> None:
        """See `RowWriter.put`."""


class CachedRows(RowGroup):
    """Rows of one dataset of several files; see `RowGroup`.

    Args:
        cache: of all their chunk rows.
        decoders: the dataset in each file.
        pool: does the work.
    """

    def __init__(self, cache: ChunkRowCache, decoders: Sequence[ChunkRowDecoder], pool: DecodePool) -> None:
        self._cache = cache
        self._decoders = decoders
        self._pool = pool
        # One number for each chunk row of all datasets, ascending with the datasets.
        self._firsts = np.cumsum([0, *(len(decoder.slots) for decoder in decoders)])

    def divided(self, request: ReadRequest) -> ReadRequest:
        """The same request for long runs that lie in one chunk row each, else one for single rows."""
        run, height = request.run, self._cache.height
        is_long = type(request) is ReadRequest and run > 1 and run * self._cache.row_bytes >= _LEAST_RUN_BYTES
        if is_long and bool((request.rows % height + run <= height).all()):
            return request
        return request.by_row()

    def keeps(self, rows: int) -> bool:
        """See `RowGroup.keeps`."""
        return min(rows, int(self._firsts[-1])) <= self._cache.capacity

    def put(self, request: ReadRequest, to: TableWriter) -> None:
        """See `RowGroup.put`."""
        height, capacity = self._cache.height, self._cache.at_once
        within_file = request.rows // height
        within = request.rows - within_file * height
        numbers = within_file + self._firsts[:-1].repeat(request.sizes)
        distinct, which = np.unique(numbers, return_inverse=True)
        if len(distinct) <= capacity // 2:
            self._decode(distinct, least=_DECODED_AT_ONCE + 1)
        if len(distinct) <= capacity:
            self._put_cached(distinct, which, within, request, to)
            return
        for first in range(0, len(distinct), capacity):
            part = np.flatnonzero((which >= first) & (which < first + capacity))
            cached = distinct[first : first + capacity]
            some = replace(request, rows=request.rows[part], slots=request.slots[part])
            self._put_cached(cached, which[part] - first, within[part], some, to)

    def decode_ahead(self, rows: Int64Array, sizes: Int64Array, *, reads: int) -> None:
        """Decode the chunk rows of some rows, so that `put` finds them in the cache.

        Args:
            rows: rows of the datasets, those of one dataset after those of another, ``(N,)``.
            sizes: number of rows of each dataset, ``(datasets,)``.
            reads: see `Reader.decode_ahead`.
        """
        numbers = np.unique(rows // self._cache.height + self._firsts[:-1].repeat(sizes))
        # Where few chunk rows fit, these would take the place of those that are in use.
        if len(numbers) <= self._cache.capacity // 4:
            self._decode(numbers, least=1, reads=reads)

    def _decode(self, numbers: Int64Array, *, least: int, reads: int = 0) -> None:
        """Decode chunk rows that no thread has begun to decode, if there are at least so many, a few at a time.

        So threads whose batches need the same chunk rows share the work.
        """
        while len(numbers := self._lacking(numbers)) >= least:
            requested = self._by_dataset(numbers[:_DECODED_AT_ONCE])
            fill = partial(self._fill, [decoder for decoder, _ in requested])
            parts = [(decoder.slots, own) for decoder, own in requested]
            self._cache.use(parts, fill, lambda *_: None, kept_for=reads)
            numbers = numbers[_DECODED_AT_ONCE:]

    def _lacking(self, numbers: Int64Array) -> Int64Array:
        """Those of some ascending chunk rows that no thread has begun to decode."""
        lacking = [decoder.slots.is_lacking(own) for decoder, own in self._by_dataset(numbers)]
        return numbers[np.concatenate(lacking)] if lacking else numbers

    def _put_cached(
        self,
        numbers: Int64Array,
        which: Int64Array,
        within: Int64Array,
        request: ReadRequest,
        to: TableWriter,
    ) -> None:
        """Deliver rows whose chunk rows fit into the cache together."""
        cache, requested = self._cache, self._by_dataset(numbers)

        def deliver(rows: Bytes, cached: Int64Array) -> None:
            first = cached[which] * cache.height + within
            if request.run > 1:
                rows, first = rows.reshape(-1, 1), first * cache.row_bytes
            to.put(rows, first[:, None], request.slots)

        fill = partial(self._fill, [decoder for decoder, _ in requested])
        cache.use([(decoder.slots, own) for decoder, own in requested], fill, deliver)

    def _by_dataset(self, numbers: Int64Array) -> list[tuple[ChunkRowDecoder, Int64Array]]:
        """The datasets that some ascending numbers belong to, with the numbers of their own chunk rows."""
        borders = np.searchsorted(numbers, self._firsts).tolist()
        return [
            (decoder, numbers[start:stop] - first)
            for decoder, first, (start, stop) in zip(  # noqa: B905 - one border more
                self._decoders, self._firsts.tolist(), pairwise(borders)
            )
            if start < stop
        ]

    def _fill(self, decoders: Sequence[ChunkRowDecoder], missing: Sequence[MissingChunkRow]) -> None:
        """Fill the chunk rows that the cache lacks, of all files together."""
        by_dataset: dict[int, list[tuple[int, Bytes]]] = {}
        for one in missing:
            by_dataset.setdefault(one.dataset, []).append((one.number, one.buffer))
        parts = -(-2 * self._pool.threads // len(by_dataset))
        tasks = [
            task
            for dataset, chunk_rows in by_dataset.items()
            for task in decoders[dataset].tasks(chunk_rows, parts)
        ]
        self._pool.run(tasks)
