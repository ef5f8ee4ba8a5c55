"""The fast reader: where the bytes lie is known from the scan, or libhdf5 is asked once; rows are read without it.

Values that are stored as they are come from a memory map: a gather from it takes as long as one from RAM,
`os.preadv` of 4 KiB three times as long. Filtered chunks are read, decoded without the GIL and kept for the
batches that follow. What is not certain is left to HDF5, with a reason.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Protocol

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5i

from h5lightning.datasets import chunk_problem, open_dataset
from h5lightning.errors import BadFileError, FileChangedError, H5LightningError, UnsupportedFieldError
from h5lightning.guarding import stamp
from h5lightning.handles import HandlePool, OpenFile
from h5lightning.opening import hdf5_reason, open_file
from h5lightning.readers.checks import check_buffer, check_rows, check_whole, name_of
from h5lightning.readers.decoding import DecodedSlabs, FilteredRows
from h5lightning.readers.delivering import Delivery
from h5lightning.readers.protocol import Reader, RowSource, Take
from h5lightning.readers.raw_file import RawFile
from h5lightning.readers.slab_cache import SlabPlaces
from h5lightning.readers.storage_map import NeedsHDF5Error, StorageMap, map_storage, storage_of
from h5lightning.readers.stored_tables import stored_table
from h5lightning.readers.verified import VerifiedFile, VerifiedRows
from h5lightning.stamps import KnownStamps, explain_change

__all__ = ["DirectReader"]

Int64Array = npt.NDArray[np.int64]

_MOST_MAP_BYTES = 64 * 1024 * 1024


class Joined(Protocol):
    """Rows of one dataset of several open files."""

    def put(self, take: Take, to: Delivery) -> None:
        """Deliver rows of all these files, none of them outside of its dataset.

        Args:
            take: what is wanted of them.
            to: the batch that takes the rows.
        """


class Table(Protocol):
    """Rows of one dataset of one open file."""

    @property
    def group(self) -> object:
        """Tables of the same group can be joined."""

    def joined(self, tables: Sequence[Any]) -> Joined:
        """Tables of this group, to be read together."""


class DirectReader(Reader):
    """Reads without HDF5; see `Reader` for ownership and concurrency.

    Args:
        pool: the open files of each process.
        decoded: decoded slabs, and the threads that decode, of each process.
        fallback: reads what only HDF5 can read; None to refuse it.
    """

    def __init__(
        self, pool: HandlePool, *, decoded: DecodedSlabs | None = None, fallback: Reader | None = None
    ) -> None:
        self._pool = pool
        self._decoded = decoded or DecodedSlabs(pool.access.cache_bytes, threads=1)
        self._fallback = fallback
        self._by_pid: dict[int, _Known] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), decoded=self._decoded, fallback=self._fallback), (self._pool,)

    def read(self, files: Sequence[str], takes: Sequence[Take]) -> None:
        """Fill the buffers of some takes; see `Reader.read`."""
        for take in takes:
            if take.out.shape[1:] != take.source.row_shape:
                check_buffer(files[0], take.source, take.out.shape[1:])
        takes = [take for take in takes if take.rows.size]
        most = self._pool.budget
        for first in range(0, len(files), most):
            some = range(first, min(first + most, len(files)))
            parts = takes if len(some) == len(files) else [take.of(some) for take in takes]
            self._read(files[first : first + most], parts)

    def read_whole(self, file: str, source: RowSource, out: npt.NDArray[Any]) -> None:
        """Put a dataset without a sample axis into ``out``; see `Reader.read_whole`."""
        check_buffer(file, source, out.shape)
        if not self._known().reason(file, source):
            with self._pool.pinned(RawFile, [file]) as (pinned,):
                opened = self._opened(pinned, source)
                if opened is not None:
                    pinned.file.check()
                    opened.read_whole(out)
                    return
        self._library(file, source).read_whole(file, source, out)

    def reason(self, file: str, source: RowSource) -> str:
        """Why a dataset is read through HDF5, as what a sentence says of it; empty if it is not.

        Raises:
            BadFileError: the file cannot be read.
        """
        if not self._known().reason(file, source):
            with self._pool.pinned(RawFile, [file]) as (pinned,):
                self._opened(pinned, source)
        return self._known().reason(file, source)

    def expect(self, known: KnownStamps) -> None:
        """See `Reader.expect`."""
        self.close()
        self._pool.expect(known)

    def close(self) -> None:
        """Close this process's open files; they are opened again when they are needed."""
        self._decoded.close()
        self._by_pid.clear()
        self._pool.close()
        if self._fallback is not None:
            self._fallback.close()

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────

    def _read(self, files: Sequence[str], takes: Sequence[Take]) -> None:
        """Read from files that may be open at the same time."""
        known = self._known()
        if not known.reasons:
            self._read_open(files, takes)
            return
        for take in takes:
            by_library = [place for place, file in enumerate(files) if known.reason(file, take.source)]
            rest = [place for place in range(len(files)) if place not in set(by_library)]
            if rest:
                self._read_open([files[place] for place in rest], [take.of(rest)])
            self._read_by_library(files, by_library, take)

    def _read_open(self, files: Sequence[str], takes: Sequence[Take]) -> None:
        left: list[tuple[list[int], Take]] = []
        with self._pool.pinned(RawFile, files) as pinned:
            for entry in pinned:
                entry.file.check()
            for take in takes:
                together = self._together(pinned, take.source)
                if not together.missing:
                    together.put(take)
                    continue
                left.append((together.missing, take))
                there = [place for place in range(len(files)) if place not in set(together.missing)]
                if there:
                    together.put(take.of(there))
        for places, take in left:
            self._read_by_library(files, places, take)

    def _read_by_library(self, files: Sequence[str], places: Sequence[int], take: Take) -> None:
        if places:
            wanted = [files[place] for place in places]
            self._library(wanted[0], take.source).read(wanted, [take.of(places)])

    def _together(self, pinned: list[OpenFile], source: RowSource) -> _OpenedTogether:
        """The source in some open files, which are often those of the last batch."""
        last = self._known().together.get(source)
        if last is not None and last.pinned == pinned:
            return last
        found = [entry.kept.get(source) or self._opened(entry, source) for entry in pinned]
        together = self._known().together[source] = _OpenedTogether(pinned, found)
        return together

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────

    def _known(self) -> _Known:
        pid = os.getpid()
        known = self._by_pid.get(pid)
        if known is None:
            for other in list(self._by_pid):
                self._by_pid.pop(other, None)
            # setdefault is atomic: a lock might be one that a fork left locked for ever.
            known = self._by_pid.setdefault(pid, _Known())
        return known

    def _library(self, file: str, source: RowSource) -> Reader:
        if self._fallback is None:
            raise UnsupportedFieldError(
                f"{name_of(file, source)} {self._known().reason(file, source)}: reader='direct' cannot read it. "
                "Use reader='auto', which reads it through h5py"
            )
        return self._fallback

    def _opened(self, pinned: OpenFile, source: RowSource) -> _Opened | None:
        """The source in an open file; None if only HDF5 can read it."""
        try:
            return pinned.keep(source, partial(self._open, source, self._known()))
        except NeedsHDF5Error as error:
            self._known().reasons[pinned.file.path, source] = str(error)
            return None

    def _open(self, source: RowSource, known: _Known, raw: RawFile) -> _Opened:
        known.sources.setdefault(source)
        found = known.recall(raw, source) or self._scanned(source, known, raw)
        found = found or self._look(source, known, raw)
        return _Opened(raw, source, found.storage, self._table(raw, source, found))

    def _table(self, raw: RawFile, source: RowSource, found: _Found) -> Table:
        storage = found.storage
        blocks = self._pool.blocks(raw.path, raw.stamp)
        if storage.pipeline is None:
            table = stored_table(raw, storage, np.dtype(source.dtype))
            return (
                table
                if blocks is None
                else VerifiedRows(name_of(raw.path, source), raw, storage, table, blocks)
            )
        decoding = self._decoded.here()
        cache = decoding.cache(storage.chunk_rows, storage.row_bytes)
        file = raw if blocks is None else VerifiedFile(raw, blocks)
        return FilteredRows(file, source, storage, found.places, cache, decoding)

    def _scanned(self, source: RowSource, known: _Known, raw: RawFile) -> _Found | None:
        """Where the values lie, as the index says; None where it says nothing of this very file and type."""
        scanned = self._pool.known
        stored = None if scanned is None else scanned.stored(raw.path, raw.stamp, source.path)
        if stored is None or stored.schema.element(source.member) != source.dtype:
            return None
        schema, itemsize = stored.schema, np.dtype(source.dtype).itemsize
        storage = storage_of(stored.extents, schema.shape, schema.chunks, itemsize)
        if storage.pipeline is not None and chunk_problem(storage.chunk_bytes, self._pool.access):
            return None  # which is refused in the words of whoever opens it with HDF5
        return known.add(raw, source, storage)

    def _look(self, source: RowSource, known: _Known, raw: RawFile) -> _Found:
        """Ask HDF5 where the values lie: of all sources that were ever asked for, since opening takes 0.4 ms."""
        self._pool.verify(raw.path, raw.stamp, raw.fileno(), only_others=True)
        with open_file(raw.path, self._pool.access) as file:
            storage = self._mapped(file, source, raw)
            others = [other for other in list(known.sources) if not known.has(raw.path, other)]
            also = {other: self._mapped_or_none(file, other, raw) for other in others if other != source}
        if stamp(os.stat(raw.path)) != raw.stamp:
            raise FileChangedError(
                f"{raw.path} was replaced or written to while it was opened. Do not write to files that a run reads"
            )
        for other, found in also.items():
            if found is not None:
                known.add(raw, other, found)
        return known.add(raw, source, storage)

    def _mapped(self, file: h5py.File, source: RowSource, raw: RawFile) -> StorageMap:
        access = self._pool.access
        dataset = open_dataset(file, raw.path, source.path, access)
        if access.allow_external is not None and h5i.get_file_id(dataset.id) != file.id:
            raise NeedsHDF5Error("lies in another file")
        try:
            return map_storage(dataset.id, source, raw)
        except (OSError, RuntimeError) as error:
            if isinstance(error, H5LightningError):
                raise
            raise BadFileError(
                f"{name_of(raw.path, source)} cannot be looked up: {hdf5_reason(error)}. Copy the file again"
            ) from error

    def _mapped_or_none(self, file: h5py.File, source: RowSource, raw: RawFile) -> StorageMap | None:
        """As `_mapped`; what is wrong will be told when the source is asked for."""
        try:
            return self._mapped(file, source, raw)
        except (H5LightningError, NeedsHDF5Error):
            return None


