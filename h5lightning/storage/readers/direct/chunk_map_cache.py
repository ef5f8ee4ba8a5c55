"""Finds where the values of datasets lie: the index says it, HDF5 is asked once, or it was found before."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import h5py
from h5py import h5i

from h5lightning.core.monitor import Guard
from h5lightning.errors import BadFileError, FileChangedError, H5LightningError
from h5lightning.planning.catalog.file_stamps import Stamp, explain_change
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.files.raw_file import RawFile
from h5lightning.storage.hdf5.file_checks import stamp
from h5lightning.storage.hdf5.open_dataset import chunk_problem, open_dataset
from h5lightning.storage.hdf5.open_file import hdf5_reason, opened_file
from h5lightning.storage.readers.checks import name_of
from h5lightning.storage.readers.decoded.chunk_cache import ChunkRowSlots
from h5lightning.storage.readers.direct.chunk_map import ChunkMap, NeedsHDF5Error, chunk_map_of, map_chunks
from h5lightning.storage.readers.protocol import DatasetColumn
from h5lightning.storage.readers.records import columns_of
from h5lightning.storage.readers.stored_table import hdf5_reasons

__all__ = ["ChunkMapCache", "ChunkMapEntry"]

_MOST_MAP_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class ChunkMapEntry:
    """Where the values of a dataset lie in the file with this stamp; its slots outlive the open file."""

    chunk_map: ChunkMap
    stamp: Stamp
    slots: ChunkRowSlots

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes: itself, with its key, about 1 KiB."""
        return 1024 + self.chunk_map.nbytes


