"""Reads any dataset through h5py, in as few and as long reads as are worth it.

Measured on the page cache: a read of adjacent rows takes 5 µs and 0.1 µs for each KiB. One selection of scattered rows
takes 2 µs for each row in contiguous, but 30 µs in chunked layout. Decoding 128 KiB takes 300 µs. So rows are sorted
and read in runs, each chunk once; short rows of contiguous layout that lie far apart are selected together; windows and
long rows are read one by one, straight into the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.core.process_local import remade
from h5lightning.planning.values.conversions import assign
from h5lightning.storage.files.coalescing import MAX_RUN_BYTES, Runs, coalesce
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.box_request import BoxRequest
from h5lightning.storage.readers.checks import check_buffer, check_whole
from h5lightning.storage.readers.decoded.cached_rows import CachedRows
from h5lightning.storage.readers.decoded.chunk_cache import ChunkRowCache
from h5lightning.storage.readers.decoded.decode_pool import DecodedChunkRows
from h5lightning.storage.readers.libhdf5.batch_rows import BatchRows, in_order
from h5lightning.storage.readers.libhdf5.box_reading import read_boxes
from h5lightning.storage.readers.libhdf5.dataset_rows import DatasetRows, holds_type
from h5lightning.storage.readers.libhdf5.open_each import dataset_keys, dataset_opener, using_datasets
from h5lightning.storage.readers.libhdf5.trajectory_rows import TrajectoryRows
from h5lightning.storage.readers.protocol import DatasetColumn, Reader, ReadRequest
from h5lightning.storage.readers.record_writer import make_writer
from h5lightning.storage.readers.records import combined, together
from h5lightning.storage.readers.row_writer import RowWriter
from h5lightning.storage.readers.runs_request import RunsRequest
from h5lightning.storage.readers.series_parts import SeriesParts, chosen_parts, path_of
from h5lightning.storage.readers.shared_rows import by_source, read_each_once, without_covered

__all__ = ["H5pyReader"]

T = TypeVar("T")


# Were there room for fewer decoded chunks than a batch touches, they would go before they are used again.
_LEAST_CHUNK_ROWS = 64
# A scattered selection copies its rows once more, which costs more than it saves where rows are long.
_MAX_SCATTERED_ROW_BYTES = 32 * 1024


class H5pyReader(Reader):
    """Reads through h5py; see `Reader` for ownership and concurrency.

    Args:
        pool: the open files of each process.
        decoded: caches of decoded chunks, of each process; None for a cache for this reader alone.
    """

    def __init__(self, pool: HandlePool, decoded: DecodedChunkRows | None = None) -> None:
        self._pool = pool
        self._decoded = decoded or DecodedChunkRows(pool.access.cache_bytes, threads=1)

    @property
    def pool(self) -> HandlePool:
        """See `Reader.pool`."""
        return self._pool

    def __reduce__(self) -> tuple[Any, ...]:
        return remade, (type(self), {"pool": self._pool, "decoded": self._decoded})

    def read(self, files: Sequence[str], requests: Sequence[ReadRequest]) -> None:
        """Fill the buffers of some requests; see `Reader.read`."""
        for request in requests:
            check_buffer(files[0], request.source, request.out.shape[1:], request.entry_shape)
        requests = [one.by_row() if isinstance(one, RunsRequest) else one for one in requests]
        for same in by_source(combined(requests)).values():
            read, covered = without_covered(same)
            self._read(files, read)
            for rows in covered:
                rows.copy()

    def prefetch(  # HDF5 fetches nothing ahead
        self,
        files: Sequence[str],  # noqa: ARG002
        requests: Sequence[ReadRequest],  # noqa: ARG002
        *,
        only_remote: bool,  # noqa: ARG002
        is_probe: bool,  # noqa: ARG002
    ) -> bool:
        """Do nothing; see `Reader.prefetch`."""
        return False

    def _read(self, files: Sequence[str], requests: Sequence[ReadRequest]) -> None:
        """Read requests for one source."""
        batch = [BatchRows(request, self._fill) for request in requests]
        touched = [number for number in range(len(files)) if any(rows.has_entries(number) for rows in batch)]

        def use(index: int, stored: DatasetRows) -> None:
            number = touched[index]
            of_file = batch if len(batch) == 1 else [rows for rows in batch if rows.has_entries(number)]
            for rows in of_file:
                rows.check(number, stored)
            if not stored.row_bytes:
                return
            if len(of_file) > 1 and not self._keeps(stored, number, of_file):
                read_each_once([rows.part(number) for rows in of_file], partial(self._fill, stored))
                return
            for rows in of_file:
                rows.read(number, stored)

        def rows_of(index: int) -> Int64Array:
            return _touched([rows.part(touched[index]) for rows in batch if rows.has_entries(touched[index])])

        self._using(chosen_parts(files, touched), requests[0].source, rows_of, use)
        for rows in batch:
            rows.finish()

    def _keeps(self, stored: DatasetRows, number: int, requests: Sequence[BatchRows]) -> bool:
        """Whether no chunk is decoded twice if the requests are read one after the other."""
        if stored.chunk_rows is None:
            return stored.sources is None  # which may be filtered
        cache = self._cache(stored)
        count = sum(rows.count(number) for rows in requests)
        return cache is not None and CachedRows(cache, [stored], self._decoded.pool()).keeps(count)

    def _fill(self, stored: DatasetRows, part: ReadRequest) -> None:
        """Read rows of one file, which were checked."""
        cache = self._cache(stored)
        part = part.by_row()
        to = make_writer(part, stored.dtype, stored.row_shape)
        if cache is not None:
            part = replace(part, rows=stored.places_of(part.rows))
            CachedRows(cache, [stored], self._decoded.pool()).put(part, to)
        else:
            part = in_order(part)  # windows that overlap
            self._fill_runs(_Selection(stored, part.rows, part.slots, part.out, to))

    def decode_ahead(self, files: Sequence[str], requests: Sequence[ReadRequest], *, reads: int) -> None:
        """Decode the chunks of some rows; see `Reader.decode_ahead`."""
        for request in combined([request.by_row() for request in requests]):
            borders = request.borders.tolist()
            touched = [number for number in range(len(files)) if borders[number] < borders[number + 1]]
            rows = [np.sort(request.rows[slice(*borders[number : number + 2])]) for number in touched]

            def use(index: int, stored: DatasetRows, rows: list[Int64Array] = rows) -> None:
                self._decode(stored, rows[index], reads)

            self._using(chosen_parts(files, touched), request.source, rows.__getitem__, use)

    def _decode(self, stored: DatasetRows, rows: Int64Array, reads: int) -> None:
        """Decode the chunks of ascending rows of one file."""
        stored.check_rows(int(rows[0]), int(rows[-1]))
        cache = self._cache(stored)
        if cache is not None:
            cached = CachedRows(cache, [stored], self._decoded.pool())
            cached.decode_ahead(stored.places_of(rows), np.asarray([len(rows)]), reads=reads)

    def _using(
        self,
        files: Sequence[str],
        source: DatasetColumn,
        rows: Callable[[int], Int64Array],
        use: Callable[[int, DatasetRows], None],
    ) -> None:
        """Call a function with a dataset of each file; ``rows`` says which rows of a file it reads, ascending."""

        def sources(index: int, stored: DatasetRows) -> list[str]:
            return stored.sources_of(rows(index))

        using_datasets(self._pool, files, source, _kind_of(source), sources=sources, use=use)

    def _cache(self, stored: DatasetRows) -> ChunkRowCache | None:
        """Where decoded chunks are kept for the next batches; None if rows can be read alone, or too few chunks fit."""
        return None if stored.chunk_rows is None else self._cache_of(stored.chunk_rows, stored.row_bytes)

    def _cache_of(self, height: int, row_bytes: int) -> ChunkRowCache | None:
        """The cache of chunk rows of this size; None if too few of them fit."""
        cache = self._decoded.pool().cache(height, row_bytes)
        return cache if cache.capacity >= _LEAST_CHUNK_ROWS else None

    def read_whole(self, file: str | SeriesParts, source: DatasetColumn, out: npt.NDArray[Any]) -> None:
        """Put a dataset without a sample axis into ``out``; see `Reader.read_whole`."""
        path, read = path_of(file), together(source)
        check_buffer(path, source, out.shape)

        def use(_: int, stored: DatasetRows) -> None:
            for column, value_shape in stored.columns():
                check_whole(path, column, stored.shape, value_shape)
            values = out if holds_type(out, stored.dtype) else np.empty(stored.shape or (), stored.dtype)
            stored.read_whole(values)
            if values is not out:
                assign(out, ..., values if source.member is None else values["0"])

        files = [file] if isinstance(file, str) else file
        opened = dataset_opener(files, read, _kind_of(read), self._pool.access)
        self._pool.using_each([path], dataset_keys(files, read), opened, use)

    def read_boxes(self, files: Sequence[str], requests: Sequence[BoxRequest]) -> None:
        """Fill the buffers of some requests for boxes; see `Reader.read_boxes`."""
        decode_pool = self._decoded.pool()
        read_boxes(self._pool, files, requests, decode_pool=decode_pool, cache_of=self._cache_of)

    def prefetch_boxes(  # HDF5 fetches nothing ahead
        self,
        files: Sequence[str],  # noqa: ARG002
        requests: Sequence[BoxRequest],  # noqa: ARG002
        *,
        only_remote: bool,  # noqa: ARG002
        is_probe: bool,  # noqa: ARG002
    ) -> bool:
        """Do nothing; see `Reader.prefetch_boxes`."""
        return False

    def start_workers(self, count: int, start: Callable[[], T]) -> T:
        """Start processes that share what they decode; see `Reader.start_workers`."""
        return self._decoded.start_workers(count, start)

    def close(self) -> None:
        """Close this process's open files; they are opened again when they are needed."""
        self._decoded.pool().close()
        self._pool.close()

    def _fill_runs(self, selection: _Selection) -> None:
        stored, breaks = selection.stored, selection.breaks()
        fits = holds_type(selection.out, stored.dtype)
        if fits and not breaks[-1]:
            first, count = int(selection.slots[0]), len(breaks)
            start = int(selection.rows[0])
            stored.read([(start, start + count, selection.out[first : first + count])])
            return
        runs = coalesce(selection.rows, row_bytes=stored.row_bytes, chunk_rows=stored.chunk_rows)
        if _is_scattered(stored, len(breaks), len(runs)):
            _read_scattered(selection)
        else:
            is_direct = fits & (breaks[runs.first[1:] - 1] == breaks[runs.first[:-1]])
            staging = self._staging(stored, int((runs.stops - runs.starts).max()))
            stored.read(_plan_reads(selection, runs, is_direct, staging))

    def _staging(self, stored: DatasetRows, count: int) -> npt.NDArray[Any]:
        """A buffer of this thread for ``count`` rows that cannot be read straight into the batch."""
        scratch, needed_bytes = self._decoded.pool().scratch(), count * stored.row_bytes
        buffer = scratch if needed_bytes <= len(scratch) else np.empty(needed_bytes, np.uint8)
        return buffer[:needed_bytes].view(stored.dtype).reshape(count, *stored.row_shape)


