"""The fast reader: libhdf5 is asked once where the bytes lie, then rows are read without it.

Values that are stored as they are come from a memory map: a gather from it takes as long as one from RAM,
`os.preadv` of 4 KiB three times as long. Filtered chunks are read, decoded without the GIL and kept for the
batches that follow. What is not certain is left to HDF5, with a reason.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.errors import BadFileError, FileChangedError, H5LightningError, UnsupportedFieldError
from h5lightning.guarding import stamp
from h5lightning.handles import HandlePool, OpenFile
from h5lightning.opening import hdf5_reason, open_dataset, open_file
from h5lightning.readers.checks import check_buffer, check_rows, check_whole, name_of
from h5lightning.readers.decoding import Decoding
from h5lightning.readers.delivering import Delivery
from h5lightning.readers.protocol import Reader, RowSource
from h5lightning.readers.raw_file import RawFile
from h5lightning.readers.storage_map import NeedsHDF5Error, StorageMap, map_storage
from h5lightning.readers.stored_tables import Table, stored_table

__all__ = ["DirectReader"]

Int64Array = npt.NDArray[np.int64]

_MOST_MAP_BYTES = 64 * 1024 * 1024


class DirectReader:
    """Reads without HDF5; see `Reader` for ownership and concurrency.

    Args:
        pool: the open files of each process.
        fallback: reads what only HDF5 can read; None to refuse it.
        threads: threads that decode, in each process.
    """

    def __init__(self, pool: HandlePool, *, fallback: Reader | None = None, threads: int = 1) -> None:
        self._pool = pool
        self._fallback = fallback
        self._threads = threads
        self._by_pid: dict[int, _Known] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        make = partial(type(self), fallback=self._fallback, threads=self._threads)
        return make, (self._pool,)

    def read_rows(
        self,
        file: str,
        source: RowSource,
        rows: Int64Array,
        out: npt.NDArray[Any],
        slots: Int64Array | None = None,
    ) -> None:
        """Put row ``rows[i]`` into ``out[slots[i]]``; see `Reader.read_rows`."""
        if out.shape[1:] != source.row_shape:
            check_buffer(file, source, out.shape[1:])
        if not rows.size:
            return
        slots = np.arange(rows.size) if slots is None else slots
        known = self._known()
        if not known.reasons or not known.reason(file, source):
            with self._pool.pinned(RawFile, file) as pinned:
                opened = pinned.kept.get(source) or self._opened(pinned, file, source)
                if opened is not None:
                    opened.read_rows(rows, out, slots)
                    return
        self._library(file, source).read_rows(file, source, rows, out, slots)

    def read_whole(self, file: str, source: RowSource, out: npt.NDArray[Any]) -> None:
        """Put a dataset without a sample axis into ``out``; see `Reader.read_whole`."""
        check_buffer(file, source, out.shape)
        if not self._known().reason(file, source):
            with self._pool.pinned(RawFile, file) as pinned:
                opened = self._opened(pinned, file, source)
                if opened is not None:
                    opened.read_whole(out)
                    return
        self._library(file, source).read_whole(file, source, out)

    def reason(self, file: str, source: RowSource) -> str:
        """Why a dataset is read through HDF5, as what a sentence says of it; empty if it is not.

        Raises:
            BadFileError: the file cannot be read.
        """
        if not self._known().reason(file, source):
            with self._pool.pinned(RawFile, file) as pinned:
                self._opened(pinned, file, source)
        return self._known().reason(file, source)

    def close(self) -> None:
        """Close this process's open files; they are opened again when they are needed."""
        self._known().decoding.close()
        self._by_pid.clear()
        self._pool.close()
        if self._fallback is not None:
            self._fallback.close()

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────

    def _known(self) -> _Known:
        pid = os.getpid()
        known = self._by_pid.get(pid)
        if known is None:
            for other in list(self._by_pid):
                self._by_pid.pop(other, None)
            # setdefault is atomic: a lock might be one that a fork left locked for ever.
            decoding = Decoding(self._pool.access.cache_bytes, self._threads)
            known = self._by_pid.setdefault(pid, _Known(decoding))
        return known

    def _library(self, file: str, source: RowSource) -> Reader:
        if self._fallback is None:
            raise UnsupportedFieldError(
                f"{name_of(file, source)} {self._known().reason(file, source)}: reader='direct' cannot read it. "
                "Use reader='auto', which reads it through h5py"
            )
        return self._fallback

    def _opened(self, pinned: OpenFile, file: str, source: RowSource) -> _Opened | None:
        """The source in an open file; None if only HDF5 can read it."""
        try:
            return pinned.keep(source, partial(self._open, source, self._known()))
        except NeedsHDF5Error as error:
            self._known().reasons[file, source] = str(error)
            return None

    def _open(self, source: RowSource, known: _Known, raw: RawFile) -> _Opened:
        found = known.recall(raw, source) or self._look(source, known, raw)
        if found.storage.pipeline is None:
            return _Opened(
                raw, source, found.storage, stored_table(raw, found.storage, np.dtype(source.dtype))
            )
        table = known.decoding.table(raw, source, found.storage, found.first_slab)
        return _Opened(raw, source, found.storage, table)

    def _look(self, source: RowSource, known: _Known, raw: RawFile) -> _Found:
        """Ask HDF5 where the values lie: of all sources that were ever asked for, since opening takes 0.4 ms."""
        known.sources.setdefault(source)
        with open_file(raw.path, self._pool.access) as file:
            storage = _mapped(file, source, raw)
            others = [other for other in list(known.sources) if not known.has(raw.path, other)]
            also = {other: _mapped_or_none(file, other, raw) for other in others if other != source}
        if stamp(os.stat(raw.path)) != raw.stamp:
            raise FileChangedError(
                f"{raw.path} was replaced or written to while it was opened. Do not write to files that a run reads"
            )
        for other, found in also.items():
            if found is not None:
                known.add(raw, other, found)
        return known.add(raw, source, storage)


