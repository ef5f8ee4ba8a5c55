"""Where the bytes of a dataset lie in its file, and how to read them without HDF5."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

__all__ = ["Piece", "grouped", "memory_of", "merged", "opened", "pieces_of", "read_into"]


@dataclass(frozen=True, slots=True)
class Piece:
    """Stored bytes of adjacent rows of a file: offset and size in the file, first row and rows."""

    offset: int
    size: int
    row: int
    rows: int


def pieces_of(stored: h5py.Dataset, rows_of_piece: int) -> list[Piece]:
    """The chunks of a dataset in row order; of a contiguous one, pieces of so many rows."""
    if stored.chunks is not None:
        return _chunks(stored)
    row_bytes = stored.nbytes // len(stored)
    starts = range(0, len(stored), rows_of_piece)
    counts = [min(rows_of_piece, len(stored) - start) for start in starts]
    first = stored.id.get_offset()
    return [
        Piece(first + start * row_bytes, count * row_bytes, start, count)
        for start, count in zip(starts, counts, strict=True)
    ]


def _chunks(stored: h5py.Dataset) -> list[Piece]:
    found: list[Piece] = []

    def add(chunk: Any) -> None:
        row = chunk.chunk_offset[0]
        found.append(Piece(chunk.byte_offset, chunk.size, row, min(stored.chunks[0], len(stored) - row)))

    stored.id.chunk_iter(add)
    return sorted(found, key=lambda piece: piece.row)


def merged(pieces: Iterable[Piece]) -> list[Piece]:
    """Pieces of consecutive rows, with one for those that are adjacent in the file."""
    runs: list[Piece] = []
    for piece in pieces:
        last = runs[-1] if runs else None
        if last is not None and last.offset + last.size == piece.offset:
            runs[-1] = Piece(last.offset, last.size + piece.size, last.row, last.rows + piece.rows)
        else:
            runs.append(piece)
    return runs


def grouped(pieces: Sequence[Piece], rows: int) -> Iterator[list[Piece]]:
    """Pieces in groups of at most so many rows."""
    group: list[Piece] = []
    for piece in pieces:
        if group and sum(one.rows for one in group) + piece.rows > rows:
            yield group
            group = []
        group.append(piece)
    yield group


def read_into(descriptor: int, into: memoryview, offset: int) -> None:
    """Fill a buffer from a place in a file."""
    while into:
        count = os.preadv(descriptor, [into], offset)
        if not count:
            raise EOFError(f"{len(into)} bytes are missing at {offset}")
        into, offset = into[count:], offset + count


def memory_of(array: npt.NDArray[Any]) -> memoryview:
    """The bytes of an array, to write to."""
    return memoryview(array.reshape(-1).view(np.uint8))


@contextmanager
def opened(path: str) -> Iterator[int]:
    """A file descriptor for the time of a with block."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
