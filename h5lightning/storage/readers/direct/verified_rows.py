"""Reads whose bytes are verified: of mapped files when a block is first touched, of others each time they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.planning.catalog.checksum_table import BLOCK_BYTES
from h5lightning.storage.files.raw_file import RawFile
from h5lightning.storage.files.verified_blocks import DamagedBlockError, VerifiedBlocks
from h5lightning.storage.readers.direct.chunk_map import ChunkMap
from h5lightning.storage.readers.direct.mapped_rows import MappedRows, SplitRows
from h5lightning.storage.readers.direct.pread_rows import ReadRows
from h5lightning.storage.readers.protocol import ReadRequest
from h5lightning.storage.readers.row_writer import RowWriter

__all__ = ["VerifiedFile", "VerifiedReads", "VerifiedRows"]


class VerifiedFile:
    """A file that is read in whole blocks, each of which is verified.

    Args:
        raw: the open file.
        blocks: its checksums.
    """

    def __init__(self, raw: RawFile, blocks: VerifiedBlocks) -> None:
        self.path = raw.path
        self._raw = raw
        self._blocks = blocks

    def read(self, offset: int, size: int, scratch: Bytes | None = None) -> Bytes:
        """Bytes of the file, ``(size,)``; see `RawFile.read`.

        Raises:
            DamagedBlockError: they are not those whose checksums were made.
            FileChangedError: it ends before.
            BadFileError: the system cannot read it.
        """
        start = offset - offset % BLOCK_BYTES
        stop = min(-(-(offset + size) // BLOCK_BYTES) * BLOCK_BYTES, self._blocks.size)
        found = self._raw.read(start, max(stop, offset + size) - start, scratch)
        self._blocks.check_bytes(start, found)
        return found[offset - start : offset - start + size]

    def read_into(self, offset: int, into: Bytes) -> None:
        """Fill memory, ``(size,)``, with bytes of the file; see `read`."""
        into[:] = self.read(offset, len(into))


@dataclass(frozen=True, slots=True, eq=False)
class VerifiedRows:
    """A table of mapped rows; see `Table`.

    Args:
        where: the dataset and its file, for messages.
        view: the map of the file, ``(file bytes,)``.
        storage: where the rows lie.
        table: the rows.
        blocks: the checksums of the file.
    """

    where: str
    view: Bytes
    storage: ChunkMap
    table: MappedRows | SplitRows
    blocks: VerifiedBlocks

    @property
    def group(self) -> object:
        """See `Table.group`."""
        return VerifiedRows, self.table.group

    @staticmethod
    def joined(tables: Sequence[VerifiedRows]) -> _JoinedVerified:
        """See `Table.joined`."""
        return _JoinedVerified(tables)

    def verify(self, rows: Int64Array) -> None:
        """Verify the blocks that hold some rows.

        Raises:
            ChecksumError: one of them is not what it was.
        """
        starts, sizes = self.storage.stretches(rows)
        try:
            self.blocks.check_in(self.view, starts, int(sizes[0]))
        except DamagedBlockError as error:
            raise error.of(f"{self.where}: rows {rows.min()} to {rows.max()}") from error


@dataclass(frozen=True, slots=True, eq=False)
class VerifiedReads:
    """A table of rows that are read from a `VerifiedFile`; see `Table`.

    Args:
        where: the dataset and its file, for messages.
        table: the rows.
    """

    where: str
    table: ReadRows | SplitRows

    @property
    def group(self) -> object:
        """See `Table.group`: each file alone."""
        return self

    @staticmethod
    def joined(tables: Sequence[VerifiedReads]) -> VerifiedReads:
        """See `Table.joined`."""
        (table,) = tables
        return table

    def put(self, take: ReadRequest, to: RowWriter) -> None:
        """See `Joined.put`.

        Raises:
            ChecksumError: a block of them is not what it was.
        """
        try:
            self.table.joined([self.table]).put(take, to)  # type: ignore[list-item] # of one kind
        except DamagedBlockError as error:
            raise error.of(f"{self.where}: rows {take.rows.min()} to {take.rows.max()}") from error


class _JoinedVerified:
    """Mapped rows of several files."""

    def __init__(self, tables: Sequence[VerifiedRows]) -> None:
        self._tables = tables
        inner: Sequence[Any] = [table.table for table in tables]
        self._joined = inner[0].joined(inner)

    def put(self, take: ReadRequest, to: RowWriter) -> None:
        """See `Joined.put`."""
        for table, (start, stop) in zip(self._tables, pairwise(take.borders.tolist()), strict=True):
            if start < stop and not table.blocks.is_whole:
                table.verify(take.rows[start:stop])
        self._joined.put(take, to)
