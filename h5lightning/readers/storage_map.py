"""Where the bytes of a dataset lie in its file: libhdf5 is asked once, then reads go without it.

The chunk map is checked as a whole: each chunk is there once, inside of the file, and overlaps no other. That
alone tells most damaged files from whole ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from h5py import h5d, h5i, h5t

from h5lightning.codecs import Filter, NoCodecError, Pipeline
from h5lightning.errors import BadFileError
from h5lightning.readers.checks import check_type, name_of
from h5lightning.readers.protocol import RowSource
from h5lightning.readers.raw_file import RawFile
from h5lightning.scanning.element_types import element_type

__all__ = ["NeedsHDF5Error", "StorageMap", "column_parts", "map_storage"]

Int64Array = npt.NDArray[np.int64]


class NeedsHDF5Error(ValueError):
    """A dataset that only HDF5 can read; the message is what a sentence says of it."""


@dataclass(frozen=True, slots=True, eq=False)
class StorageMap:
    """The extents of one dataset, in bytes from the start of the file.

    Args:
        shape: shape of the dataset, ``()`` for a scalar.
        itemsize: bytes of an element.
        chunks: shape of a chunk; that of the dataset where it is contiguous, ``(1,)`` for a scalar.
        offsets: first byte of each chunk in the order of the grid, ``(chunks,)``.
        sizes: stored bytes of each chunk, ``(chunks,)``.
        masks: filters that were skipped, of each chunk, ``(chunks,)``.
        pipeline: decodes a chunk; None where the values are stored as they are.
    """

    shape: tuple[int, ...]
    itemsize: int
    chunks: tuple[int, ...]
    offsets: Int64Array
    sizes: Int64Array
    masks: Int64Array
    pipeline: Pipeline | None

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return self.shape[1:]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return math.prod(self.row_shape) * self.itemsize

    @property
    def chunk_rows(self) -> int:
        """Rows of a chunk; the last one may hold fewer rows of the dataset."""
        return self.chunks[0]

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a decoded chunk."""
        return math.prod(self.chunks) * self.itemsize

    @property
    def holds_whole_rows(self) -> bool:
        """Whether the rows of a chunk lie in it one after the other, whole and without padding."""
        return self.chunks[1:] == self.row_shape

    @property
    def nbytes(self) -> int:
        """Bytes that the map takes in memory."""
        return 3 * self.offsets.nbytes


