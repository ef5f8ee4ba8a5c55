"""One dataset of one open file, and how its rows are read: from a map of the file, by system calls, or decoded."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.storage.files.mapped_file import MappedFile
from h5lightning.storage.readers.checks import check_rows
from h5lightning.storage.readers.direct.known_source import KnownSource
from h5lightning.storage.readers.protocol import ReadRequest
from h5lightning.storage.readers.record_writer import make_writer
from h5lightning.storage.readers.row_writer import RowWriter

__all__ = ["OpenSource"]


class OpenSource:
    """One dataset or column of one open file, for one batch or several of the same files.

    Args:
        known: what is known of it; most of its attributes are attributes here.
        mapped: the file in memory; None to read its bytes by system calls.

    Raises:
        BadFileError: a chunk does not lie inside of the mapped file.

    Attributes:
        layout: sources of the same layout are read together.
        view: the mapped file, ``(file bytes,)``; None if it is not mapped.
    """

    __slots__ = (
        "_mapped",
        "blocks",
        "chunk_map",
        "columns",
        "file",
        "filtered",
        "is_empty",
        "layout",
        "raw",
        "rows",
        "source",
        "table",
        "view",
    )

    def __init__(self, known: KnownSource, mapped: MappedFile | None) -> None:
        self._mapped = mapped if known.may_be_mapped else None
        self.raw, self.source = known.raw, known.source
        self.blocks, self.file, self.filtered = known.blocks, known.file, known.filtered
        self.rows, self.is_empty, self.table = known.rows, known.is_empty, known.table
        self.columns = known.columns
        self.chunk_map = known.checked_chunk_map() if known.may_be_mapped else known.chunk_map
        self.view: Bytes | None = None if self._mapped is None else self._mapped.view
        cache_of, chunk_map = None if self.filtered is None else self.filtered.cache, self.chunk_map
        is_split = cache_of is None and not chunk_map.holds_whole_rows
        split = (chunk_map.row_shape, chunk_map.chunks[1:]) if is_split else None
        table = None if self.table is None else self._elements()
        self.layout: Hashable = self.is_empty, cache_of, split, self._mapped is None, table

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a stored element; of a table, its bytes."""
        if self.table is not None:
            return np.dtype((np.void, self.chunk_map.itemsize))
        return np.dtype(self.source.dtype)

    def writer(self, request: ReadRequest) -> RowWriter:
        """What writes rows of this source, or of another one of the same layout, into the buffers of a request."""
        return make_writer(request, *self._elements())

    @property
    def _shape(self) -> tuple[int, ...]:
        """Shape of the dataset, with one axis for its rows."""
        chunk_map = self.chunk_map
        return (chunk_map.rows, *chunk_map.row_shape) if chunk_map.shape else ()

    def _elements(self) -> tuple[np.dtype[Any], tuple[int, ...]]:
        """Type of the elements that rows are delivered as, and their shape in a row."""
        if self.table is None:
            return self.dtype, self.chunk_map.row_shape
        is_packed = self.filtered is not None
        return (self.table.packed, ()) if is_packed else (self.table.record, self.chunk_map.row_shape)

    @property
    def base(self) -> int:
        """Where the file begins in memory, valid as long as ``view`` is held; 0 where it is not mapped."""
        return 0 if self._mapped is None else self._mapped.address

    def check_rows(self, rows: Int64Array, run: int = 1) -> None:
        """Raise unless the dataset has runs that begin at some rows, ``(N,)``; see `checks.check_rows`."""
        if rows.size and (rows.min() < 0 or rows.max() > self.rows - run):
            first, last = int(rows.min()), int(rows.max()) + run - 1
            for column, shape in self.columns():
                check_rows(self.raw.path, column, self._shape, first, last, shape)
