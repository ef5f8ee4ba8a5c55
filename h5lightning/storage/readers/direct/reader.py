"""The fast reader: the scan says where the bytes lie, or HDF5 is asked once; rows are read without HDF5.

Values that are stored as they are come from a memory map: a gather from it takes as long as one from RAM, while
`os.preadv` of 4 KiB takes three times as long and is kept for network file systems. Filtered chunks are read, decoded
without the GIL and kept for the next batches. Datasets with any doubt are left to HDF5, with a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from h5lightning.core.process_local import ProcessLocal, remade
from h5lightning.errors import UnsupportedFieldError
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.files.open_files import OpenFile
from h5lightning.storage.files.raw_file import RawFile
from h5lightning.storage.readers.checks import check_buffer, name_of
from h5lightning.storage.readers.decoded.decode_pool import DecodedChunkRows
from h5lightning.storage.readers.direct.chunk_map import NeedsHDF5Error
from h5lightning.storage.readers.direct.chunk_map_cache import ChunkMapCache
from h5lightning.storage.readers.direct.open_source import OpenSource
from h5lightning.storage.readers.direct.source_group import OpenSourceGroup, read_whole
from h5lightning.storage.readers.protocol import DatasetColumn, Reader, ReadRequest
from h5lightning.storage.readers.records import combined, each_column, together

__all__ = ["DirectReader", "Unread"]

Unread: TypeAlias = tuple[list[str], list[ReadRequest]]  # files, and what only HDF5 can read of them


class DirectReader(Reader):
    """Reads without HDF5; see `Reader` for ownership and concurrency.

    Args:
        pool: the open files of each process.
        decoded: caches and threads that decode, of each process; None for a cache for this reader alone.
    """

    def __init__(self, pool: HandlePool, *, decoded: DecodedChunkRows | None = None) -> None:
        self._pool = pool
        self._decoded = decoded or DecodedChunkRows(pool.access.cache_bytes, threads=1)
        self._local_maps: ProcessLocal[ChunkMapCache] = ProcessLocal()
        # The groups of the last batch.
        self._local_groups: ProcessLocal[dict[DatasetColumn, OpenSourceGroup]] = ProcessLocal()

    def __reduce__(self) -> tuple[Any, ...]:
        return remade, (type(self), {"pool": self._pool, "decoded": self._decoded})

    def read(self, files: Sequence[str], requests: Sequence[ReadRequest]) -> None:
        """Fill the buffers of some requests; see `Reader.read`.

        Raises:
            UnsupportedFieldError: only HDF5 can read a dataset.
        """
        unread = self.read_possible(files, requests)
        if unread:
            paths, refused = unread[0]
            raise self._unsupported(paths[0], refused[0].source)

    def read_possible(self, files: Sequence[str], requests: Sequence[ReadRequest]) -> list[Unread]:
        """Fill the buffers as far as HDF5 is not needed; see `Reader.read`.

        Returns:
            What only HDF5 can read.
        """
        for request in requests:
            if request.out.shape[1:] != request.source.row_shape:
                check_buffer(files[0], request.source, request.out.shape[1:])
        requests = [request for request in requests if request.rows.size]
        budget = self._pool.budget
        if len(files) <= budget:
            return self._read(files, requests)
        unread: list[Unread] = []
        for first in range(0, len(files), budget):
            part = range(first, min(first + budget, len(files)))
            unread += self._read(files[first : first + budget], [request.of(part) for request in requests])
        return unread

    def prefetch(
        self, files: Sequence[str], requests: Sequence[ReadRequest], *, only_remote: bool, is_probe: bool
    ) -> bool:
        """Ask the system to fetch what some requests will read; see `Reader.prefetch`."""
        requests = combined(requests)
        cold = (
            self._pool.using_files([file], partial(self._prefetch, number, requests, only_remote, is_probe))
            for number, file in enumerate(files)
        )
        return any(cold) if is_probe else any(list(cold))

    def read_whole(self, file: str, source: DatasetColumn, out: npt.NDArray[Any]) -> None:
        """Put a dataset without a sample axis into ``out``; see `Reader.read_whole`.

        Raises:
            UnsupportedFieldError: only HDF5 can read it.
        """
        if not self.try_read_whole(file, source, out):
            raise self._unsupported(file, source)

    def try_read_whole(self, file: str, source: DatasetColumn, out: npt.NDArray[Any]) -> bool:
        """As `read_whole`, but False if only HDF5 can read the dataset."""
        check_buffer(file, source, out.shape)

        def read(opened: OpenSource) -> None:
            opened.raw.check()
            read_whole(opened, out, self._decoded.pool())

        return not self._maps().reason(file, source) and self._with_opened(file, together(source), read)

    def reason(self, file: str, source: DatasetColumn) -> str:
        """Why only HDF5 can read a dataset, to follow its name: "is virtual"; empty if HDF5 is not needed.

        Raises:
            BadFileError: the file cannot be read.
        """
        if not self._maps().reason(file, source):
            self._with_opened(file, together(source), lambda _: None)
        return self._maps().reason(file, source)

    def close(self) -> None:
        """Close this process's open files; they are opened again when they are needed."""
        self._decoded.pool().close()
        self._local_maps.forget()
        self._local_groups.forget()
        self._pool.close()

    def _read(self, files: Sequence[str], requests: Sequence[ReadRequest]) -> list[Unread]:
        """Read from files that may be open at the same time."""
        maps = self._maps()
        if not maps.has_reasons:
            return self._read_open(files, requests)
        by_possible: dict[tuple[bool, ...], list[ReadRequest]] = {}
        for request in requests:
            is_possible = tuple(not maps.reason(file, request.source) for file in files)
            by_possible.setdefault(is_possible, []).append(request)
        unread: list[Unread] = []
        for is_possible, group in by_possible.items():
            possible = np.flatnonzero(is_possible).tolist()
            if possible:
                parts = [request.of(possible) for request in group]
                unread += self._read_open([files[number] for number in possible], parts)
            unread += _unread(files, np.flatnonzero(np.logical_not(is_possible)).tolist(), group)
        return unread

    def _read_open(self, files: Sequence[str], requests: Sequence[ReadRequest]) -> list[Unread]:
        return self._pool.using_files(files, partial(self._put, files, requests))

    def _put(
        self, files: Sequence[str], requests: Sequence[ReadRequest], pinned: list[OpenFile]
    ) -> list[Unread]:
        """Read from open files."""
        unread: list[Unread] = []
        for entry in pinned:
            entry.file.check()
        for request in combined(requests):
            group = self._group(pinned, request.source)
            if not group.missing:
                group.put(request)
                continue
            unread += _unread(files, group.missing, each_column(request))
            possible = [number for number in range(len(pinned)) if number not in set(group.missing)]
            if possible:
                group.put(request.of(possible))
        return unread

    def _prefetch(
        self,
        number: int,
        requests: Sequence[ReadRequest],
        only_remote: bool,
        is_probe: bool,
        pinned: list[OpenFile],
    ) -> bool:
        """Ask for what requests will read of one open file, the one of this number; see `prefetch`."""
        is_cold = False
        for request in requests:
            start, stop = request.borders[number : number + 2].tolist()
            opened = self._opened(pinned[0], request.source) if start < stop else None
            if opened is not None:
                rows = request.rows[start:stop]
                is_cold |= opened.prefetch(rows, only_remote=only_remote, is_probe=is_probe)
        return is_cold

    def _group(self, pinned: list[OpenFile], source: DatasetColumn) -> OpenSourceGroup:
        """The source in some open files, which are often those of the last batch."""
        groups = self._local_groups.get(dict)
        last = groups.get(source)
        if last is not None and last.pinned == pinned:
            return last
        sources = [entry.kept.get(source) or self._opened(entry, source) for entry in pinned]
        group = groups[source] = OpenSourceGroup(pinned, sources, self._decoded.pool())
        return group

    def _maps(self) -> ChunkMapCache:
        return self._local_maps.get(lambda: ChunkMapCache(self._pool))

    def _with_opened(self, file: str, source: DatasetColumn, function: Callable[[OpenSource], None]) -> bool:
        """Call a function with a source in an open file; False, without a call, if only HDF5 can read it."""

        def use(pinned: list[OpenFile]) -> bool:
            opened = self._opened(pinned[0], source)
            if opened is not None:
                function(opened)
            return opened is not None

        return self._pool.using_files([file], use)

    def _opened(self, pinned: OpenFile, source: DatasetColumn) -> OpenSource | None:
        """The source in an open file; None if only HDF5 can read it."""
        try:
            return pinned.keep(source, partial(self._open, source, self._maps()))
        except NeedsHDF5Error:
            return None

    def _open(self, source: DatasetColumn, maps: ChunkMapCache, raw: RawFile) -> OpenSource:
        entry = maps.find(raw, source)
        return OpenSource(
            raw,
            source,
            entry.chunk_map,
            entry.slots,
            blocks=None if 0 in entry.chunk_map.shape else self._pool.blocks(raw.path, raw.stamp),
            pool=self._decoded.pool(),
            memory_map=self._pool.access.memory_map,
        )

    def _unsupported(self, file: str, source: DatasetColumn) -> UnsupportedFieldError:
        return UnsupportedFieldError(
            f"{name_of(file, source)} {self._maps().reason(file, source)}: reader='direct' cannot read it. "
            "Use reader='auto', which reads it through h5py"
        )


def _unread(files: Sequence[str], numbers: Sequence[int], requests: Sequence[ReadRequest]) -> list[Unread]:
    if not numbers:
        return []
    return [([files[number] for number in numbers], [request.of(numbers) for request in requests])]
