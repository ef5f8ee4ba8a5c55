"""Where the bytes of a dataset lie in its file, and what decodes them: all that reading without HDF5 needs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from h5py import h5d

from h5lightning.core.arrays import Int64Array, flat_positions
from h5lightning.errors import BadFileError
from h5lightning.planning.catalog.extents import Extents, FilterValues
from h5lightning.planning.catalog.record_layout import RecordLayout
from h5lightning.storage.codecs import FilterPipeline, NoCodecError
from h5lightning.storage.files.raw_file import RawFile
from h5lightning.storage.hdf5.chunk_index import DamageError, locate
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.readers.box_pieces import ChunkGrid
from h5lightning.storage.readers.checks import check_type, name_of
from h5lightning.storage.readers.leading_axes import LeadingAxes
from h5lightning.storage.readers.protocol import DatasetColumn
from h5lightning.storage.readers.records import TABLE

__all__ = ["ChunkMap", "NeedsHDF5Error", "chunk_map_of", "map_chunks", "with_leading"]


class NeedsHDF5Error(ValueError):
    """A dataset that only HDF5 can read. The message is the reason, to follow the name of the dataset: "is virtual"."""


@dataclass(frozen=True, slots=True, eq=False)
class ChunkMap:
    """The chunks of one dataset, in bytes from the start of the file.

    Args:
        shape: shape of the dataset, ``()`` for a scalar.
        itemsize: bytes of an element.
        chunks: shape of a chunk; that of the dataset where it is contiguous, ``(1,)`` for a scalar.
        offsets: first byte of each chunk in the order of the grid, ``(chunks,)``.
        sizes: stored bytes of each chunk, ``(chunks,)``.
        masks: filters that each chunk skipped, one bit for each, ``(chunks,)``.
        pipeline: decodes a chunk; None where the values are stored as they are.
        record: where the columns of a table lie in each element; None if the dataset is no table.
        nbytes: bytes of memory that the map takes in this process; 0 where it is mapped from the index.
        axes: the two leading axes that are one here; None if the dataset has one. Rows are then places; see
            `LeadingAxes`.
        grid: the axes of the dataset, if boxes are read along all of them; None if rows are read. Each chunk is then
            one row of this map.
    """

    shape: tuple[int, ...]
    itemsize: int
    chunks: tuple[int, ...]
    offsets: Int64Array
    sizes: Int64Array
    masks: Int64Array
    pipeline: FilterPipeline | None
    record: RecordLayout | None = None
    nbytes: int = 0
    axes: LeadingAxes | None = None
    grid: ChunkGrid | None = None

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return self.shape[1:]

    @property
    def rows(self) -> int:
        """Rows of the dataset; 0 for a scalar."""
        if self.axes is not None:
            return self.axes.rows
        return self.shape[0] if self.shape else 0

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return math.prod(self.row_shape) * self.itemsize

    @property
    def chunk_rows(self) -> int:
        """Rows of a chunk; the last one may hold fewer rows of the dataset."""
        return self.chunks[0]

    @property
    def rows_of_chunks(self) -> int:
        """Chunk rows of the dataset."""
        return -(-self.shape[0] // self.chunk_rows)

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a decoded chunk."""
        return math.prod(self.chunks) * self.itemsize

    @property
    def holds_whole_rows(self) -> bool:
        """Whether the rows of a chunk lie in it one after the other, whole and without padding."""
        return self.chunks[1:] == self.row_shape

    def origin(self, number: int) -> tuple[int, ...]:
        """Coordinates of the first element of a chunk in the dataset."""
        grid, axes = self.grid, self.axes
        if grid is None and axes is None:
            grid = ChunkGrid(self.shape, self.chunks)
        elif grid is None and axes is not None:
            grid = ChunkGrid((*axes.shape, *self.shape[1:]), (*axes.chunks, *self.chunks[1:]))
        return () if grid is None else grid.origin(number)

    def byte_ranges(self, rows: Int64Array) -> tuple[Int64Array, Int64Array]:
        """First byte and size of each of some rows, or of each chunk that holds some of them, once.

        Args:
            rows: rows of the dataset, ``(N,)``.

        Returns:
            Starts and sizes, ``(ranges,)`` each.
        """
        chunks = rows // self.chunk_rows
        if self.pipeline is None and self.holds_whole_rows:
            starts = self.offsets[chunks] + (rows - chunks * self.chunk_rows) * self.row_bytes
            return starts, np.full(len(starts), self.row_bytes)
        columns = len(self.offsets) // self.rows_of_chunks
        chunk_rows = np.unique(chunks)
        numbers = flat_positions(chunk_rows * columns, np.full(len(chunk_rows), columns))
        return self.offsets[numbers], self.sizes[numbers]


