"""One dataset in the open files of a batch: files whose rows are read in the same way are read together."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray
from h5lightning.errors import ChecksumError
from h5lightning.options import Access
from h5lightning.storage.files.raw_files import FileBatch
from h5lightning.storage.files.verified_blocks import DamagedBlockError
from h5lightning.storage.readers.checks import check_whole, name_of
from h5lightning.storage.readers.decoded.cached_rows import CachedRows
from h5lightning.storage.readers.decoded.decode_pool import DecodePool
from h5lightning.storage.readers.direct.batch_parts import PartBatch
from h5lightning.storage.readers.direct.column_table import NEEDS_HDF5, PLAIN, ColumnFacts
from h5lightning.storage.readers.direct.known_source import KnownSource
from h5lightning.storage.readers.direct.open_source import OpenSource
from h5lightning.storage.readers.direct.plain_rows import PlainRows
from h5lightning.storage.readers.direct.split_rows import MappedSplitRows, PreadSplitRows
from h5lightning.storage.readers.direct.whole_rows import MappedRows, PreadRows
from h5lightning.storage.readers.leading_axes import LeadingRows
from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest
from h5lightning.storage.readers.record_writer import make_writer
from h5lightning.storage.readers.records import combined
from h5lightning.storage.readers.row_group import RowGroup
from h5lightning.storage.readers.row_writer import RowWriter
from h5lightning.storage.readers.runs_request import RunsRequest
from h5lightning.storage.readers.shared_rows import read_each_once

__all__ = ["OpenSourceGroup", "read_whole", "row_group"]


class EmptyRows(RowGroup):
    """Rows without values, of which nothing is read; see `RowGroup`."""

    def put(self, request: ReadRequest, to: RowWriter) -> None:
        """See `RowGroup.put`."""


class VerifiedRows(RowGroup):
    """A group of rows that never delivers a damaged byte; see `RowGroup`.

    It verifies the blocks of mapped files when a row first needs them; `VerifiedFile` verifies what system calls read.
    """

    def __init__(self, group: RowGroup, sources: Sequence[OpenSource]) -> None:
        self._group = group
        self._sources = sources

    def divided(self, request: ReadRequest) -> ReadRequest:
        """See `RowGroup.divided`."""
        return self._group.divided(request)

    def keeps(self, rows: int) -> bool:
        """See `RowGroup.keeps`."""
        return self._group.keeps(rows)

    def put(self, request: ReadRequest, to: RowWriter) -> None:
        """See `RowGroup.put`.

        Raises:
            ChecksumError: a block that holds some of them does not match its checksum.
        """
        each = request.by_row()
        try:
            for source, (start, stop) in zip(self._sources, pairwise(each.borders.tolist()), strict=True):
                blocks = source.blocks
                if start < stop and source.view is not None and blocks is not None and not blocks.is_whole:
                    starts, sizes = source.chunk_map.byte_ranges(each.rows[start:stop])
                    blocks.check_in(source.view, starts, int(sizes[0]))
            self._group.put(request, to)
        except DamagedBlockError as error:
            raise self._damaged(each, error) from error

    def _damaged(self, request: ReadRequest, error: DamagedBlockError) -> ChecksumError:
        """The error that names the rows of the damaged file, or part of a file."""
        source, rows = self._sources[0], request.rows
        for one, (start, stop) in zip(self._sources, pairwise(request.borders.tolist()), strict=True):
            if start == stop or one.raw.path != error.path:
                continue
            source, rows = one, request.rows[start:stop]
            starts, sizes = source.chunk_map.byte_ranges(rows)
            if ((starts < error.stop) & (starts + sizes > error.start)).any():
                break
        return error.of(f"{name_of(error.path, source.source)}: rows {rows.min()} to {rows.max()}")


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
        group = PreadRows(sources, pool.scratch) if first.view is None else MappedRows.of_sources(sources)
    else:
        split = PreadSplitRows if first.view is None else MappedSplitRows
        group = split(sources, pool.scratch)
    return group if first.blocks is None else VerifiedRows(group, sources)


def read_whole(source: OpenSource, out: npt.NDArray[Any], pool: DecodePool) -> None:
    """Read all of a dataset without a sample axis into ``out``, ``(*row_shape)``."""
    ((column, shape),) = source.columns()
    check_whole(source.raw.path, column, source.chunk_map.shape, shape)
    # A scalar is one row.
    table = out if source.chunk_map.shape else out[None]
    every = np.arange(len(table))
    (request,) = combined([ReadRequest(column, np.asarray([0, len(every)]), every, every, table)])
    row_group([source], pool).put(request, source.writer(request))


class _Group(NamedTuple):
    """Files of a batch whose rows are read in the same way; ``files`` is None for all files."""

    rows: RowGroup
    writer: Callable[[ReadRequest], RowWriter]
    files: list[int] | None


class OpenSourceGroup:
    """One column in the files of a batch: how its rows are read, for batches of the same files.

    Args:
        batch: the files, or their parts.
        column: what is read.
        facts: what is known of it in these files.
        find: finds it in a file that HDF5 is not needed for, given by its index in the batch.
        access: whether files are mapped and verified.
        pool: caches decoded chunk rows.

    Attributes:
        missing: files that only HDF5 can read, by their index in the batch.
    """

    def __init__(
        self,
        batch: FileBatch | PartBatch,
        column: DatasetColumn,
        facts: ColumnFacts,
        find: Callable[[int], KnownSource | None],
        *,
        access: Access,
        pool: DecodePool,
    ) -> None:
        self._find, self._column = find, column
        is_missing = facts.kinds == NEEDS_HDF5
        self.missing: list[int] = np.flatnonzero(is_missing).tolist()
        # Rows of missing files are not looked at.
        self._rows = np.where(is_missing, np.iinfo(np.int64).max, facts.rows)
        self._groups: list[_Group] = []
        others = ~is_missing
        if not access.verify and access.memory_map is not False:
            others &= ~self._add_plain(batch, facts, access)
        if others.any():
            self._add_others(batch, np.flatnonzero(others).tolist(), access, pool)

    def _add_plain(self, batch: FileBatch | PartBatch, facts: ColumnFacts, access: Access) -> BoolArray:
        """Add a group for all mapped files of which nothing else must be known; which files it has, ``(files,)``."""
        is_plain: BoolArray = facts.kinds == PLAIN
        if not is_plain.any():
            return is_plain
        mapped = batch.mapped(access.memory_map)
        is_plain &= mapped.addresses != 0
        places = np.flatnonzero(is_plain)
        if not places.size:  # such as on a network file system
            return is_plain
        starts = (mapped.addresses + facts.starts)[places]
        dtype, row_shape = np.dtype(self._column.dtype), self._column.row_shape
        rows = PlainRows(starts, facts.rows[places], math.prod(row_shape) * dtype.itemsize, mapped.maps)
        writer = partial(make_writer, dtype=dtype, row_shape=row_shape)
        files = None if len(places) == len(batch) else places.tolist()
        self._groups.append(_Group(rows, writer, files))
        return is_plain

    def _add_others(
        self, batch: FileBatch | PartBatch, places: list[int], access: Access, pool: DecodePool
    ) -> None:
        """Add a group for each layout of some files."""
        known = [self._found(place) for place in places]
        needs_maps = access.memory_map is not False and any(one.may_be_mapped for one in known)
        mapped = batch.mapped(access.memory_map) if needs_maps else None
        sources = [
            OpenSource(one, None if mapped is None else mapped.of(place))
            for one, place in zip(known, places, strict=True)
        ]
        by_layout: dict[Hashable, list[int]] = {}
        for number, source in enumerate(sources):
            by_layout.setdefault(source.layout, []).append(number)
        for numbers in by_layout.values():
            files = None if len(numbers) == len(batch) else [places[number] for number in numbers]
            same = [sources[number] for number in numbers]
            rows, axes = row_group(same, pool), [source.chunk_map.axes for source in same]
            if any(one is not None and not one.is_in_order for one in axes):
                rows = LeadingRows(rows, axes)
            self._groups.append(_Group(rows, same[0].writer, files))

    def _found(self, place: int) -> KnownSource:
        """What is known of the column in a file that HDF5 is not needed for."""
        return cast("KnownSource", self._find(place))

    def put_all(self, requests: Sequence[ReadRequest]) -> None:
        """Deliver the rows of several requests for the source; no chunk is decoded for each of them."""
        rows = sum(request.row_count for request in requests)
        # Rows of missing files are never filled here, so they must not be shared.
        if self.missing or all(group.rows.keeps(rows) for group in self._groups):
            for request in requests:
                self.put(request)
        else:
            read_each_once(requests, self.put)

    def put(self, request: ReadRequest) -> None:
        """Deliver rows of the files that do not need HDF5.

        Args:
            request: rows of all files of the batch.
        """
        if not request.rows.size:
            return
        self._check_rows(request)
        for rows, writer, files in self._groups:
            part = request if files is None else request.of(files)
            if isinstance(part, RunsRequest) and not rows.takes_runs:
                part = part.by_row()
            if part.rows.size:
                part = rows.divided(part)
                rows.put(part, writer(part))

    def _check_rows(self, request: ReadRequest) -> None:
        """Raise unless all rows exist: their addresses are not checked again."""
        if isinstance(request, RunsRequest):
            if (
                request.rows.min() >= 0
                and (request.rows + request.counts <= self._rows.repeat(request.sizes)).all()
            ):
                return
            request = request.by_row()
        if self._has_all(request):
            return
        for place, (start, stop) in enumerate(pairwise(request.borders.tolist())):
            if start < stop and place not in self.missing:
                OpenSource(self._found(place), None).check_rows(request.rows[start:stop], request.run)

    def _has_all(self, request: ReadRequest) -> bool:
        """Whether all rows of a request exist; False if that is not certain."""
        most, rows = np.maximum(self._rows - (request.run - 1), 0), request.rows.view(np.uint64)
        # As unsigned numbers, negative ones are the largest.
        if not request.sizes.all():
            return not (rows >= most.repeat(request.sizes).view(np.uint64)).any()
        last = np.maximum.reduceat(rows, request.borders[:-1])
        return not (last >= most.view(np.uint64)).any()
