"""Sources in open files: one by one, and those of a batch together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.storage.files.open_files import OpenFile
from h5lightning.storage.files.raw_file import RawFile
from h5lightning.storage.readers.checks import check_rows, check_whole
from h5lightning.storage.readers.decoded.cached_rows import FilteredRows
from h5lightning.storage.readers.direct.chunk_map import ChunkMap
from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest
from h5lightning.storage.readers.row_writer import RowWriter

__all__ = ["EmptyRows", "Joined", "OpenSourceGroup", "OpenedSource", "Table"]


class Joined(Protocol):
    """Rows of one dataset of several open files."""

    def put(self, take: ReadRequest, to: RowWriter) -> None:
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


class EmptyRows:
    """Rows without values: there is nothing to read, and no row to count bytes by; see `Table`."""

    __slots__ = ()

    @property
    def group(self) -> object:
        """See `Table.group`."""
        return EmptyRows

    @staticmethod
    def joined(tables: Sequence[EmptyRows]) -> EmptyRows:
        """See `Table.joined`."""
        return tables[0]

    def put(self, take: ReadRequest, to: RowWriter) -> None:
        """See `Joined.put`."""


class OpenedSource:
    """One source in one open file.

    Args:
        raw: the open file.
        source: what is read.
        storage: where it lies.
        table: its rows.
    """

    __slots__ = ("raw", "rows", "source", "storage", "table")

    def __init__(self, raw: RawFile, source: DatasetColumn, storage: ChunkMap, table: Table) -> None:
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

    def is_there(self, rows: Int64Array, *, only_remote: bool) -> bool:
        """Whether nothing is gained by `will_need`, as far as the first of some rows says."""
        rows = self._worth_fetching(rows, only_remote=only_remote)
        return not rows.size or (
            self.raw.may_be_mapped and self.raw.has(int(self.storage.stretches(rows[:1])[0][0]))
        )

    def will_need(self, rows: Int64Array, *, only_remote: bool) -> None:
        """Let the system fetch the bytes of some rows."""
        rows = self._worth_fetching(rows, only_remote=only_remote)
        if rows.size:
            self.raw.will_need(*self.storage.stretches(rows))

    def _worth_fetching(self, rows: Int64Array, *, only_remote: bool) -> Int64Array:
        """Those of some rows that are worth a request: of chunks, none from a disk, since decoding takes longer."""
        is_remote = not self.raw.may_be_mapped
        rows = rows[(rows >= 0) & (rows < self.rows)]
        if isinstance(self.table, EmptyRows):
            return rows[:0]
        if isinstance(self.table, FilteredRows):
            return self.table.lacking(rows) if is_remote else rows[:0]
        return rows[:0] if only_remote and not is_remote else rows

    def read_whole(self, out: npt.NDArray[Any]) -> None:
        """Read all of a dataset without a sample axis."""
        check_whole(self.raw.path, self.source, self.storage.shape)
        table = out if out.shape else out.reshape(1)
        every = np.arange(len(table))
        take = ReadRequest(self.source, np.asarray([0, len(every)]), every, every, table)
        to = RowWriter(table, np.dtype(self.source.dtype), self.storage.row_bytes)
        self.table.joined([self.table]).put(take, to)


class OpenSourceGroup:
    """One source in the open files of a batch.

    Args:
        pinned: the open files.
        found: the source in each of them; None where only HDF5 can read it.
    """

    def __init__(self, pinned: list[OpenFile], found: Sequence[OpenedSource | None]) -> None:
        self.pinned = pinned
        self.missing = [place for place, one in enumerate(found) if one is None]
        self._opened = [one for one in found if one is not None]
        self._rows = np.asarray([one.rows for one in self._opened], np.int64)
        by_group: dict[object, list[int]] = {}
        for place, one in enumerate(self._opened):
            by_group.setdefault(one.table.group, []).append(place)
        self._groups = [(self._joined(places), places) for places in by_group.values()]

    def put(self, take: ReadRequest) -> None:
        """Deliver rows of the files in which it was found."""
        if not take.rows.size:
            return
        most = self._rows.repeat(take.sizes)
        if int(np.minimum.reduce(take.rows)) < 0 or np.greater_equal(take.rows, most).any():
            for one, (start, stop) in zip(self._opened, pairwise(take.borders.tolist()), strict=True):
                one.check_rows(take.rows[start:stop])
        to = RowWriter(take.out, np.dtype(take.source.dtype), self._opened[0].storage.row_bytes)
        for joined, places in self._groups:
            part = take if len(self._groups) == 1 else take.of(places)
            if part.rows.size:
                joined.put(part, to)

    def _joined(self, places: Sequence[int]) -> Joined:
        tables = [self._opened[place].table for place in places]
        return tables[0].joined(tables)