def with_leading(chunk_map: ChunkMap, leading: int) -> ChunkMap:
    """The map of a dataset some of whose leading axes make its rows; see `DatasetColumn`."""
    if leading == 1:
        return chunk_map
    if leading == 0:
        shape = chunk_map.shape
        grid = ChunkGrid(shape, chunk_map.chunks if shape else ())
        size = max(1, grid.chunk_size)
        return replace(chunk_map, shape=(grid.count, size), chunks=(1, size), grid=grid)
    axes = LeadingAxes.of(chunk_map.shape, chunk_map.chunks)
    rows = axes.rows if axes.is_in_order else axes.places
    return replace(
        chunk_map,
        shape=(rows, *chunk_map.shape[2:]),
        chunks=(axes.chunk_rows, *chunk_map.chunks[2:]),
        axes=axes,
    )


def map_chunks(did: h5d.DatasetID, source: DatasetColumn, raw: RawFile) -> ChunkMap:
    """Ask HDF5 where the values of an open dataset lie.

    Args:
        did: the dataset.
        source: what is read of it.
        raw: the same file, opened without HDF5.

    Raises:
        NeedsHDF5Error: only HDF5 can read it.
        BadFileError: the map is inconsistent: the file is damaged.
        FileChangedError: its elements do not have the type that was scanned.
    """
    opened = DatasetInfo.of(did)
    if source.dtype != TABLE:  # of a table, `RecordColumns` checks the columns
        check_type(raw.path, source, opened.element)
    try:
        extents = locate(opened, raw.path, raw.stamp[0])
    except DamageError as error:
        raise BadFileError(f"{name_of(raw.path, source)} is damaged: {error}. Copy the file again") from error
    chunk_map = chunk_map_of(extents, opened.shape or (), opened.chunks, opened.itemsize)
    return replace(chunk_map, nbytes=extents.numbers.nbytes)


def chunk_map_of(
    extents: Extents, shape: tuple[int, ...], chunks: tuple[int, ...] | None, itemsize: int
) -> ChunkMap:
    """The map of a dataset with known extents; it shares their memory.

    Args:
        extents: where the values lie.
        shape: shape of the dataset.
        chunks: shape of a chunk; None where it is contiguous.
        itemsize: bytes of an element.

    Raises:
        NeedsHDF5Error: only HDF5 can read it.
    """
    if extents.reason:
        raise NeedsHDF5Error(extents.reason)
    chunks = chunks or shape or (1,)
    chunk_bytes = math.prod(chunks) * itemsize
    try:
        pipeline = _pipeline(extents.filters, chunk_bytes) if extents.filters else None
    except NoCodecError as error:
        raise NeedsHDF5Error(str(error)) from None
    sizes, masks = extents.sizes(chunk_bytes), extents.masks
    return ChunkMap(shape, itemsize, chunks, extents.offsets, sizes, masks, pipeline, extents.record)


@lru_cache(maxsize=256)
def _pipeline(filters: FilterValues, chunk_bytes: int) -> FilterPipeline:
    """The pipeline of all datasets with these filters and chunks."""
    return FilterPipeline(filters, chunk_bytes)