def _kind_of(source: DatasetColumn) -> type[DatasetRows]:
    """What opens the dataset of a source."""
    return DatasetRows if source.leading == 1 else TrajectoryRows


@dataclass(frozen=True, slots=True, eq=False)
class _Selection:
    """Ascending rows of one dataset, and the slot of ``out`` for each of them; ``to`` writes into it."""

    stored: DatasetRows
    rows: Int64Array
    slots: Int64Array
    out: npt.NDArray[Any]
    to: RowWriter

    def breaks(self) -> Int64Array:
        """For each row, how often up to it a row or its slot did not follow the one before, ``(N,)``."""
        breaks = np.zeros(self.rows.size, dtype=np.int64)
        if self.rows.size > 1:
            is_break = (self.rows[1:] - self.rows[:-1] != 1) | (self.slots[1:] - self.slots[:-1] != 1)
            np.cumsum(is_break, out=breaks[1:])
        return breaks

    def scatter(self, first: int, last: int, values: npt.NDArray[Any], indices: Int64Array) -> None:
        """Copy ``values[indices]``, with ascending indices, to the slots of ``rows[first:last]``."""
        is_all = len(indices) == len(values) and (indices[1:] > indices[:-1]).all()
        self.to.put_values(values if is_all else values[indices], self.slots[first:last], ())


