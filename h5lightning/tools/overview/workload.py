"""The fields of a sample as files store them, and how training reads them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import once
from h5lightning.options import Shuffle
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.planning.sampling.window_size import fit_window
from h5lightning.storage.readers.decoded.chunk_store import shares
from h5lightning.storage.readers.protocol import DatasetColumn
from h5lightning.tools.overview.box_windows import BoxWindows
from h5lightning.tools.overview.row_storage import RowStorage

__all__ = ["FieldStorage", "Workload"]

_MAX_BLOCKS = 1024  # in a window: block order keeps some rows together even if each can be read alone
# A window ends while the next one begins: measured, a cache of 1.2 windows decodes each chunk about once.
_LIVE_WINDOWS = 1.2


@dataclass(frozen=True, eq=False)
class FieldStorage(RowStorage):
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
        file_of: the file of each occurrence, ascending, ``(occurrences,)``.
        path_of: the number of its path in ``paths``, ``(occurrences,)``.
        is_family: whether each match of the ``*`` is a series; else a sample has a row of each of the datasets.
        leading: how many leading axes make the rows: 2 for an axis of series, then one of their rows.
        chunk_rows: chunk rows of all occurrences, and the rows for which they have room; None to compute them from
            the chunks of the schema, which all occurrences share. Series of a family may have chunks of their own.
        boxes: the boxes that samples take of it; None where samples are rows along the leading axes.
        index_rows: rows of an entry of the index that divides its rows, on average; 0 without an index.
    """

    key: str
    paths: tuple[str, ...]
    member: str | None
    schema: DatasetSchema
    files: Int64Array
    rows: Int64Array
    stored_bytes: int
    reason: str = ""
    file_of: Int64Array = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))
    path_of: Int64Array = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))
    is_family: bool = False
    leading: int = 1
    chunk_rows: tuple[int, int] | None = None
    boxes: BoxWindows | None = None
    index_rows: float = 0.0

    @property
    def path(self) -> str:
        """Path of the dataset, or pattern of the paths."""
        return self.schema.path

    @property
    def source(self) -> DatasetColumn:
        """What a reader reads: the dataset, or the first one of a pattern."""
        return self.source_of(self.paths[0])

    def source_of(self, path: str) -> DatasetColumn:
        """What a reader reads of one of the datasets."""
        dtype = self.schema.element(self.member) or self.schema.dtype
        row_shape = self.schema.row_shape_of(self.member)[self.leading - 1 :]
        return DatasetColumn(path, self.member, dtype, row_shape, self.leading)

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row: of boxes, along all axes but that of the rows and that of series."""
        if self.boxes is None:
            return self.schema.shape[self.leading :]
        return tuple(
            length for axis, length in enumerate(self.boxes.shape) if axis not in self.boxes.row_axes
        )

    @property
    def rows_per_chunk(self) -> int:
        """Rows that are decoded together; 1 if a row can be read alone."""
        chunks = self.schema.chunks
        if not self.schema.is_decoded_by_chunk or not chunks:
            return 1
        axes = range(self.leading) if self.boxes is None else self.boxes.row_axes
        return math.prod(chunks[axis] for axis in axes)

    @property
    def chunks_per_row(self) -> int:
        """Chunks that one row is spread over."""
        row_axes = range(self.leading) if self.boxes is None else self.boxes.row_axes
        chunks = [chunk for axis, chunk in enumerate(self.schema.chunks or ()) if axis not in row_axes]
        return max(
            1, math.prod(-(-length // chunk) for length, chunk in zip(self.row_shape, chunks, strict=False))
        )

    def places(self) -> Iterator[tuple[int, str, int]]:
        """File, path and rows of each dataset that has rows; the first one, if none has."""
        with_rows = np.flatnonzero(self.rows > 0)
        for number in with_rows if with_rows.size else range(min(1, len(self.rows))):
            yield int(self.file_of[number]), self.paths[int(self.path_of[number])], int(self.rows[number])

    @property
    def datasets_of_a_row(self) -> int:
        """Datasets of which a sample has a row."""
        return 1 if self.is_family else len(self.paths)

    @once
    def total_rows(self) -> int:
        """Rows of all occurrences; at least 1."""
        return max(1, int(self.rows.sum()))

    @property
    def total_bytes(self) -> int:
        """Decoded bytes of all occurrences."""
        if self.boxes is not None:
            return max(1, self.boxes.numbers * self.itemsize)
        return self.total_rows * self.row_bytes

    @once
    def chunk_row_count(self) -> int:
        """Chunk rows of all occurrences; at least 1."""
        if self.chunk_rows is not None:
            return max(1, self.chunk_rows[0])
        rows, chunks = np.maximum(self.rows, 0), self.schema.chunks
        if self.leading == 1 or not chunks or not self.schema.is_decoded_by_chunk:
            return max(1, int((-(-rows // self.rows_per_chunk)).sum()))
        length = max(1, self.schema.shape[1])
        return max(1, int((-(-(rows // length) // chunks[0]) * -(-length // chunks[1])).sum()))

    @property
    def padding(self) -> float:
        """Decoded bytes per byte of data, at least 1: chunks may reach past the end of the data."""
        count = float(self.chunk_row_count)
        if self.chunk_rows is not None:
            count = self.chunk_rows[1] / self.rows_per_chunk
        return max(1.0, count * self.chunk_row_bytes / self.total_bytes)


@dataclass(frozen=True, eq=False)
class Workload:
    """The fields of a sample as they are stored, and how they will be loaded.

    Args:
        fields: the fields, once for each way in which files store them.
        files: number of files.
        shuffle: the order, and the decoded bytes that block order mixes with each other.
        cache_bytes: decoded bytes that a process keeps between batches.
        batch_size: samples in a batch.
        num_workers: worker processes.
        max_open_files: files that a process may hold open.
        is_whole: whether a sample is a whole series.
        sample_rows: rows of a sample, if it is a window.
        has_series: whether files may hold several series.
        take: rows that are drawn of each whole series; None for all of them.
    """

    fields: tuple[FieldStorage, ...]
    files: int
    shuffle: Shuffle
    cache_bytes: int
    batch_size: int = 32
    num_workers: int = 0
    max_open_files: int = 1
    is_whole: bool = False
    sample_rows: int = 1
    has_series: bool = False
    take: int | None = None

    @once
    def main(self) -> FieldStorage:
        """The field with most bytes in a row, as most files store it: block order follows its chunks."""
        return max(self.fields, key=lambda field: (field.row_bytes, field.files.size))

    @once
    def sample_bytes(self) -> int:
        """Decoded bytes of one row over all fields; columns of a table are read together, and count once."""
        datasets = {field.path: field for field in self.fields}
        return sum(field.row_bytes * field.datasets_of_a_row for field in datasets.values())

    @once
    def mode(self) -> str:
        """The order that ``shuffle`` resolves to: ``full``, ``block`` or ``none``."""
        if self.shuffle.mode != "auto":
            return self.shuffle.mode
        main = [field for field in self.fields if field.path == self.main.path]
        has_blocks = not self.is_whole and any(field.rows_per_chunk > 1 for field in main)
        return "block" if has_blocks else "full"

    @once
    def window_bytes(self) -> int:
        """Decoded bytes that block order mixes with each other: those asked for, or what the cache holds."""
        main = self.main
        fits = main.chunk_row_count * main.chunk_row_bytes <= self.field_cache_bytes(main)
        if fits or not main.schema.is_decoded_by_chunk:
            return self.shuffle.window_bytes
        held = self.cache_bytes / (sum(self._decoded_rows.values()) * main.padding) * self.sample_bytes
        return fit_window(self.shuffle, int(held)).window_bytes

    @property
    def window_rows(self) -> int:
        """Rows that block order mixes with each other."""
        return max(1, self.window_bytes // self.sample_bytes)

    @property
    def live_bytes(self) -> int:
        """Decoded bytes of the main field that block order uses at a time."""
        rows = max(self.block_rows, min(self.main.total_rows, int(_LIVE_WINDOWS * self.window_rows)))
        return int(rows * self.main.row_bytes * self.main.padding)

    @once
    def _decoded_rows(self) -> dict[str, int]:
        """Decoded bytes of one row of each dataset whose chunks are decoded."""
        return {field.path: field.row_bytes for field in self.fields if field.schema.is_decoded_by_chunk}

    def field_cache_bytes(self, field: FieldStorage) -> int:
        """The part of the cache that a compressed field gets, as readers divide it."""
        rows = {field.path: field.row_bytes, **self._decoded_rows}
        return dict(zip(rows, shares(self.cache_bytes, list(rows.values())), strict=True))[field.path]

    @property
    def block_rows(self) -> int:
        """Rows that stay together in block order."""
        return max(self.main.rows_per_chunk, min(self.window_rows, self.main.total_rows) // _MAX_BLOCKS)
