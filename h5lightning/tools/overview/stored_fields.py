"""The fields of a batch as they lie in the files, and how they will be loaded: all that a diagnosis looks at."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.once import once
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.storage.readers.protocol import DatasetColumn

__all__ = ["FAST_FILTERS", "Case", "Loading", "StoredField"]


# What is decoded without HDF5, without the GIL and by several threads.
FAST_FILTERS = frozenset(
    ["deflate", "shuffle", "fletcher32", "lzf", "blosc", "blosc2", "lz4", "zstd", "bitshuffle"]
)
_NOT_COMPRESSING = frozenset(["shuffle", "fletcher32"])
_MAX_BLOCKS = 1024  # in a window: of rows that can be read alone, block order keeps some together
# A window ends while the next one begins: measured, a cache of 1.2 windows decodes each chunk about once.
_LIVE_WINDOWS = 1.2


@dataclass(frozen=True, eq=False)
class StoredField:
    """A field, in the files that store it in one way.

    Args:
        key: the key of the sample.
        paths: the datasets: one, or the members of a family that are alike.
        member: the column of a compound dataset.
        schema: the layout; its path has a ``*`` for a family.
        files: the files, ascending, ``(files,)``.
        rows: rows of each occurrence, ``(occurrences,)``.
        stored_bytes: what all occurrences take in the files.
        reason: why the direct reader leaves it to HDF5, as what a sentence says of it; empty if it does not.
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
        """Path of the dataset, or of the family."""
        return self.schema.path

    @property
    def source(self) -> DatasetColumn:
        """What a reader is asked for: the dataset, or the first one of a family."""
        dtype = self.schema.element(self.member) or self.schema.dtype
        return DatasetColumn(self.paths[0], self.member, dtype, self.schema.row_shape_of(self.member))

    @property
    def filters(self) -> tuple[str, ...]:
        """Names of the filters, without their values."""
        return tuple(text.partition("(")[0] for text in self.schema.filters)

    @property
    def is_compressed(self) -> bool:
        """Whether a filter makes the data smaller."""
        return bool(set(self.filters) - _NOT_COMPRESSING)

    @property
    def itemsize(self) -> int:
        """Bytes of an element; of all columns for a compound."""
        columns = [member.itemsize for member in self.schema.columns]
        return sum(columns) or np.dtype(self.schema.dtype).itemsize

    @once
    def row_bytes(self) -> int:
        """Bytes of one row, decoded; at least 1."""
        return max(1, math.prod(self.schema.row_shape) * self.itemsize)

    @once
    def total_rows(self) -> int:
        """Rows of all occurrences; at least 1."""
        return max(1, int(self.rows.sum()))

    @property
    def total_bytes(self) -> int:
        """Decoded bytes of all occurrences."""
        return self.total_rows * self.row_bytes

    @property
    def longest(self) -> int:
        """Rows of the longest occurrence."""
        return int(self.rows.max(initial=0))

    # ── chunks ───────────────────────────────────────────────────────────────────────────────────────

    @property
    def slab_rows(self) -> int:
        """Rows that are decoded together; 1 where a row can be read alone."""
        return self.schema.chunks[0] if self.schema.is_decoded_by_chunk and self.schema.chunks else 1

    @property
    def chunk_bytes(self) -> int:
        """Decoded bytes of one chunk; of a row where there are none."""
        chunks = self.schema.chunks
        return math.prod(chunks) * self.itemsize if chunks else self.row_bytes

    @property
    def chunks_across(self) -> int:
        """Chunks that a row is spread over."""
        row = zip(self.schema.row_shape, (self.schema.chunks or (0,))[1:], strict=False)
        return max(1, math.prod(-(-length // chunk) for length, chunk in row))

    @property
    def slab_bytes(self) -> int:
        """Decoded bytes of all chunks over one range of rows."""
        return self.chunk_bytes * self.chunks_across if self.schema.is_decoded_by_chunk else self.row_bytes

    @once
    def slabs(self) -> int:
        """Ranges of rows of all occurrences; at least 1."""
        return max(1, int((-(-np.maximum(self.rows, 0) // self.slab_rows)).sum()))

    @property
    def padding(self) -> float:
        """Decoded bytes over bytes that are there: chunks reach past the end of the data."""
        return max(1.0, self.slabs * self.slab_bytes / self.total_bytes)


@dataclass(frozen=True, slots=True)
class Loading:
    """How the fields will be loaded.

    Args:
        shuffle: ``auto``, ``full``, ``block`` or ``none``.
        window_bytes: decoded bytes that are mixed with each other in block order.
        cache_bytes: decoded bytes that a process keeps between batches.
        batch_size: samples in a batch.
        num_workers: worker processes.
        open_files: files that a process may hold open.
        is_whole: a sample is all of a file.
    """

    shuffle: str
    window_bytes: int
    cache_bytes: int
    batch_size: int
    num_workers: int
    open_files: int
    is_whole: bool = False


@dataclass(frozen=True, eq=False)
class Case:
    """What is diagnosed.

    Args:
        fields: the fields, once for each way in which files store them.
        loading: how they will be loaded.
        files: number of files.
    """

    fields: tuple[StoredField, ...]
    loading: Loading
    files: int

    @once
    def main(self) -> StoredField:
        """The field with most bytes in a row, as most files store it: the order follows its chunks."""
        return max(self.fields, key=lambda field: (field.row_bytes, field.files.size))

    @once
    def sample_bytes(self) -> int:
        """Decoded bytes of one row over all fields."""
        datasets = {(field.path, field.member): field for field in self.fields}
        return sum(field.row_bytes * len(field.paths) for field in datasets.values())

    @property
    def mode(self) -> str:
        """The order that ``shuffle`` comes to: ``full``, ``block`` or ``none``."""
        if self.loading.shuffle != "auto":
            return self.loading.shuffle
        main = [field for field in self.fields if field.path == self.main.path]
        has_blocks = not self.loading.is_whole and any(field.slab_rows > 1 for field in main)
        return "block" if has_blocks else "full"

    @property
    def window_rows(self) -> int:
        """Rows that are mixed with each other in block order."""
        return max(1, self.loading.window_bytes // self.sample_bytes)

    @property
    def live_bytes(self) -> int:
        """Decoded bytes of the main field that block order uses at a time."""
        rows = max(self.block_rows, min(self.main.total_rows, int(_LIVE_WINDOWS * self.window_rows)))
        return int(rows * self.main.row_bytes * self.main.padding)

    def cache_bytes(self, field: StoredField) -> int:
        """The part of the cache that a compressed field has: readers share it out by the length of rows."""
        sharing = {one.path: one.row_bytes for one in self.fields if one.schema.is_decoded_by_chunk}
        return self.loading.cache_bytes * field.row_bytes // sum(sharing.values())

    @property
    def block_rows(self) -> int:
        """Rows that stay together in block order."""
        return max(self.main.slab_rows, min(self.window_rows, self.main.total_rows) // _MAX_BLOCKS)
