"""Rows that are stored as they are: of mapped files, and of chunks that hold parts of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.storage.readers.direct.chunk_map import ChunkMap, column_parts
from h5lightning.storage.readers.direct.gather import address_of, table_at
from h5lightning.storage.readers.protocol import ReadRequest
from h5lightning.storage.readers.row_writer import RowWriter

__all__ = ["MappedRows", "RowAddresses", "SplitRows"]


@dataclass(frozen=True, slots=True, eq=False)
class MappedRows:
    """Chunks of whole rows in memory; those of a contiguous dataset are one chunk.

    Args:
        view: the map of the file, ``(file bytes,)``, which is held as long as its addresses are.
        addresses: where each chunk begins in memory, ``(chunks,)``.
        chunk_rows: rows of a chunk.
        row_bytes: bytes of a row.
    """

    view: Bytes
    addresses: Int64Array
    chunk_rows: int
    row_bytes: int

    @classmethod
    def of(cls, view: Bytes, storage: ChunkMap) -> MappedRows:
        """The rows of a dataset in the map of its file."""
        return cls(view, address_of(view) + storage.offsets, storage.chunk_rows, storage.row_bytes)

    @property
    def group(self) -> object:
        """See `Table.group`."""
        return MappedRows

    @staticmethod
    def joined(tables: Sequence[MappedRows]) -> _JoinedMaps:
        """See `Table.joined`."""
        return _JoinedMaps(tables)


class RowAddresses:
    """Where whole rows of several datasets begin; who makes it holds what the addresses lie in.

    Args:
        addresses: where each chunk of each dataset begins, ``(chunks,)`` each.
        chunk_rows: rows of a chunk of each dataset; contiguous ones are one chunk.
        row_bytes: bytes of a row.
    """

    def __init__(self, addresses: Sequence[Int64Array], chunk_rows: Sequence[int], row_bytes: int) -> None:
        self._row_bytes = row_bytes
        self._chunk_rows = np.asarray(chunk_rows)
        self._addresses = np.concatenate(addresses)
        chunks = np.asarray([len(one) for one in addresses])
        self._first_chunks = np.cumsum(chunks) - chunks
        self._is_contiguous = len(self._addresses) == len(addresses)

    def of(self, take: ReadRequest) -> Int64Array:
        """The address of each row of a take, ``(N,)``."""
        sizes, rows = take.sizes, take.rows
        if self._is_contiguous:
            return self._addresses.repeat(sizes) + rows * self._row_bytes
        chunk_rows = self._chunk_rows.repeat(sizes)
        chunks = rows // chunk_rows
        rows = rows - chunks * chunk_rows
        starts: Int64Array = (
            self._addresses[chunks + self._first_chunks.repeat(sizes)] + rows * self._row_bytes
        )
        return starts


class _JoinedMaps:
    """Mapped rows of several files."""

    def __init__(self, tables: Sequence[MappedRows]) -> None:
        self._views = [table.view for table in tables]  # an address means nothing without its map
        self._row_bytes = tables[0].row_bytes
        addresses, heights = [table.addresses for table in tables], [table.chunk_rows for table in tables]
        self._places = RowAddresses(addresses, heights, self._row_bytes)

    def put(self, take: ReadRequest, to: RowWriter) -> None:
        """See `Joined.put`."""
        to.put(*table_at(self._places.of(take), self._row_bytes), take.slots)


@dataclass(frozen=True, slots=True, eq=False)
class SplitRows:
    """Chunks that hold parts of rows, or reach past their end.

    Args:
        look: offset and size → bytes of the file, ``(size,)``.
        storage: where the chunks lie.
        dtype: type of the stored elements.
    """

    look: Callable[[int, int], Bytes]
    storage: ChunkMap
    dtype: np.dtype[Any]

    @property
    def group(self) -> object:
        """See `Table.group`: each file alone."""
        return self

    @staticmethod
    def joined(tables: Sequence[SplitRows]) -> SplitRows:
        """See `Table.joined`."""
        (table,) = tables
        return table

    def put(self, take: ReadRequest, to: RowWriter) -> None:
        """See `Joined.put`."""
        storage, parts = self.storage, column_parts(self.storage)
        for chunk, within, places in _by_chunk(take.rows, take.slots, storage.chunk_rows):
            for column, (part, inside) in enumerate(parts):
                start = int(storage.offsets[chunk * len(parts) + column])
                stored = self.look(start, storage.chunk_bytes)
                values = stored.view(self.dtype).reshape(storage.chunks)
                to.put_values(_part(values, within, inside), places, part)


def _by_chunk(
    rows: Int64Array, slots: Int64Array, chunk_rows: int
) -> Iterator[tuple[int, Int64Array, Int64Array]]:
    """Chunk, its wanted rows counted from its first, and their slots; each chunk once."""
    chunks = rows // chunk_rows
    order = np.argsort(chunks, kind="stable")
    chunks, rows, slots = chunks[order], rows[order], slots[order]
    borders = np.flatnonzero(np.diff(chunks, prepend=-1)).tolist()
    for start, stop in zip(borders, [*borders[1:], len(order)], strict=True):
        chunk = int(chunks[start])
        yield chunk, rows[start:stop] - chunk * chunk_rows, slots[start:stop]


def _part(values: npt.NDArray[Any], rows: Int64Array, inside: tuple[slice, ...]) -> npt.NDArray[Any]:
    index: Any = (rows, *inside)
    taken: npt.NDArray[Any] = values[index]
    return taken
