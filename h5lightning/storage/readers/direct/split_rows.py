"""Rows of unfiltered chunks that hold parts of rows, or reach past their end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.storage.readers.direct.chunk_map import column_parts
from h5lightning.storage.readers.direct.open_source import OpenSource
from h5lightning.storage.readers.protocol import ReadRequest
from h5lightning.storage.readers.row_writer import RowWriter

__all__ = ["SplitRows"]


class SplitRows:
    """Rows that lie in several chunks each; see `RowGroup`."""

    def __init__(self, sources: Sequence[OpenSource]) -> None:
        self._sources = sources

    def put(self, request: ReadRequest, to: RowWriter) -> None:
        """See `RowGroup.put`."""
        for source, (start, stop) in zip(self._sources, pairwise(request.borders.tolist()), strict=True):
            if start < stop:
                _put(source, request.rows[start:stop], request.slots[start:stop], to)


def _put(source: OpenSource, rows: Int64Array, slots: Int64Array, to: RowWriter) -> None:
    chunk_map, parts, dtype = source.chunk_map, column_parts(source.chunk_map), np.dtype(source.source.dtype)
    for chunk, rows_within, chunk_slots in _by_chunk(rows, slots, chunk_map.chunk_rows):
        for column, (part, inside) in enumerate(parts):
            start = int(chunk_map.offsets[chunk * len(parts) + column])
            values = source.read(start, chunk_map.chunk_bytes).view(dtype).reshape(chunk_map.chunks)
            index: Any = (rows_within, *inside)
            to.put_values(values[index], chunk_slots, part)


def _by_chunk(
    rows: Int64Array, slots: Int64Array, chunk_rows: int
) -> Iterator[tuple[int, Int64Array, Int64Array]]:
    """Each chunk once, with its requested rows, counted from its first one, and their slots."""
    chunks = rows // chunk_rows
    order = np.argsort(chunks, kind="stable")
    chunks, rows, slots = chunks[order], rows[order], slots[order]
    borders = np.flatnonzero(np.diff(chunks, prepend=-1)).tolist()
    for start, stop in zip(borders, [*borders[1:], len(order)], strict=True):
        chunk = int(chunks[start])
        yield chunk, rows[start:stop] - chunk * chunk_rows, slots[start:stop]
