"""One field of a sample, in the files that store it in the same way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import once
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.storage.readers.protocol import DatasetColumn
from h5lightning.tools.overview.row_storage import RowStorage

__all__ = ["StoredField"]


@dataclass(frozen=True, eq=False)
class StoredField(RowStorage):
    """A field, in the files that store it in the same way.

    Args:
        key: the key of the sample.
        paths: the dataset; several if the path of the schema is a pattern.
        member: the column of a compound dataset.
        schema: how it is stored; its path may be a pattern with a ``*``.
        files: the files, ascending, ``(files,)``.
        rows: rows of each dataset and file, ``(occurrences,)``.
        stored_bytes: bytes of all occurrences in the files.
        reason: why HDF5 reads it, not the direct reader: a predicate such as ``is compact``; empty if it does not.
    """

    key: str
    paths: tuple[str, ...]
    member: str | None
    schema: DatasetSchema
    files: Int64Array
    rows: Int64Array
    stored_bytes: int
    reason: str = ""

    @property
    def path(self) -> str:
        """Path of the dataset, or pattern of the paths."""
        return self.schema.path

    @property
    def source(self) -> DatasetColumn:
        """What a reader reads: the dataset, or the first one of a pattern."""
        dtype = self.schema.element(self.member) or self.schema.dtype
        return DatasetColumn(self.paths[0], self.member, dtype, self.schema.row_shape_of(self.member))

    @once
    def total_rows(self) -> int:
        """Rows of all occurrences; at least 1."""
        return max(1, int(self.rows.sum()))

    @property
    def total_bytes(self) -> int:
        """Decoded bytes of all occurrences."""
        return self.total_rows * self.row_bytes

    @once
    def chunk_row_count(self) -> int:
        """Chunk rows of all occurrences; at least 1."""
        return max(1, int((-(-np.maximum(self.rows, 0) // self.rows_per_chunk)).sum()))

    @property
    def padding(self) -> float:
        """Decoded bytes per byte of data, at least 1: chunks may reach past the end of the data."""
        return max(1.0, self.chunk_row_count * self.chunk_row_bytes / self.total_bytes)