def _plan_reads(
    selection: _Selection, runs: Runs, is_direct: BoolArray, staging: npt.NDArray[Any]
) -> Iterator[tuple[int, int, npt.NDArray[Any]]]:
    """Reads of runs: straight into the buffer if all slots of a run follow each other, else by way of ``staging``."""
    firsts, lasts = runs.first[:-1], runs.first[1:]
    columns = (runs.starts, runs.stops, firsts, lasts, selection.slots[firsts], is_direct)
    for start, stop, first, last, slot, direct in zip(*(column.tolist() for column in columns), strict=True):
        if direct:
            yield start, stop, selection.out[slot : slot + stop - start]
        else:
            values = staging[: stop - start]
            yield start, stop, values
            selection.scatter(first, last, values, selection.rows[first:last] - start)


def _read_scattered(selection: _Selection) -> None:
    is_new = np.concatenate([[True], selection.rows[1:] != selection.rows[:-1]])
    rows, distinct = selection.rows[is_new], np.cumsum(is_new) - 1
    most = max(1, MAX_RUN_BYTES // max(1, selection.stored.row_bytes))
    for start in range(0, len(rows), most):
        values = selection.stored.read_scattered(rows[start : start + most])
        first, last = np.searchsorted(distinct, [start, start + most]).tolist()
        selection.scatter(first, last, values, distinct[first:last] - start)


def _touched(parts: Sequence[ReadRequest]) -> Int64Array:
    """The different rows that some requests read, ascending."""
    return np.unique(np.concatenate([part.by_row().rows for part in parts]))


def _is_scattered(stored: DatasetRows, rows: int, runs: int) -> bool:
    """Whether one selection of the rows takes less time than reading the runs."""
    is_possible = stored.is_selectable and stored.row_bytes <= _MAX_SCATTERED_ROW_BYTES
    return is_possible and 8 + 2 * rows < 5 * runs
