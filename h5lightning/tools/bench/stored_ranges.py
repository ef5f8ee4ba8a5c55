"""The byte ranges of a file that hold the rows of a dataset."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import h5py

from h5lightning.planning.catalog.extents import Extents
from h5lightning.storage.codecs import FilterPipeline
from h5lightning.storage.hdf5.chunk_index import stored_extents
from h5lightning.storage.hdf5.dataset_info import DatasetInfo

__all__ = ["ByteRange", "join_adjacent", "pipeline_of", "stored_ranges"]


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes of a file that hold adjacent rows.

    Args:
        offset: first byte.
        size: number of bytes.
        row: first row.
        rows: number of rows; a chunk that splits rows holds a part of each.
        mask: filters that HDF5 skipped when it wrote the chunk.
    """

    offset: int
    size: int
    row: int
    rows: int
    mask: int = 0


def stored_ranges(
    stored: h5py.Dataset, rows_per_range: int, *, stop: int | None = None, most: int | None = None
) -> list[ByteRange]:
    """The chunks of a dataset in row order; for a contiguous dataset, ranges of ``rows_per_range`` rows.

    Empty where HDF5 alone knows where the values lie, as in a compact or virtual dataset.

    Args:
        stored: the open dataset, with a sample axis.
        rows_per_range: rows of a range where there are no chunks.
        stop: one past the last row to include; None for all rows.
        most: maximum number of chunks; None for all.

    Raises:
        DamageError: the stored chunks contradict each other or the file.
    """
    info, length = DatasetInfo.of(stored.id), len(stored) if stop is None else min(stop, len(stored))
    extents = stored_extents(info, os.path.getsize(stored.file.filename))
    if extents.reason or not extents.offsets.size:
        return []
    if info.chunks is not None:
        columns = extents.offsets.size // -(-len(stored) // info.chunks[0])
        return [*islice(_chunk_ranges(extents, info.chunk_bytes, info.chunks[0], columns, length), most)]
    first, row_bytes = int(extents.offsets[0]), info.chunk_bytes // len(stored)
    starts = range(0, length, rows_per_range)
    counts = [min(rows_per_range, length - start) for start in starts]
    return [
        ByteRange(first + start * row_bytes, rows * row_bytes, start, rows)
        for start, rows in zip(starts, counts, strict=True)
    ]


def _chunk_ranges(
    extents: Extents, chunk_bytes: int, chunk_rows: int, columns: int, length: int
) -> Iterator[ByteRange]:
    """The chunks that hold rows before ``length``; ``columns`` chunks lie side by side."""
    count = -(-length // chunk_rows) * columns
    arrays = extents.offsets, extents.sizes(chunk_bytes), extents.masks
    chunks = zip(*(array[:count].tolist() for array in arrays), strict=True)
    for number, (offset, size, mask) in enumerate(chunks):
        row = number // columns * chunk_rows
        yield ByteRange(offset, size, row, min(chunk_rows, length - row), mask)


def join_adjacent(ranges: Iterable[ByteRange], most_bytes: float = math.inf) -> list[ByteRange]:
    """The same ranges, where ranges that follow each other in the file are one of at most ``most_bytes`` bytes."""
    joined: list[ByteRange] = []
    for part in ranges:
        last = joined[-1] if joined else None
        if last and last.offset + last.size == part.offset and last.size + part.size <= most_bytes:
            joined[-1] = replace(last, size=last.size + part.size, rows=last.rows + part.rows)
        else:
            joined.append(part)
    return joined


def pipeline_of(stored: h5py.Dataset) -> FilterPipeline | None:
    """What decodes the chunks of a dataset without HDF5; None where values are stored as they are.

    Raises:
        NoCodecError: only HDF5 decodes them.
    """
    info = DatasetInfo.of(stored.id)
    return FilterPipeline(info.filters, info.chunk_bytes) if info.filters else None
