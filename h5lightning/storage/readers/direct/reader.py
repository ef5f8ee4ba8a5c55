"""The fast reader: where the bytes lie is known from the scan, or libhdf5 is asked once; rows are read without it.

Values that are stored as they are come from a memory map: a gather from it takes as long as one from RAM,
`os.preadv` of 4 KiB three times as long, which is for network file systems. Filtered chunks are read, decoded without
the GIL and kept for the batches that follow. What is not certain is left to HDF5, with a reason.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5i

from h5lightning.core.arrays import Int64Array
from h5lightning.core.process_local import ProcessLocal, remade
from h5lightning.errors import BadFileError, FileChangedError, H5LightningError, UnsupportedFieldError
from h5lightning.planning.catalog.file_stamps import ScannedFiles
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.files.open_files import OpenFile
from h5lightning.storage.files.raw_file import RawFile
from h5lightning.storage.hdf5.file_checks import stamp
from h5lightning.storage.hdf5.open_dataset import chunk_problem, open_dataset
from h5lightning.storage.hdf5.open_file import hdf5_reason, opened_file
from h5lightning.storage.readers.checks import check_buffer, name_of
from h5lightning.storage.readers.decoded.cached_rows import DecodedChunkRows, FilteredRows
from h5lightning.storage.readers.direct.chunk_map import ChunkMap, NeedsHDF5Error, map_storage, storage_of
from h5lightning.storage.readers.direct.chunk_map_cache import ChunkMapCache, ChunkMapEntry
from h5lightning.storage.readers.direct.open_sources import EmptyRows, OpenedSource, OpenSourceGroup, Table
from h5lightning.storage.readers.direct.unfiltered_rows import unfiltered_table
from h5lightning.storage.readers.direct.verified_rows import VerifiedFile
from h5lightning.storage.readers.protocol import DatasetColumn, Reader, ReadRequest

__all__ = ["DirectReader"]


class DirectReader(Reader):
    """Reads without HDF5; see `Reader` for ownership and concurrency.

    Args:
        pool: the open files of each process.
        decoded: decoded slabs, and the threads that decode, of each process.
        fallback: reads what only HDF5 can read; None to refuse it.
    """

    def __init__(
        self, pool: HandlePool, *, decoded: DecodedChunkRows | None = None, fallback: Reader | None = None
    ) -> None:
        self._pool = pool
        self._decoded = decoded or DecodedChunkRows(pool.access.cache_bytes, threads=1)
        self._fallback = fallback
        self._local: ProcessLocal[ChunkMapCache] = ProcessLocal()

    def __reduce__(self) -> tuple[Any, ...]:
        named = {"pool": self._pool, "decoded": self._decoded, "fallback": self._fallback}
        return remade, (type(self), named)

    def read(self, files: Sequence[str], takes: Sequence[ReadRequest]) -> None:
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

    def is_there(
        self, files: Sequence[str], takes: Sequence[ReadRequest], *, only_remote: bool = False
    ) -> bool:
        """Whether `will_need` would change nothing; see `Reader.is_there`."""
        return all(
            self._with_each(file, place, takes, partial(_are_there, only_remote=only_remote))
            for place, file in enumerate(files)
        )

    def will_need(
        self, files: Sequence[str], takes: Sequence[ReadRequest], *, only_remote: bool = False
    ) -> None:
        """Let the system fetch what some takes lie in; see `Reader.will_need`."""
        for place, file in enumerate(files):
            self._with_each(file, place, takes, partial(_will_need, only_remote=only_remote))

    def read_whole(self, file: str, source: DatasetColumn, out: npt.NDArray[Any]) -> None:
        """Put a dataset without a sample axis into ``out``; see `Reader.read_whole`."""
        check_buffer(file, source, out.shape)
        if self._known().reason(file, source) or not self._with_opened(
            file, source, partial(_read_whole, out)
        ):
            self._library(file, source).read_whole(file, source, out)

    def reason(self, file: str, source: DatasetColumn) -> str:
        """Why a dataset is read through HDF5, as what a sentence says of it; empty if it is not.

        Raises:
            BadFileError: the file cannot be read.
        """
        if not self._known().reason(file, source):
            self._with_opened(file, source, bool)
        return self._known().reason(file, source)

    def expect(self, known: ScannedFiles) -> None:
        """See `Reader.expect`."""
        self.close()
        self._pool.expect(known)

    def close(self) -> None:
        """Close this process's open files; they are opened again when they are needed."""
        self._decoded.close()
        self._local.forget()
        self._pool.close()
        if self._fallback is not None:
            self._fallback.close()

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────

    def _read(self, files: Sequence[str], takes: Sequence[ReadRequest]) -> None:
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

    def _read_open(self, files: Sequence[str], takes: Sequence[ReadRequest]) -> None:
        left = self._pool.using_files(RawFile, files, partial(self._put, takes))
        for places, take in left:
            self._read_by_library(files, places, take)

    def _put(
        self, takes: Sequence[ReadRequest], pinned: list[OpenFile]
    ) -> list[tuple[list[int], ReadRequest]]:
        """Read from open files; the takes, and the places of their files, that only HDF5 can read."""
        left: list[tuple[list[int], ReadRequest]] = []
        for entry in pinned:
            entry.file.check()
        for take in takes:
            together = self._together(pinned, take.source)
            if not together.missing:
                together.put(take)
                continue
            left.append((together.missing, take))
            there = [place for place in range(len(pinned)) if place not in set(together.missing)]
            if there:
                together.put(take.of(there))
        return left

    def _read_by_library(self, files: Sequence[str], places: Sequence[int], take: ReadRequest) -> None:
        if places:
            wanted = [files[place] for place in places]
            self._library(wanted[0], take.source).read(wanted, [take.of(places)])

    def _with_opened(
        self, file: str, source: DatasetColumn, function: Callable[[OpenedSource], bool]
    ) -> bool:
        """What a function says of a source in an open file; False, without a call, if only HDF5 can read it."""

        def use(pinned: list[OpenFile]) -> bool:
            opened = self._opened(pinned[0], source)
            return opened is not None and function(opened)

        return self._pool.using_files(RawFile, [file], use)

    def _with_each(
        self,
        file: str,
        place: int,
        takes: Sequence[ReadRequest],
        function: Callable[[OpenedSource, Int64Array], bool],
    ) -> bool:
        """Whether a function says so of each source that is read here of a file, and the rows that are wanted of it."""

        def use(pinned: list[OpenFile]) -> bool:
            for take in takes:
                start, stop = take.borders[place : place + 2].tolist()
                opened = self._opened(pinned[0], take.source) if start < stop else None
                if opened is not None and not function(opened, take.rows[start:stop]):
                    return False
            return True

        return self._pool.using_files(RawFile, [file], use)

    def _together(self, pinned: list[OpenFile], source: DatasetColumn) -> OpenSourceGroup:
        """The source in some open files, which are often those of the last batch."""
        last = self._known().together.get(source)
        if last is not None and last.pinned == pinned:
            return last
        found = [entry.kept.get(source) or self._opened(entry, source) for entry in pinned]
        together = self._known().together[source] = OpenSourceGroup(pinned, found)
        return together

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────

    def _known(self) -> ChunkMapCache:
        return self._local.get(ChunkMapCache)

    def _library(self, file: str, source: DatasetColumn) -> Reader:
        if self._fallback is None:
            raise UnsupportedFieldError(
                f"{name_of(file, source)} {self._known().reason(file, source)}: reader='direct' cannot read it. "
                "Use reader='auto', which reads it through h5py"
            )
        return self._fallback

    def _opened(self, pinned: OpenFile, source: DatasetColumn) -> OpenedSource | None:
        """The source in an open file; None if only HDF5 can read it."""
        try:
            return pinned.keep(source, partial(self._open, source, self._known()))
        except NeedsHDF5Error as error:
            self._known().reasons[pinned.file.path, source] = str(error)
            return None

    def _open(self, source: DatasetColumn, known: ChunkMapCache, raw: RawFile) -> OpenedSource:
        known.sources.setdefault(source)
        found = known.recall(raw, source) or self._scanned(source, known, raw)
        found = found or self._look(source, known, raw)
        return OpenedSource(raw, source, found.storage, self._table(raw, source, found))

    def _table(self, raw: RawFile, source: DatasetColumn, found: ChunkMapEntry) -> Table:
        storage, decoding = found.storage, self._decoded.here()
        if 0 in storage.shape:
            return EmptyRows()
        blocks = self._pool.blocks(raw.path, raw.stamp)
        if storage.pipeline is None:
            return unfiltered_table(
                raw,
                storage,
                np.dtype(source.dtype),
                name_of(raw.path, source),
                blocks=blocks,
                memory_map=self._pool.access.memory_map,
                scratch=decoding.scratch,
            )
        cache = decoding.cache(storage.chunk_rows, storage.row_bytes)
        file = raw if blocks is None else VerifiedFile(raw, blocks)
        return FilteredRows(file, source, storage, found.places, cache, decoding)

    def _scanned(self, source: DatasetColumn, known: ChunkMapCache, raw: RawFile) -> ChunkMapEntry | None:
        """Where the values lie, as the index says; None where it says nothing of this very file and type."""
        scanned = self._pool.scanned_files
        stored = None if scanned is None else scanned.stored(raw.path, raw.stamp, source.path)
        if stored is None or stored.schema.element(source.member) != source.dtype:
            return None
        schema, itemsize = stored.schema, np.dtype(source.dtype).itemsize
        storage = storage_of(stored.extents, schema.shape, schema.chunks, itemsize)
        if storage.pipeline is not None and chunk_problem(storage.chunk_bytes, self._pool.access):
            return None  # which is refused in the words of whoever opens it with HDF5
        return known.add(raw, source, storage)

    def _look(self, source: DatasetColumn, known: ChunkMapCache, raw: RawFile) -> ChunkMapEntry:
        """Ask HDF5 where the values lie: of all sources that were ever asked for, since opening takes 0.4 ms."""
        self._pool.verify(raw.path, raw.stamp, raw.fileno(), only_others=True)
        self._pool.check_sources(raw.path)
        with opened_file(raw.path, locking=self._pool.access.locking) as file:
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

    def _mapped(self, file: h5py.File, source: DatasetColumn, raw: RawFile) -> ChunkMap:
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

    def _mapped_or_none(self, file: h5py.File, source: DatasetColumn, raw: RawFile) -> ChunkMap | None:
        """As `_mapped`; what is wrong will be told when the source is asked for."""
        try:
            return self._mapped(file, source, raw)
        except (H5LightningError, NeedsHDF5Error):
            return None


def _are_there(opened: OpenedSource, rows: Int64Array, *, only_remote: bool) -> bool:
    return opened.is_there(rows, only_remote=only_remote)


def _will_need(opened: OpenedSource, rows: Int64Array, *, only_remote: bool) -> bool:
    opened.will_need(rows, only_remote=only_remote)
    return True


def _read_whole(out: npt.NDArray[Any], opened: OpenedSource) -> bool:
    opened.raw.check()
    opened.read_whole(out)
    return True