class _Opened:
    """One source in one open file.

    Args:
        raw: the open file.
        source: what is read.
        storage: where it lies.
        table: its rows.
    """

    __slots__ = ("raw", "rows", "source", "storage", "table")

    def __init__(self, raw: RawFile, source: RowSource, storage: StorageMap, table: Table) -> None:
        self.raw = raw
        self.source = source
        self.storage = storage
        self.table = table
        # None if they are not what was scanned.
        self.rows = storage.shape[0] if storage.shape and storage.row_shape == source.row_shape else 0

    def check_rows(self, rows: Int64Array) -> None:
        """Raise unless it has the rows."""
        if rows.size and (rows.min() < 0 or rows.max() >= self.rows):
            check_rows(self.raw.path, self.source, self.storage.shape, int(rows.min()), int(rows.max()))

    def read_whole(self, out: npt.NDArray[Any]) -> None:
        """Read all of a dataset without a sample axis."""
        check_whole(self.raw.path, self.source, self.storage.shape)
        table = out if out.shape else out.reshape(1)
        every = np.arange(len(table))
        take = Take(self.source, np.asarray([0, len(every)]), every, every, table)
        to = Delivery(table, np.dtype(self.source.dtype), self.storage.row_bytes)
        self.table.joined([self.table]).put(take, to)


