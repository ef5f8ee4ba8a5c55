"""Rows that are stored as they are, read by calls of the system: for files that cannot, or must not, be mapped.

On a network file system another machine may take a file away, and who looks at a map of it is killed. A call fails
there, with an error that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.storage.files.coalescing import coalesce
from h5lightning.storage.readers.direct.chunk_map import ChunkMap
from h5lightning.storage.readers.direct.mapped_rows import RowAddresses
from h5lightning.storage.readers.protocol import ReadRequest
from h5lightning.storage.readers.row_writer import RowWriter

__all__ = ["ByteReader", "ReadRows"]


_FAR_APART_BYTES = 1 << 44  # more than any file has


class ByteReader(Protocol):
    """An open file that is read by calls of the system."""

    def read(self, offset: int, size: int, scratch: Bytes | None = None) -> Bytes:
        """Bytes of the file, ``(size,)``; see `RawFile.read`."""

    def read_into(self, offset: int, into: Bytes) -> None:
        """Fill memory, ``(size,)``; see `RawFile.read_into`."""


@dataclass(frozen=True, slots=True, eq=False)
class ReadRows:
    """Whole rows of one dataset; see `Table`.

    Args:
        file: the open file.
        storage: where the rows lie.
        scratch: memory of this thread for what is read; see `Decoding.scratch`.
    """

    file: ByteReader
    storage: ChunkMap
    scratch: Callable[[], Bytes]

    @property
    def group(self) -> object:
        """See `Table.group`."""
        return ReadRows

    @staticmethod
    def joined(tables: Sequence[ReadRows]) -> _JoinedReads:
        """See `Table.joined`."""
        return _JoinedReads(tables)


class _JoinedReads:
    """Rows of several files, which are planned together: as if these lay far apart in one."""

    def __init__(self, tables: Sequence[ReadRows]) -> None:
        storages = [table.storage for table in tables]
        self._files = [table.file for table in tables]
        self._scratch = tables[0].scratch
        self._row_bytes = row_bytes = storages[0].row_bytes
        self._rows_apart = _FAR_APART_BYTES // row_bytes + 1
        apart = self._rows_apart * row_bytes
        addresses = [storage.offsets + number * apart for number, storage in enumerate(storages)]
        self._places = RowAddresses(addresses, [storage.chunk_rows for storage in storages], row_bytes)

    def put(self, take: ReadRequest, to: RowWriter) -> None:
        """See `Joined.put`."""
        starts = self._places.of(take)
        order = np.argsort(starts, kind="stable")
        slots = take.slots[order]
        # Rows of one run lie whole rows apart from each other; those of other chunks may not.
        rows, rest = np.divmod(starts[order], self._row_bytes)
        for shift in np.unique(rest).tolist():
            some = np.flatnonzero(rest == shift)
            self._put(rows[some], shift, slots[some], to)

    def _put(self, rows: Int64Array, shift: int, slots: Int64Array, to: RowWriter) -> None:
        """Deliver rows by their places in the files: ascending numbers of rows, and the bytes before the first one."""
        row_bytes, memory = self._row_bytes, to.memory(slots)
        runs = coalesce(rows, row_bytes=row_bytes)
        files, starts = np.divmod(runs.starts, self._rows_apart)
        counts, firsts = runs.stops - runs.starts, runs.first[:-1]
        columns = (files, starts, counts, firsts, runs.first[1:], slots[firsts])
        for number, start, count, first, last, slot in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            file, offset = self._files[number], start * row_bytes + shift
            is_whole = last - first == 1 or _are_neighbours(rows[first:last], slots[first:last])
            if memory is not None and is_whole:
                file.read_into(offset, memory[slot * row_bytes : (slot + count) * row_bytes])
                continue
            found = file.read(offset, count * row_bytes, self._scratch())
            wanted = rows[first:last, None] - rows[first]
            to.put(found.reshape(count, row_bytes), wanted, slots[first:last])


def _are_neighbours(rows: Int64Array, slots: Int64Array) -> bool:
    """Whether rows follow each other as their slots do, none missing between them and none twice."""
    return not ((rows[1:] - rows[:-1] != 1) | (slots[1:] - slots[:-1] != 1)).any()