class ChunkMapCache:
    """The maps that one process knows; any number of threads may use it.

    Args:
        pool: the open files, what was scanned of them, and what may be read.
    """

    def __init__(self, pool: HandlePool) -> None:
        self._pool = pool
        self._entries: OrderedDict[tuple[str, DatasetColumn], ChunkMapEntry] = OrderedDict()
        self._bytes = 0
        self._guard = Guard()
        self._sources: dict[DatasetColumn, None] = {}  # all that were ever asked for
        self._reasons: dict[tuple[str, DatasetColumn], str] = {}

    @property
    def has_reasons(self) -> bool:
        """Whether any dataset is known to need HDF5."""
        return bool(self._reasons)

    def knows(self, file: str, source: DatasetColumn) -> bool:
        """Whether a map was found, or a reason why there is none."""
        return (file, source) in self._entries or (file, source) in self._reasons

    def reason(self, file: str, source: DatasetColumn) -> str:
        """Why only HDF5 can read a dataset; empty if that is not known."""
        return self._reasons.get((file, source), "")

    def find(self, raw: RawFile, source: DatasetColumn) -> ChunkMapEntry:
        """Where the values of a dataset lie, or the records of a table.

        Raises:
            NeedsHDF5Error: only HDF5 can read it; `reason` repeats why.
            BadFileError: the file is damaged.
            FileChangedError: the file or the dataset is not the one that was scanned.
        """
        self._sources.setdefault(source)
        try:
            entry = self._kept(raw, source) or self._scanned(raw, source) or self._ask(raw, source)
        except NeedsHDF5Error as error:
            self._note(raw.path, dict.fromkeys([source, *columns_of(source)], str(error)))
            raise
        reasons = hdf5_reasons(raw.path, source, entry.chunk_map.record)
        self._note(raw.path, reasons)
        for reason in reasons.values():
            raise NeedsHDF5Error(reason)
        return entry

    def _note(self, file: str, reasons: Mapping[DatasetColumn, str]) -> None:
        self._reasons.update({(file, source): reason for source, reason in reasons.items()})

    def _kept(self, raw: RawFile, source: DatasetColumn) -> ChunkMapEntry | None:
        """What was found before, if the file is still the same."""
        entry = self._entries.get((raw.path, source))
        if entry is None:
            return None
        if what := explain_change(raw.stamp, entry.stamp):
            raise FileChangedError(
                f"{raw.path} {what} since it was first read. Do not write to files that a run reads"
            )
        # Only its inode or the time of its status differs: it was linked, renamed or copied.
        return entry if entry.stamp == raw.stamp else None

    def _scanned(self, raw: RawFile, source: DatasetColumn) -> ChunkMapEntry | None:
        """What the index says; None if it says nothing of this very file and type."""
        scanned_files = self._pool.scanned_files
        stored = None if scanned_files is None else scanned_files.stored(raw.path, raw.stamp, source.path)
        if stored is None or stored.schema.element(source.member) != source.dtype:
            return None
        schema, itemsize = stored.schema, stored.extents.itemsize(source.dtype)
        chunk_map = chunk_map_of(stored.extents, schema.shape, schema.chunks, itemsize)
        if chunk_map.pipeline is not None and chunk_problem(chunk_map.chunk_bytes, self._pool.access):
            return None  # opening it with HDF5 refuses it, and says why
        return self._add(raw, source, chunk_map)

    def _ask(self, raw: RawFile, source: DatasetColumn) -> ChunkMapEntry:
        """Ask HDF5 about all sources that were ever asked for, since opening a file takes 0.4 ms."""
        self._pool.verify(raw.path, raw.stamp, raw.fileno(), only_metadata=True)
        self._pool.check_sources(raw.path)
        with opened_file(raw.path, locking=self._pool.access.locking) as file:
            chunk_map = self._map(file, source, raw)
            more = [
                other for other in list(self._sources) if other != source and not self.knows(raw.path, other)
            ]
            also = {other: self._map_or_none(file, other, raw) for other in more}
        if stamp(os.stat(raw.path)) != raw.stamp:
            raise FileChangedError(
                f"{raw.path} was replaced or written to while it was opened. Do not write to files that a run reads"
            )
        for other, other_map in also.items():
            if other_map is not None:
                self._add(raw, other, other_map)
        return self._add(raw, source, chunk_map)

    def _map(self, file: h5py.File, source: DatasetColumn, raw: RawFile) -> ChunkMap:
        access = self._pool.access
        dataset = open_dataset(file, raw.path, source.path, access)
        if access.allow_external is not None and h5i.get_file_id(dataset.id) != file.id:
            raise NeedsHDF5Error("lies in another file")
        try:
            return map_chunks(dataset.id, source, raw)
        except (OSError, RuntimeError) as error:
            if isinstance(error, H5LightningError):
                raise
            raise BadFileError(
                f"{name_of(raw.path, source)} cannot be looked up: {hdf5_reason(error)}. Copy the file again"
            ) from error

    def _map_or_none(self, file: h5py.File, source: DatasetColumn, raw: RawFile) -> ChunkMap | None:
        """As `_map`; an error is raised again when the source is asked for."""
        try:
            return self._map(file, source, raw)
        except (H5LightningError, NeedsHDF5Error):
            return None

    def _add(self, raw: RawFile, source: DatasetColumn, chunk_map: ChunkMap) -> ChunkMapEntry:
        """Keep a map; the oldest ones make room."""
        chunk_rows = -(-chunk_map.shape[0] // chunk_map.chunk_rows) if chunk_map.pipeline is not None else 0
        entry = ChunkMapEntry(chunk_map, raw.stamp, ChunkRowSlots(chunk_rows))
        self._guard.run(self._keep, (raw.path, source), entry)
        return entry

    def _keep(self, key: tuple[str, DatasetColumn], entry: ChunkMapEntry) -> None:
        old = self._entries.pop(key, None)
        self._entries[key] = entry
        self._bytes += entry.nbytes - (old.nbytes if old else 0)
        while self._bytes > _MOST_MAP_BYTES and len(self._entries) > 1:
            self._bytes -= self._entries.popitem(last=False)[1].nbytes