class _OpenedTogether:
    """One source in the open files of a batch.

    Args:
        pinned: the open files.
        found: the source in each of them; None where only HDF5 can read it.
    """

    def __init__(self, pinned: list[OpenFile], found: Sequence[_Opened | None]) -> None:
        self.pinned = pinned
        self.missing = [place for place, one in enumerate(found) if one is None]
        self._opened = [one for one in found if one is not None]
        self._rows = np.asarray([one.rows for one in self._opened], np.int64)
        by_group: dict[object, list[int]] = {}
        for place, one in enumerate(self._opened):
            by_group.setdefault(one.table.group, []).append(place)
        self._groups = [(self._joined(places), places) for places in by_group.values()]

    def put(self, take: Take) -> None:
        """Deliver rows of the files in which it was found."""
        if not take.rows.size:
            return
        most = self._rows.repeat(take.sizes)
        if int(np.minimum.reduce(take.rows)) < 0 or np.greater_equal(take.rows, most).any():
            for one, (start, stop) in zip(self._opened, pairwise(take.borders.tolist()), strict=True):
                one.check_rows(take.rows[start:stop])
        to = Delivery(take.out, np.dtype(take.source.dtype), self._opened[0].storage.row_bytes)
        for joined, places in self._groups:
            part = take if len(self._groups) == 1 else take.of(places)
            if part.rows.size:
                joined.put(part, to)

    def _joined(self, places: Sequence[int]) -> Joined:
        tables = [self._opened[place].table for place in places]
        return tables[0].joined(tables)


# ── what a process knows ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    storage: StorageMap
    stamp: tuple[int, int, int, int]
    places: SlabPlaces


class _Known:
    """The maps of one process, least recently used first; any number of threads."""

    def __init__(self) -> None:
        self.sources: dict[RowSource, None] = {}
        self.reasons: dict[tuple[str, RowSource], str] = {}
        self.together: dict[RowSource, _OpenedTogether] = {}
        self._found: OrderedDict[tuple[str, RowSource], _Found] = OrderedDict()
        self._bytes = 0
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
        if what := explain_change(raw.stamp, found.stamp):
            raise FileChangedError(
                f"{raw.path} {what} since it was first read. Do not write to files that a run reads"
            )
        # Only its inode or the time of its status differs: it was linked, renamed or copied.
        return found if found.stamp == raw.stamp else None

    def add(self, raw: RawFile, source: RowSource, storage: StorageMap) -> _Found:
        """Keep a map; the oldest goes when there is too much."""
        slabs = -(-storage.shape[0] // storage.chunk_rows) if storage.pipeline is not None else 0
        found = _Found(storage, raw.stamp, np.full(slabs, -1, np.int32))
        with self._lock:
            old = self._found.pop((raw.path, source), None)
            self._found[raw.path, source] = found
            self._bytes += _nbytes(storage) - (_nbytes(old.storage) if old else 0)
            while self._bytes > _MOST_MAP_BYTES and len(self._found) > 1:
                self._bytes -= _nbytes(self._found.popitem(last=False)[1].storage)
            return found


def _nbytes(storage: StorageMap) -> int:
    return 1024 + storage.nbytes  # an entry itself, with its key, takes about 1 KiB