def _mapped(file: Any, source: RowSource, raw: RawFile) -> StorageMap:
    dataset = open_dataset(file, raw.path, source.path)
    try:
        return map_storage(dataset.id, source, raw)
    except (OSError, RuntimeError) as error:
        if isinstance(error, H5LightningError):
            raise
        raise BadFileError(
            f"{name_of(raw.path, source)} cannot be looked up: {hdf5_reason(error)}. Copy the file again"
        ) from error


def _mapped_or_none(file: Any, source: RowSource, raw: RawFile) -> StorageMap | None:
    """As `_mapped`; what is wrong will be told when the source is asked for."""
    try:
        return _mapped(file, source, raw)
    except (H5LightningError, NeedsHDF5Error):
        return None


class _Opened:
    """One source in one open file."""

    def __init__(self, raw: RawFile, source: RowSource, storage: StorageMap, table: Table) -> None:
        self._raw = raw
        self._source = source
        self._storage = storage
        self._table = table
        self._dtype = np.dtype(source.dtype)
        self._row_bytes = storage.row_bytes
        self._rows = storage.shape[0] if storage.shape and storage.row_shape == source.row_shape else 0

    def read_rows(self, rows: Int64Array, out: npt.NDArray[Any], slots: Int64Array) -> None:
        first, last = int(np.minimum.reduce(rows)), int(np.maximum.reduce(rows))
        if first < 0 or last >= self._rows:
            check_rows(self._raw.path, self._source, self._storage.shape, first, last)
        self._put(rows, out, slots)

    def read_whole(self, out: npt.NDArray[Any]) -> None:
        check_whole(self._raw.path, self._source, self._storage.shape)
        table = out if out.shape else out.reshape(1)
        every = np.arange(len(table))
        self._put(every, table, every)

    def _put(self, rows: Int64Array, out: npt.NDArray[Any], slots: Int64Array) -> None:
        self._raw.check()
        self._table.put(rows, slots, Delivery(out, self._dtype, self._row_bytes))


# ── what a process knows ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    storage: StorageMap
    stamp: tuple[int, int, int, int]
    first_slab: int


class _Known:
    """The maps of one process, least recently used first; any number of threads."""

    def __init__(self, decoding: Decoding) -> None:
        self.decoding = decoding
        self.sources: dict[RowSource, None] = {}
        self.reasons: dict[tuple[str, RowSource], str] = {}
        self._found: OrderedDict[tuple[str, RowSource], _Found] = OrderedDict()
        self._bytes = 0
        self._slabs = 0
        self._lock = threading.Lock()

    def reason(self, file: str, source: RowSource) -> str:
        """Why only HDF5 can read it; empty if that is not known."""
        return self.reasons.get((file, source), "")

    def has(self, file: str, source: RowSource) -> bool:
        """Whether anything was found."""
        return (file, source) in self._found or (file, source) in self.reasons

    def recall(self, raw: RawFile, source: RowSource) -> _Found | None:
        """What was found before, if the file is still the same."""
        found = self._found.get((raw.path, source))
        if found is None:
            return None
        if found.stamp[:2] != raw.stamp[:2] or found.stamp[3] != raw.stamp[3]:
            raise FileChangedError(
                f"{raw.path} was replaced or written to since it was first read: it has {raw.stamp[0]} bytes, then "
                f"{found.stamp[0]}. Do not write to files that a run reads"
            )
        # Only the time of its status differs: it was linked or renamed, or its times were set back.
        return found if found.stamp == raw.stamp else None

    def add(self, raw: RawFile, source: RowSource, storage: StorageMap) -> _Found:
        """Keep a map, with numbers for its slabs that no other has; the oldest goes when there is too much."""
        with self._lock:
            found = _Found(storage, raw.stamp, self._slabs)
            self._slabs += len(storage.offsets)
            old = self._found.pop((raw.path, source), None)
            self._found[raw.path, source] = found
            self._bytes += _nbytes(storage) - (_nbytes(old.storage) if old else 0)
            while self._bytes > _MOST_MAP_BYTES and len(self._found) > 1:
                self._bytes -= _nbytes(self._found.popitem(last=False)[1].storage)
            return found


def _nbytes(storage: StorageMap) -> int:
    return 1024 + storage.nbytes  # an entry itself, with its key, takes about 1 KiB
