"""How the rows of a dataset are stored: sizes of rows and chunks, and filters."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.planning.catalog.schema import DatasetSchema

__all__ = ["FAST_FILTERS", "LARGE_CHUNK_BYTES", "SMALL_SHARE", "RowStorage", "filter_names", "plugin_hint"]

# Filters that are decoded without HDF5, without the GIL and by several threads.
FAST_FILTERS = frozenset(
    ["deflate", "shuffle", "fletcher32", "lzf", "blosc", "blosc2", "lz4", "zstd", "bitshuffle"]
)
LARGE_CHUNK_BYTES = 16 * 1024 * 1024
SMALL_SHARE = 0.01  # of the data: a smaller dataset makes no difference to the speed
_NOT_COMPRESSING = frozenset(["shuffle", "fletcher32"])
_FILTERS_OF_HDF5 = frozenset(["deflate", "shuffle", "fletcher32", "szip", "nbit", "scaleoffset", "lzf"])


def filter_names(schema: DatasetSchema) -> tuple[str, ...]:
    """Names of the filters, without their parameters: ``deflate`` for ``deflate(4)``."""
    return tuple(text.partition("(")[0] for text in schema.filters)


def plugin_hint(schemas: Iterable[DatasetSchema]) -> str:
    """How to install the plugins with which HDF5 reads these datasets; empty if it needs none."""
    filters = sorted({name for schema in schemas for name in filter_names(schema)} - _FILTERS_OF_HDF5)
    return f", with a plugin for {' and '.join(filters)} (pip install hdf5plugin)" if filters else ""


class RowStorage:
    """Sizes and filters of a dataset, or of datasets that are stored in the same way.

    Attributes:
        schema: type, row shape, chunks and filters.
        rows: rows of each dataset and file, ``(occurrences,)``.
    """

    __slots__ = ()

    schema: DatasetSchema
    rows: Int64Array

    @property
    def leading(self) -> int:
        """How many leading axes make the rows."""
        return 1

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return self.schema.shape[self.leading :]

    @property
    def filters(self) -> tuple[str, ...]:
        """Names of the filters, without their parameters."""
        return filter_names(self.schema)

    @property
    def is_compressed(self) -> bool:
        """Whether a filter makes the data smaller."""
        return bool({*self.filters} - _NOT_COMPRESSING)

    @property
    def itemsize(self) -> int:
        """Bytes of an element; for a table, of all columns together, which are read in one go."""
        columns = [member.itemsize for member in self.schema.columns]
        return sum(columns) or np.dtype(self.schema.dtype).itemsize

    @property
    def row_bytes(self) -> int:
        """Decoded bytes of one row; at least 1."""
        return max(1, math.prod(self.row_shape) * self.itemsize)

    @property
    def max_rows(self) -> int:
        """Rows of the longest dataset."""
        return int(self.rows.max(initial=0))

    @property
    def rows_per_chunk(self) -> int:
        """Rows that are decoded together; 1 if a row can be read alone."""
        chunks = self.schema.chunks
        return math.prod(chunks[: self.leading]) if self.schema.is_decoded_by_chunk and chunks else 1

    @property
    def chunk_bytes(self) -> int:
        """Decoded bytes of one chunk; of a row if there are no chunks."""
        chunks = self.schema.chunks
        return math.prod(chunks) * self.itemsize if chunks else self.row_bytes

    @property
    def chunks_per_row(self) -> int:
        """Chunks that one row is spread over."""
        axes = zip(self.row_shape, (self.schema.chunks or ())[self.leading :], strict=False)
        return max(1, math.prod(-(-length // chunk) for length, chunk in axes))

    @property
    def chunk_row_bytes(self) -> int:
        """Decoded bytes of a chunk row: of all chunks that hold the same rows."""
        return self.chunk_bytes * self.chunks_per_row if self.schema.is_decoded_by_chunk else self.row_bytes
