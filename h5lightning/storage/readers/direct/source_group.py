"""One dataset in the open files of a batch: files whose rows are read in the same way are read together."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.errors import ChecksumError
from h5lightning.storage.files.open_files import OpenFile
from h5lightning.storage.files.verified_blocks import DamagedBlockError
from h5lightning.storage.readers.checks import check_whole, name_of
from h5lightning.storage.readers.decoded.cached_rows import CachedRows
from h5lightning.storage.readers.decoded.decode_pool import DecodePool
from h5lightning.storage.readers.direct.open_source import OpenSource, RowGroup
from h5lightning.storage.readers.direct.split_rows import MappedSplitRows, PreadSplitRows
from h5lightning.storage.readers.direct.whole_rows import MappedRows, PreadRows
from h5lightning.storage.readers.protocol import ReadRequest
from h5lightning.storage.readers.row_writer import RowWriter

__all__ = ["OpenSourceGroup", "read_whole", "row_group"]


class EmptyRows:
    """Rows without values, of which nothing is read; see `RowGroup`."""

    def put(self, request: ReadRequest, to: RowWriter) -> None:
        """See `RowGroup.put`."""


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
    if first.chunk_map.holds_whole_rows:
        group = PreadRows(sources, pool.scratch) if first.view is None else MappedRows(sources)
    else:
        split = PreadSplitRows if first.view is None else MappedSplitRows
        group = split(sources, pool.scratch)
    return group if first.blocks is None else VerifiedRows(group, sources)


def read_whole(source: OpenSource, out: npt.NDArray[Any], pool: DecodePool) -> None:
    """Read all of a dataset without a sample axis into ``out``, ``(*row_shape)``."""
    check_whole(source.raw.path, source.source, source.chunk_map.shape)
    table = out if out.shape else out.reshape(1)
    every = np.arange(len(table))
    request = ReadRequest(source.source, np.asarray([0, len(every)]), every, every, table)
    to = RowWriter(table, np.dtype(source.source.dtype), source.chunk_map.row_bytes)
    row_group([source], pool).put(request, to)


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
        row_bytes = self._sources[0].chunk_map.row_bytes
        to = RowWriter(request.out, np.dtype(request.source.dtype), row_bytes)
        for group, files in self._groups:
            part = request if len(self._groups) == 1 else request.of(files)
            if part.rows.size:
                group.put(part, to)
