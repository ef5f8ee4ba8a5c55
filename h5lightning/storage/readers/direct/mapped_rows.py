"""Whole rows of mapped files, gathered from memory in one call."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.storage.readers.direct.gather import table_at
from h5lightning.storage.readers.direct.open_source import OpenSource
from h5lightning.storage.readers.protocol import ReadRequest
from h5lightning.storage.readers.row_writer import RowWriter

__all__ = ["MappedRows", "RowAddresses"]


class RowAddresses:
    """Where whole rows of several datasets begin; its owner holds the memory that the addresses lie in.

    Args:
        addresses: where each chunk of each dataset begins, ``(chunks,)`` each.
        chunk_rows: rows of a chunk of each dataset; a contiguous dataset is one chunk.
        row_bytes: bytes of a row.
    """

    def __init__(self, addresses: Sequence[Int64Array], chunk_rows: Sequence[int], row_bytes: int) -> None:
        self._row_bytes = row_bytes
        self._chunk_rows = np.asarray(chunk_rows)
        self._addresses = np.concatenate(addresses)
        chunks = np.asarray([len(one) for one in addresses])
        self._first_chunks = np.cumsum(chunks) - chunks
        self._is_contiguous = len(self._addresses) == len(addresses)

    def of(self, request: ReadRequest) -> Int64Array:
        """The address of each requested row, ``(N,)``."""
        sizes, rows = request.sizes, request.rows
        if self._is_contiguous:
            return self._addresses.repeat(sizes) + rows * self._row_bytes
        chunk_rows = self._chunk_rows.repeat(sizes)
        chunks = rows // chunk_rows
        rows = rows - chunks * chunk_rows
        starts: Int64Array = (
            self._addresses[chunks + self._first_chunks.repeat(sizes)] + rows * self._row_bytes
        )
        return starts


class MappedRows:
    """Whole rows of mapped files; see `RowGroup`."""

    def __init__(self, sources: Sequence[OpenSource]) -> None:
        self._sources = sources  # which hold the maps: an address means nothing without its map
        self._row_bytes = sources[0].chunk_map.row_bytes
        addresses = [source.addresses for source in sources]
        chunk_rows = [source.chunk_map.chunk_rows for source in sources]
        self._addresses = RowAddresses(addresses, chunk_rows, self._row_bytes)

    def put(self, request: ReadRequest, to: RowWriter) -> None:
        """See `RowGroup.put`."""
        to.put(*table_at(self._addresses.of(request), self._row_bytes), request.slots)