def column_parts(storage: StorageMap) -> list[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """For each chunk of a slab: the part of a row that it holds, and where in the chunk that is."""
    axes = [
        [
            (slice(start, min(start + chunk, length)), slice(0, min(chunk, length - start)))
            for start in range(0, length, chunk)
        ]
        for length, chunk in zip(storage.row_shape, storage.chunks[1:], strict=True)
    ]
    return [
        (tuple(part for part, _ in parts), tuple(inside for _, inside in parts)) for parts in product(*axes)
    ]


def grid_of(shape: tuple[int, ...], chunks: tuple[int, ...]) -> tuple[int, ...]:
    """Chunks along each axis."""
    return tuple(-(-length // chunk) for length, chunk in zip(shape, chunks, strict=True))


def map_storage(did: h5d.DatasetID, source: RowSource, raw: RawFile) -> StorageMap:
    """Where the values of an opened dataset lie.

    Args:
        did: the dataset.
        source: what is read of it.
        raw: the same file, opened without HDF5.

    Raises:
        NeedsHDF5Error: only HDF5 can read it.
        BadFileError: the map makes no sense: the file is damaged.
        FileChangedError: its elements are not those that were scanned.
    """
    itemsize = _checked_itemsize(did, source, raw.path)
    shape = did.shape
    if shape is None or not math.prod(shape):
        raise NeedsHDF5Error("holds no values")
    plist = did.get_create_plist()
    if plist.get_external_count():
        raise NeedsHDF5Error("keeps its values outside of the file")
    layout = plist.get_layout()
    if layout == h5d.CONTIGUOUS:
        found = _map_contiguous(did, shape, itemsize)
    elif layout == h5d.CHUNKED:
        filters = [Filter(*plist.get_filter(i)[::2]) for i in range(plist.get_nfilters())]
        found = _map_chunks(did, shape, itemsize, plist.get_chunk(), filters)
    else:
        raise NeedsHDF5Error(f"is {_LAYOUTS.get(layout, 'stored in an unknown layout')}")
    _check_extents(found, source, raw)
    _check_user_block(did, found, layout, raw)
    return found


_LAYOUTS = {
    h5d.COMPACT: "compact: its values lie inside of a header",
    h5d.VIRTUAL: "virtual: its values lie in other files",
}


# ── elements ─────────────────────────────────────────────────────────────────────────────────────────


def _checked_itemsize(did: h5d.DatasetID, source: RowSource, file: str) -> int:
    """Bytes of an element, if they are those that NumPy knows."""
    tid = did.get_type()
    element = element_type(tid)
    check_type(file, source, element)
    itemsize = np.dtype(source.dtype).itemsize
    if source.member is not None:
        raise NeedsHDF5Error("is a column of a table (compound)")
    if tid.get_class() == h5t.BITFIELD:
        raise NeedsHDF5Error("holds bit fields")
    if element.is_converted or tid.get_size() != itemsize or not _is_in_order(tid):
        raise NeedsHDF5Error("holds elements that HDF5 must convert")
    return itemsize


def _is_in_order(tid: h5t.TypeID) -> bool:
    """Whether the parts of a compound, of complex numbers that is, follow each other."""
    return bool(tid.get_class() != h5t.COMPOUND or tid.get_member_offset(0) < tid.get_member_offset(1))


# ── extents ──────────────────────────────────────────────────────────────────────────────────────────


def _map_contiguous(did: h5d.DatasetID, shape: tuple[int, ...], itemsize: int) -> StorageMap:
    offset = did.get_offset()
    if offset is None:
        raise NeedsHDF5Error("was never written")
    offsets, sizes, masks = np.array([[offset], [math.prod(shape) * itemsize], [0]], dtype=np.int64)
    return StorageMap(shape, itemsize, shape or (1,), offsets, sizes, masks, pipeline=None)


def _map_chunks(
    did: h5d.DatasetID,
    shape: tuple[int, ...],
    itemsize: int,
    chunks: tuple[int, ...],
    filters: list[Filter],
) -> StorageMap:
    pipeline = _pipeline(filters, math.prod(chunks) * itemsize)
    cells = grid_of(shape, chunks)
    if did.get_num_chunks() != math.prod(cells):
        raise NeedsHDF5Error("has chunks that were never written")
    coordinates, extents = _stored_chunks(did, len(shape))
    places, rest = np.divmod(coordinates, np.asarray(chunks))
    if rest.any() or (places < 0).any() or (places >= cells).any():
        raise NeedsHDF5Error("has chunks beside the grid of its chunks")
    numbers = np.ravel_multi_index(tuple(places.T), cells)
    order = np.argsort(numbers)
    if not np.array_equal(numbers[order], np.arange(math.prod(cells))):
        raise NeedsHDF5Error("has chunks that were never written")
    offsets, sizes, masks = extents[order].T.copy()
    found = StorageMap(shape, itemsize, chunks, offsets, sizes, masks, pipeline)
    if pipeline is not None and _may_skip_edges(found, cells):
        raise NeedsHDF5Error("has chunks at its edges that may be stored without filters")
    return found


def _pipeline(filters: list[Filter], chunk_bytes: int) -> Pipeline | None:
    if not filters:
        return None
    try:
        return Pipeline(filters, chunk_bytes)
    except NoCodecError as error:
        raise NeedsHDF5Error(str(error)) from None


def _stored_chunks(did: h5d.DatasetID, axes: int) -> tuple[Int64Array, Int64Array]:
    """Coordinates of the stored chunks, ``(chunks, axes)``, and offset, size and mask, ``(chunks, 3)``."""
    coordinates: list[tuple[int, ...]] = []
    extents: list[tuple[int, int, int]] = []

    def visit(chunk: h5d.StoreInfo) -> None:
        coordinates.append(chunk.chunk_offset)
        extents.append((chunk.byte_offset, chunk.size, chunk.filter_mask))

    did.chunk_iter(visit)
    return (
        np.array(coordinates, dtype=np.int64).reshape(-1, axes),
        np.array(extents, dtype=np.int64).reshape(-1, 3),
    )


def _may_skip_edges(found: StorageMap, cells: tuple[int, ...]) -> bool:
    """Whether a chunk that reaches past the dataset has the size of one without filters.

    HDF5 can be told not to filter those, which neither their filter mask nor h5py shows.
    """
    edges = np.zeros(cells, dtype=np.bool_)
    for axis, (length, chunk) in enumerate(zip(found.shape, found.chunks, strict=True)):
        if length % chunk:
            np.moveaxis(edges, axis, 0)[-1] = True
    return bool((edges.ravel() & (found.sizes == found.chunk_bytes) & (found.masks == 0)).any())


# ── does it make sense? ──────────────────────────────────────────────────────────────────────────────


def _check_extents(found: StorageMap, source: RowSource, raw: RawFile) -> None:
    order = np.argsort(found.offsets)
    starts, sizes = found.offsets[order], found.sizes[order]
    stops = starts + sizes
    file_bytes = raw.stamp[0]
    if (starts < 0).any() or (sizes <= 0).any() or (stops > file_bytes).any():
        problem = f"its values lie past the end of the file, at byte {file_bytes}"
    elif (starts[1:] < stops[:-1]).any():
        problem = "two of its chunks overlap"
    elif found.pipeline is None and (sizes != found.chunk_bytes).any():
        problem = f"a chunk has {_first_other(sizes, found.chunk_bytes)} bytes, expected {found.chunk_bytes}"
    else:
        return
    raise BadFileError(f"{name_of(raw.path, source)} is damaged: {problem}. Copy the file again")


def _first_other(sizes: Iterable[int], expected: int) -> int:
    return next(int(size) for size in sizes if size != expected)


def _check_user_block(did: h5d.DatasetID, found: StorageMap, layout: int, raw: RawFile) -> None:
    # Some versions of HDF5 count the bytes of chunks from the end of the user block.
    if layout != h5d.CHUNKED or not h5i.get_file_id(did).get_create_plist().get_userblock():
        return
    _, expected = did.read_direct_chunk((0,) * len(found.shape))
    if bytes(raw.read(int(found.offsets[0]), int(found.sizes[0]))) != bytes(expected):
        raise NeedsHDF5Error("lies behind a user block, and this version of HDF5 does not count its bytes")
