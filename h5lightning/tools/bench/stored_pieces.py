"""Where the bytes of a dataset lie in its file, and how to read them without HDF5."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import h5py

from h5lightning.errors import FileChangedError
from h5lightning.storage.codecs import Filter, Pipeline
from h5lightning.storage.hdf5.open_file import open_descriptor

__all__ = ["Piece", "merged", "opened", "pieces_of", "pipeline_of", "read_into"]


@dataclass(frozen=True, slots=True)
class Piece:
    """Stored bytes of adjacent rows.

    Args:
        offset: of the first byte in the file.
        size: bytes.
        row: first row.
        rows: how many; a chunk that splits rows holds a part of each.
        mask: filters that were skipped.
    """

    offset: int
    size: int
    row: int
    rows: int
    mask: int = 0


def pieces_of(
    stored: h5py.Dataset, rows_of_piece: int, *, stop: int | None = None, most: int | None = None
) -> list[Piece]:
    """The chunks of a dataset in row order; of a contiguous one, pieces of so many rows.

    What lies in neither, compact or virtual, has none.

    Args:
        stored: the open dataset, with a sample axis.
        rows_of_piece: rows of a piece where there are no chunks.
        stop: one past the last row that matters; None for all.
        most: how many chunks to look at; None for all.
    """
    length = len(stored) if stop is None else min(stop, len(stored))
    if stored.chunks is not None:
        return _chunks(stored, length, most)
    first, row_bytes = stored.id.get_offset(), stored.nbytes // max(1, len(stored))
    if first is None or not row_bytes or not stored.id.get_storage_size():
        return []
    starts = range(0, length, rows_of_piece)
    counts = [min(rows_of_piece, length - start) for start in starts]
    return [
        Piece(first + start * row_bytes, count * row_bytes, start, count)
        for start, count in zip(starts, counts, strict=True)
    ]


def _chunks(stored: h5py.Dataset, length: int, most: int | None) -> list[Piece]:
    found: list[Piece] = []

    def add(chunk: Any) -> bool | None:
        row = chunk.chunk_offset[0]
        if row < length:
            rows = min(stored.chunks[0], length - row)
            found.append(Piece(chunk.byte_offset, chunk.size, row, rows, chunk.filter_mask))
        # Anything but None ends the iteration.
        return True if most is not None and len(found) >= most else None

    stored.id.chunk_iter(add)
    return sorted(found, key=lambda piece: piece.row)


def merged(pieces: Iterable[Piece], most_bytes: float = math.inf) -> list[Piece]:
    """Pieces, with one of at most so many bytes for those that follow each other in the file."""
    runs: list[Piece] = []
    for piece in pieces:
        last = runs[-1] if runs else None
        if last and last.offset + last.size == piece.offset and last.size + piece.size <= most_bytes:
            runs[-1] = replace(last, size=last.size + piece.size, rows=last.rows + piece.rows)
        else:
            runs.append(piece)
    return runs


def pipeline_of(stored: h5py.Dataset) -> Pipeline | None:
    """The product's own decoder of the chunks of a dataset; None where values are stored as they are.

    Raises:
        NoCodecError: only HDF5 decodes them.
    """
    created = stored.id.get_create_plist()
    filters = [Filter(*created.get_filter(number)[::2]) for number in range(created.get_nfilters())]
    return Pipeline(filters, math.prod(stored.chunks) * stored.dtype.itemsize) if filters else None


@contextmanager
def opened(path: str) -> Iterator[int]:
    """A file descriptor for the time of a with block."""
    descriptor = open_descriptor(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_into(descriptor: int, into: memoryview, offset: int) -> None:
    """Fill a buffer from a place in a file.

    Raises:
        FileChangedError: the file ends before.
    """
    while into:
        count = os.preadv(descriptor, [into], offset)
        if not count:
            raise FileChangedError(
                f"a file that is read ends at byte {offset}, expected {len(into)} bytes more"
            )
        into, offset = into[count:], offset + count
