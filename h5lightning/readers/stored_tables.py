"""Rows that are stored as they are, straight from the memory map of a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from h5lightning.errors import BadFileError
from h5lightning.readers.delivering import Delivery
from h5lightning.readers.raw_file import RawFile
from h5lightning.readers.storage_map import NeedsHDF5Error, StorageMap, column_parts

__all__ = ["Table", "by_chunk", "stored_table"]

Bytes = npt.NDArray[np.uint8]
Int64Array = npt.NDArray[np.int64]


class Table(Protocol):
    """Rows of one dataset."""

    def put(self, rows: Int64Array, slots: Int64Array, to: Delivery) -> None:
        """Deliver rows, none of them outside of the dataset.

        Args:
            rows: rows in any order, ``(N,)``.
            slots: where they belong, ``(N,)``.
            to: the batch that takes them.
        """


def stored_table(raw: RawFile, storage: StorageMap, dtype: np.dtype[Any]) -> Table:
    """The table of a dataset without filters.

    Raises:
        NeedsHDF5Error: the file cannot be mapped into memory.
    """
    try:
        view = raw.view
    except BadFileError as error:
        raise NeedsHDF5Error("lies on a file system that cannot map it into memory") from error
    if not storage.holds_whole_rows:
        return _SplitRows(raw, storage, dtype)
    row_bytes = storage.row_bytes
    first_rows, rest = np.divmod(storage.offsets, row_bytes)
    if (rest != rest[0]).any():
        return _Chunks(raw, storage)
    return _Rows(view, int(rest[0]), row_bytes, storage.chunk_rows, first_rows)


def by_chunk(
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


class _Rows:
    """Rows at a multiple of their own length from one byte of the file on: all of a contiguous dataset."""

    def __init__(
        self, view: Bytes, start: int, row_bytes: int, chunk_rows: int, first_rows: Int64Array
    ) -> None:
        count = (len(view) - start) // row_bytes
        self._table = view[start : start + count * row_bytes].reshape(count, row_bytes)
        self._chunk_rows = chunk_rows
        self._first_rows = first_rows

    def put(self, rows: Int64Array, slots: Int64Array, to: Delivery) -> None:
        """Deliver rows; see `Table.put`."""
        if len(self._first_rows) == 1:
            places = rows + self._first_rows[0]
        else:
            chunks, within = np.divmod(rows, self._chunk_rows)
            places = self._first_rows[chunks] + within
        to.put(self._table, places, slots)


@dataclass(frozen=True, slots=True, eq=False)
class _Chunks:
    """Chunks of whole rows, anywhere in the file."""

    raw: RawFile
    storage: StorageMap

    def put(self, rows: Int64Array, slots: Int64Array, to: Delivery) -> None:
        """Deliver rows; see `Table.put`."""
        for chunk, within, places in by_chunk(rows, slots, self.storage.chunk_rows):
            start = int(self.storage.offsets[chunk])
            stored = self.raw.view[start : start + self.storage.chunk_bytes]
            to.put(stored.reshape(self.storage.chunk_rows, -1), within, places)


@dataclass(frozen=True, slots=True, eq=False)
class _SplitRows:
    """Chunks that hold parts of rows, or reach past their end."""

    raw: RawFile
    storage: StorageMap
    dtype: np.dtype[Any]

    def put(self, rows: Int64Array, slots: Int64Array, to: Delivery) -> None:
        """Deliver rows; see `Table.put`."""
        storage, parts = self.storage, column_parts(self.storage)
        for chunk, within, places in by_chunk(rows, slots, storage.chunk_rows):
            for column, (part, inside) in enumerate(parts):
                start = int(storage.offsets[chunk * len(parts) + column])
                stored = self.raw.view[start : start + storage.chunk_bytes]
                values = stored.view(self.dtype).reshape(storage.chunks)
                to.put_values(_part(values, within, inside), places, part)
