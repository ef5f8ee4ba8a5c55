"""One dataset in the open files of a batch: files whose rows are read in the same way are read together."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import ChecksumError
from h5lightning.storage.files.open_files import OpenFile
from h5lightning.storage.files.verified_blocks import DamagedBlockError
from h5lightning.storage.readers.checks import check_whole, name_of
from h5lightning.storage.readers.decoded.cached_rows import CachedRows
from h5lightning.storage.readers.decoded.decode_pool import DecodePool
from h5lightning.storage.readers.direct.chunk_map import column_parts
from h5lightning.storage.readers.direct.open_source import OpenSource, RowGroup
from h5lightning.storage.readers.direct.whole_rows import MappedRows, PreadRows
from h5lightning.storage.readers.protocol import ReadRequest
from h5lightning.storage.readers.records import combined
from h5lightning.storage.readers.row_writer import RowWriter

__all__ = ["OpenSourceGroup", "read_whole", "row_group"]


class EmptyRows:
    """Rows without values, of which nothing is read; see `RowGroup`."""

    def put(self, request: ReadRequest, to: RowWriter) -> None:
        """See `RowGroup.put`."""


class SplitRows:
    """Rows of unfiltered chunks that hold parts of rows, or reach past their end; see `RowGroup`."""

    def __init__(self, sources: Sequence[OpenSource]) -> None:
        self._sources = sources

    def put(self, request: ReadRequest, to: RowWriter) -> None:
        """See `RowGroup.put`."""
        for source, (start, stop) in zip(self._sources, pairwise(request.borders.tolist()), strict=True):
            if start < stop:
                _put_split(source, request.rows[start:stop], request.slots[start:stop], to)


def _put_split(source: OpenSource, rows: Int64Array, slots: Int64Array, to: RowWriter) -> None:
    chunk_map, parts, dtype = source.chunk_map, column_parts(source.chunk_map), source.dtype
    for chunk, rows_within, chunk_slots in _by_chunk(rows, slots, chunk_map.chunk_rows):
        for column, (part, inside) in enumerate(parts):
            start = int(chunk_map.offsets[chunk * len(parts) + column])
            values = source.read(start, chunk_map.chunk_bytes).view(dtype).reshape(chunk_map.chunks)
            index: Any = (rows_within, *inside)
            to.put_values(values[index], chunk_slots, part)


def _by_chunk(
    rows: Int64Array, slots: Int64Array, chunk_rows: int
) -> Iterator[tuple[int, Int64Array, Int64Array]]:
    """Each chunk once, with its requested rows, counted from its first one, and their slots."""
    chunks = rows // chunk_rows
    order = np.argsort(chunks, kind="stable")
    chunks, rows, slots = chunks[order], rows[order], slots[order]
    borders = np.flatnonzero(np.diff(chunks, prepend=-1)).tolist()
    for start, stop in zip(borders, [*borders[1:], len(order)], strict=True):
        chunk = int(chunks[start])
        yield chunk, rows[start:stop] - chunk * chunk_rows, slots[start:stop]


class VerifiedRows:
    """A group of rows that never delivers a damaged byte; see `RowGroup`.

    It verifies the blocks of mapped files when a row first needs them; `VerifiedFile` verifies what system calls read.
    """

    def __init__(self, group: RowGroup, sources: Sequence[OpenSource]) -> None:
        self._group = group
        self._sources = sources

    def put(self, request: ReadRequest, to: RowWriter) -> None:
        """See `RowGroup.put`.

        Raises:
            ChecksumError: a block that holds some of them does not match its checksum.
        """
        borders = request.borders.tolist()
        try:
            for source, (start, stop) in zip(self._sources, pairwise(borders), strict=True):
                blocks = source.blocks
                if start < stop and source.view is not None and blocks is not None and not blocks.is_whole:
                    starts, sizes = source.chunk_map.byte_ranges(request.rows[start:stop])
                    blocks.check_in(source.view, starts, int(sizes[0]))
            self._group.put(request, to)
        except DamagedBlockError as error:
            raise self._damaged(request, error) from error

    def _damaged(self, request: ReadRequest, error: DamagedBlockError) -> ChecksumError:
        """The error that names the rows of the damaged file."""
        file = [source.raw.path for source in self._sources].index(error.path)
        rows = request.rows[request.borders[file] : request.borders[file + 1]]
        return error.of(f"{name_of(error.path, request.source)}: rows {rows.min()} to {rows.max()}")


def row_group(sources: Sequence[OpenSource], pool: DecodePool) -> RowGroup:
    """What reads sources of the same layout together."""
    first = sources[0]
    if first.is_empty:
        return EmptyRows()
    filtered = [source.filtered for source in sources if source.filtered is not None]
    if filtered:
        return CachedRows(filtered[0].cache, filtered, pool)
    group: RowGroup
    if not first.chunk_map.holds_whole_rows:
        group = SplitRows(sources)
    elif first.view is None:
        group = PreadRows(sources, pool.scratch)
    else:
        group = MappedRows(sources)
    return group if first.blocks is None else VerifiedRows(group, sources)


def read_whole(source: OpenSource, out: npt.NDArray[Any], pool: DecodePool) -> None:
    """Read all of a dataset without a sample axis into ``out``, ``(*row_shape)``."""
    ((column, value_shape),) = source.columns()
    check_whole(source.raw.path, column, source.chunk_map.shape, value_shape)
    # A scalar is one row.
    table = out if source.chunk_map.shape else out[None]
    every = np.arange(len(table))
    (request,) = combined([ReadRequest(column, np.asarray([0, len(every)]), every, every, table)])
    row_group([source], pool).put(request, source.writer(request))


class OpenSourceGroup:
    """One source in each open file of a batch; None where only HDF5 can read it."""

    def __init__(
        self, pinned: list[OpenFile], sources: Sequence[OpenSource | None], pool: DecodePool
    ) -> None:
        self.pinned = pinned
        self.missing = [file for file, source in enumerate(sources) if source is None]
        self._sources = [source for source in sources if source is not None]
        self._rows = np.asarray([source.rows for source in self._sources], np.int64)
        by_layout: dict[Hashable, list[int]] = {}
        for file, source in enumerate(self._sources):
            by_layout.setdefault(source.layout, []).append(file)
        self._groups = [
            (row_group([self._sources[file] for file in files], pool), files) for files in by_layout.values()
        ]

    def put(self, request: ReadRequest) -> None:
        """Deliver rows of the files that do not need HDF5."""
        if not request.rows.size:
            return
        rows = self._rows.repeat(request.sizes)
        if int(np.minimum.reduce(request.rows)) < 0 or np.greater_equal(request.rows, rows).any():
            for source, (start, stop) in zip(self._sources, pairwise(request.borders.tolist()), strict=True):
                source.check_rows(request.rows[start:stop])
        for group, files in self._groups:
            part = request if len(self._groups) == 1 else request.of(files)
            if part.rows.size:
                group.put(part, self._sources[files[0]].writer(part))
