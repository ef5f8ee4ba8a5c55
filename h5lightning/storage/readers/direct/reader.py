"""The fast reader: the scan says where the bytes lie, or HDF5 is asked once; rows are read without HDF5.

Values that are stored as they are come from a memory map: a gather from it takes as long as one from RAM, while
`os.preadv` of 4 KiB takes three times as long and is kept for network file systems. Filtered chunks are read, decoded
without the GIL and kept for the next batches. Datasets with any doubt are left to HDF5, with a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.core.process_local import ProcessLocal, remade
from h5lightning.errors import UnsupportedFieldError
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.files.raw_files import FileBatch, KnownFiles
from h5lightning.storage.readers.box_checks import (
    boxes_by_source,
    check_box_requests,
    column_of,
    touched_files,
)
from h5lightning.storage.readers.box_request import BoxRequest
from h5lightning.storage.readers.checks import check_buffer, name_of
from h5lightning.storage.readers.decoded.cached_rows import CachedRows
from h5lightning.storage.readers.decoded.chunk_cache import ChunkRowCache
from h5lightning.storage.readers.decoded.decode_pool import DecodedChunkRows
from h5lightning.storage.readers.direct.box_prefetch import prefetch_boxes
from h5lightning.storage.readers.direct.filtered_rows import FilteredRows
from h5lightning.storage.readers.direct.known_columns import KnownColumns
from h5lightning.storage.readers.direct.known_source import KnownSource
from h5lightning.storage.readers.direct.open_source import OpenSource
from h5lightning.storage.readers.direct.source_group import read_whole
from h5lightning.storage.readers.protocol import DatasetColumn, Reader, ReadRequest
from h5lightning.storage.readers.records import combined, each_column, together
from h5lightning.storage.readers.series_parts import (
    SeriesParts,
    chosen_parts,
    distinct_files,
    one_part,
    path_of,
)
from h5lightning.storage.readers.shared_rows import by_source

__all__ = ["DirectReader", "Unread"]

# Files, and requests for one source that only HDF5 can read in them.
Unread: TypeAlias = tuple[Sequence[str], list[ReadRequest]]
UnreadBoxes: TypeAlias = tuple[Sequence[str], list[BoxRequest]]

T = TypeVar("T")


class DirectReader(Reader):
    """Reads without HDF5; see `Reader` for ownership and concurrency.

    Args:
        pool: the open files of each process.
        decoded: caches and threads that decode, of each process; None for a cache for this reader alone.
    """

    def __init__(self, pool: HandlePool, *, decoded: DecodedChunkRows | None = None) -> None:
        self._pool = pool
        self._decoded = decoded or DecodedChunkRows(pool.access.cache_bytes, threads=1)
        self._local: ProcessLocal[KnownColumns] = ProcessLocal()

    @property
    def pool(self) -> HandlePool:
        """See `Reader.pool`."""
        return self._pool

    def __reduce__(self) -> tuple[Any, ...]:
        return remade, (type(self), {"pool": self._pool, "decoded": self._decoded})

    def read(self, files: Sequence[str], requests: Sequence[ReadRequest]) -> None:
        """Fill the buffers of some requests; see `Reader.read`.

        Raises:
            UnsupportedFieldError: only HDF5 can read a dataset.
        """
        for paths, unread in self.read_possible(files, requests):
            for request in unread:
                if reason := self.reason(one_part(paths, 0), request.source):
                    raise _unsupported(one_part(paths, 0), request.source, reason)

    def read_possible(self, files: Sequence[str], requests: Sequence[ReadRequest]) -> list[Unread]:
        """Fill the buffers as far as HDF5 is not needed; see `Reader.read`.

        Returns:
            What only HDF5 can read.
        """
        for request in requests:
            check_buffer(files[0], request.source, request.out.shape[1:], request.entry_shape)
        requests = [request for request in requests if request.rows.size]
        most = self._pool.raw_files.most_at_once
        if len(distinct_files(files)) <= most:
            return self._read(files, requests)
        unread: list[Unread] = []
        for part in _parts_of(files, most):
            unread += self._read(chosen_parts(files, part), [request.of(part) for request in requests])
        return unread

    def prefetch(
        self, files: Sequence[str], requests: Sequence[ReadRequest], *, only_remote: bool, is_probe: bool
    ) -> bool:
        """Ask the system to fetch what some requests will read; see `Reader.prefetch`."""
        requests = self._by_table(requests)
        cold = (
            self._prefetch(one_part(files, number), number, requests, only_remote, is_probe)
            for number in range(len(files))
        )
        return any(cold) if is_probe else any(list(cold))

    def read_whole(self, file: str | SeriesParts, source: DatasetColumn, out: npt.NDArray[Any]) -> None:
        """Put a dataset without a sample axis into ``out``; see `Reader.read_whole`.

        Raises:
            UnsupportedFieldError: only HDF5 can read it.
        """
        if not self.try_read_whole(file, source, out):
            raise _unsupported(file, source, self.reason(file, source))

    def try_read_whole(self, file: str | SeriesParts, source: DatasetColumn, out: npt.NDArray[Any]) -> bool:
        """As `read_whole`, but False if only HDF5 can read the dataset."""
        path = path_of(file)
        check_buffer(path, source, out.shape)
        batch = self._pool.raw_files.checked([path])
        columns = self._columns(batch.known)
        known = columns.maps.find(batch.files[0], together(source), columns.part(batch, file))
        if known is not None and not known.read_piece(out):
            mapped = batch.mapped(self._pool.access.memory_map).maps[0] if known.may_be_mapped else None
            read_whole(OpenSource(known, mapped), out, self._decoded.pool())
        return known is not None

    def reason(self, file: str | SeriesParts, source: DatasetColumn) -> str:
        """Why only HDF5 can read a dataset, to follow its name: "is virtual"; empty if HDF5 is not needed.

        Args:
            file: the path of the file, or one of the `SeriesParts`.
            source: the dataset.

        Raises:
            BadFileError: the file cannot be read.
        """
        path, source = path_of(file), together(source)
        files, raw = self._pool.raw_files.one(path)
        columns = self._columns(files)
        part = columns.part(FileBatch(files, [raw]), file)
        return (
            ""
            if columns.maps.find(raw, source, part) is not None
            else columns.maps.reason(path, source, part)
        )

    def read_boxes(self, files: Sequence[str], requests: Sequence[BoxRequest]) -> None:
        """Fill the buffers of some requests for boxes; see `Reader.read_boxes`.

        Raises:
            UnsupportedFieldError: only HDF5 can read a dataset.
        """
        for paths, unread in self.read_boxes_possible(files, requests):
            file, source = one_part(paths, 0), column_of(unread[0].source)
            raise _unsupported(file, source, self.reason(file, source))

    def read_boxes_possible(self, files: Sequence[str], requests: Sequence[BoxRequest]) -> list[UnreadBoxes]:
        """Fill the buffers as far as HDF5 is not needed; see `Reader.read_boxes`.

        Returns:
            What only HDF5 can read: files, and requests for boxes of them.
        """
        check_box_requests(files[0] if len(files) else "", requests)
        requests = [request for request in requests if len(request.slots)]
        unread: list[UnreadBoxes] = []
        for part in _parts_of(files, self._pool.raw_files.most_at_once) if requests else ():
            if len(part) == len(files):
                unread += self._read_boxes(files, requests)
            else:
                unread += self._read_boxes(chosen_parts(files, part), [one.of(part) for one in requests])
        return unread

    def _read_boxes(self, files: Sequence[str], requests: Sequence[BoxRequest]) -> list[UnreadBoxes]:
        """Read boxes from files that may be mapped at the same time."""
        batch, unread = self._pool.raw_files.checked(distinct_files(files)), list[UnreadBoxes]()
        columns = self._columns(batch.known)
        places = columns.parts(batch, files) if isinstance(files, SeriesParts) else batch
        for source, same in boxes_by_source(requests, columns.maps.separate).items():
            missing = columns.box_group(places, source).put_all(same)
            if missing:
                unread.append((chosen_parts(files, missing), [one.of(missing) for one, _ in same]))
        return unread

    def prefetch_boxes(
        self, files: Sequence[str], requests: Sequence[BoxRequest], *, only_remote: bool, is_probe: bool
    ) -> bool:
        """Ask the system to fetch what some requests will read; see `Reader.prefetch_boxes`."""
        cold = (
            self._prefetch_boxes(one_part(files, number), number, request, only_remote, is_probe)
            for request in requests
            for number in touched_files(request)
        )
        return any(cold) if is_probe else any(list(cold))

    def _prefetch_boxes(
        self, file: str | SeriesParts, number: int, request: BoxRequest, only_remote: bool, is_probe: bool
    ) -> bool:
        """Ask for what a request will read of one file or part, the one of this number."""
        known = self._known(file, together(column_of(request.source)))
        starts = request.starts[slice(*request.borders[number : number + 2].tolist())]
        return known is not None and prefetch_boxes(
            known, starts, request.sizes, only_remote=only_remote, is_probe=is_probe
        )

    def _known(self, file: str | SeriesParts, source: DatasetColumn) -> KnownSource | None:
        """What is known of a source in one file or part; None if only HDF5 can read it."""
        files, raw = self._pool.raw_files.one(path_of(file))
        columns = self._columns(files)
        return columns.maps.find(raw, source, columns.part(FileBatch(files, [raw]), file))

    def start_workers(self, count: int, start: Callable[[], T]) -> T:
        """Start processes that share what they decode; see `Reader.start_workers`."""
        return self._decoded.start_workers(count, start)

    def close(self) -> None:
        """Close this process's open files; they are opened again when they are needed."""
        self._decoded.pool().close()
        self._local.forget()
        self._pool.close()

    def _read(self, files: Sequence[str], requests: Sequence[ReadRequest]) -> list[Unread]:
        """Read from files that may be mapped at the same time."""
        batch, unread = self._pool.raw_files.checked(distinct_files(files)), list[Unread]()
        columns = self._columns(batch.known)
        places = columns.parts(batch, files) if isinstance(files, SeriesParts) else batch
        for source, same in by_source(combined(requests, columns.maps.separate)).items():
            group = columns.group(places, source)
            group.put_all(same)
            if group.missing:
                parts = [request.of(group.missing) for request in same]
                requests_of = [one for part in parts for one in each_column(part)]
                unread.append((chosen_parts(files, group.missing), requests_of))
        return unread

    def _prefetch(
        self,
        file: str | SeriesParts,
        number: int,
        requests: Sequence[ReadRequest],
        only_remote: bool,
        is_probe: bool,
    ) -> bool:
        """Ask for what requests will read of one file or part, the one of this number; see `prefetch`."""
        files, raw = self._pool.raw_files.one(path_of(file))
        columns, is_cold = self._columns(files), False
        part = columns.part(FileBatch(files, [raw]), file)
        for request in requests:
            start, stop = request.borders[number : number + 2].tolist()
            known = columns.maps.find(raw, request.source, part) if start < stop else None
            if known is not None:
                rows = request.rows[start:stop]
                is_cold |= known.prefetch(rows, only_remote=only_remote, is_probe=is_probe)
        return is_cold

    def _columns(self, files: KnownFiles) -> KnownColumns:
        """What is known of the columns of these files; all is forgotten when other files are known."""
        make = partial(KnownColumns, files, self._pool, self._decoded.pool())
        columns = self._local.get(make)
        if columns.known is not files:
            self._local.forget()
            columns = self._local.get(make)
        # Another thread may still read files that this process does not know any more.
        return columns if columns.known is files else make()

    def decode_ahead(self, files: Sequence[str], requests: Sequence[ReadRequest], *, reads: int) -> None:
        """Decode the chunks of some rows; see `Reader.decode_ahead`."""
        self.decode_possible(files, requests, reads=reads)

    def decode_possible(
        self, files: Sequence[str], requests: Sequence[ReadRequest], *, reads: int
    ) -> list[Unread]:
        """Decode the chunks of some rows as far as HDF5 is not needed; see `Reader.decode_ahead`.

        Returns:
            What only HDF5 can decode.
        """
        undecoded, tables = list[Unread](), self._by_table(requests)
        found: dict[FilteredRows, list[Int64Array]] = {}
        is_same: dict[str, bool] = {}
        for number in range(len(files)):
            file = one_part(files, number)
            path = path_of(file)
            files_known, raw = self._pool.raw_files.one(path)
            columns = self._columns(files_known)
            if path not in is_same:
                is_same[path] = raw.check()
            part = columns.part(FileBatch(files_known, [raw]), file)
            for request in tables if is_same[path] else ():
                start, stop = request.borders[number : number + 2].tolist()
                known = columns.maps.find(raw, request.source, part) if start < stop else None
                if known is not None and known.filtered is not None:
                    rows = request.rows[start:stop]
                    OpenSource(known, None).check_rows(rows)
                    found.setdefault(known.filtered, []).append(known.places_of(rows))
                elif known is None and start < stop:
                    undecoded.append((chosen_parts(files, [number]), each_column(request.of([number]))))
        self._decode(found, reads)
        return undecoded

    def _decode(self, found: Mapping[FilteredRows, Sequence[Int64Array]], reads: int) -> None:
        """Decode the chunks of some rows of datasets, those of all files together."""
        by_cache: dict[ChunkRowCache, list[FilteredRows]] = {}
        for decoder in found:
            by_cache.setdefault(decoder.cache, []).append(decoder)
        for cache, decoders in by_cache.items():
            rows = [np.concatenate(found[decoder]) for decoder in decoders]
            cached = CachedRows(cache, decoders, self._decoded.pool())
            cached.decode_ahead(np.concatenate(rows), np.asarray([*map(len, rows)]), reads=reads)

    def _by_table(self, requests: Sequence[ReadRequest]) -> list[ReadRequest]:
        """The same requests for single rows, with those for a table `combined` as `_read` combines them."""
        columns = self._local.peek()
        separate = frozenset[DatasetColumn]() if columns is None else columns.maps.separate
        return combined([request.by_row() for request in requests], separate)


def _parts_of(files: Sequence[str], most: int) -> Iterator[range]:
    """Parts of a batch with so many files at most; files that have many `SeriesParts` are not divided."""
    if not isinstance(files, SeriesParts):
        for first in range(0, len(files), most):
            yield range(first, min(first + most, len(files)))
        return
    borders = files.file_of.searchsorted(np.arange(0, len(files.files) + most, most)).tolist()
    for start, stop in pairwise(borders):
        yield range(start, stop)


def _unsupported(file: str | SeriesParts, source: DatasetColumn, reason: str) -> UnsupportedFieldError:
    name = name_of(file, source) if isinstance(file, str) else name_of(file[0], source.at(file.texts[0]))
    return UnsupportedFieldError(
        f"{name} {reason}: reader='direct' cannot read it. Use reader='auto', which reads it through h5py"
    )
