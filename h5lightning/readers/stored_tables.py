"""Rows that are stored as they are, straight from the memory maps of files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.errors import BadFileError
from h5lightning.readers.delivering import Delivery
from h5lightning.readers.gathering import address_of, table_at
from h5lightning.readers.protocol import Take
from h5lightning.readers.raw_file import RawFile
from h5lightning.readers.storage_map import NeedsHDF5Error, StorageMap, column_parts

__all__ = ["MappedRows", "SplitRows", "stored_table"]

Bytes = npt.NDArray[np.uint8]
Int64Array = npt.NDArray[np.int64]


def stored_table(raw: RawFile, storage: StorageMap, dtype: np.dtype[Any]) -> MappedRows | SplitRows:
    """The table of a dataset without filters.

    Raises:
        NeedsHDF5Error: the file cannot be mapped into memory.
    """
    try:
        view = raw.view
    except BadFileError as error:
        raise NeedsHDF5Error("lies on a file system that cannot map it into memory") from error
    if storage.holds_whole_rows:
        return MappedRows(address_of(view) + storage.offsets, storage.chunk_rows, storage.row_bytes)
    return SplitRows(raw, storage, dtype)


@dataclass(frozen=True, slots=True, eq=False)
class MappedRows:
    """Chunks of whole rows in memory; those of a contiguous dataset are one chunk.

    Args:
        addresses: where each chunk begins, ``(chunks,)``.
        chunk_rows: rows of a chunk.
        row_bytes: bytes of a row.
    """

    addresses: Int64Array
    chunk_rows: int
    row_bytes: int

    @property
    def group(self) -> object:
        """Tables of the same group are read together."""
        return MappedRows

    @staticmethod
    def put(tables: Sequence[MappedRows], take: Take, to: Delivery) -> None:
        """Deliver rows of several files, none of them outside of its dataset."""
        row_bytes = tables[0].row_bytes
        sizes = np.diff(take.borders)
        if all(len(table.addresses) == 1 for table in tables):
            starts = np.concatenate([table.addresses for table in tables]).repeat(sizes)
            within = take.rows
        else:
            chunk_rows = np.asarray([table.chunk_rows for table in tables]).repeat(sizes)
            chunks = take.rows // chunk_rows
            within = take.rows - chunks * chunk_rows
            parts = zip(tables, pairwise(take.borders.tolist()), strict=True)
            starts = np.concatenate([table.addresses[chunks[start:stop]] for table, (start, stop) in parts])
        to.put(*table_at(starts + within * row_bytes, row_bytes), take.slots)


@dataclass(frozen=True, slots=True, eq=False)
class SplitRows:
    """Chunks that hold parts of rows, or reach past their end."""

    raw: RawFile
    storage: StorageMap
    dtype: np.dtype[Any]

    @property
    def group(self) -> object:
        """Tables of the same group are read together."""
        return SplitRows

    @staticmethod
    def put(tables: Sequence[SplitRows], take: Take, to: Delivery) -> None:
        """Deliver rows of several files, none of them outside of its dataset."""
        for table, (start, stop) in zip(tables, pairwise(take.borders.tolist()), strict=True):
            table._put(take.rows[start:stop], take.slots[start:stop], to)  # noqa: SLF001 - its own kind

    def _put(self, rows: Int64Array, slots: Int64Array, to: Delivery) -> None:
        storage, parts = self.storage, column_parts(self.storage)
        for chunk, within, places in _by_chunk(rows, slots, storage.chunk_rows):
            for column, (part, inside) in enumerate(parts):
                start = int(storage.offsets[chunk * len(parts) + column])
                stored = self.raw.view[start : start + storage.chunk_bytes]
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
