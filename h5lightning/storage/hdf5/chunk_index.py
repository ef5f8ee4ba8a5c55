"""The chunk index of a dataset: where its stored bytes lie, so that they can be read without libhdf5."""

from __future__ import annotations

import math
from array import array
from dataclasses import replace

import numpy as np
from h5py import h5d, h5i, h5s

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.planning.catalog.extents import Extents, FilterValues
from h5lightning.planning.catalog.schema import HEAP_REFERENCE, VARIABLE_LENGTH
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.filters import DEFLATE, FLETCHER32, SHUFFLE

__all__ = ["DamageError", "find_damage", "locate", "stored_extents"]

_CHECKSUM_BYTES = 4
_MOST_DEFLATED = 1032  # decoded bytes of one deflated byte, at most: https://www.zlib.net/zlib_tech.html
_ADDRESS_BYTES = 8
_HEADER_BYTES = 4096  # more than any compressor adds to data that it cannot compress

_NEW_INDEXES = 3  # version of the superblock since which chunk indexes may be extensible arrays

_ONLY_HDF5 = {
    "compact": "is compact: its values lie inside of a header",
    "virtual": "is virtual: its values lie in other files",
    "external": "keeps its values outside of the file",
    "unknown": "is stored in an unknown layout",
}


class DamageError(ValueError):
    """The stored chunks of a dataset contradict each other or the file; the message says how."""


def locate(opened: DatasetInfo, file: str, file_bytes: int) -> Extents:
    """The extents of a dataset, or why only HDF5 can read its values; takes 1 µs for each chunk.

    Raises:
        DamageError: the file is damaged.
    """
    if reason := _doubt_references(opened):
        return Extents.unreadable(reason)
    extents = stored_extents(opened, file_bytes)
    if extents.reason:
        return extents
    reason = opened.element.hdf5_reason or _doubt_records(opened) or _doubt(opened, extents, file)
    return Extents.unreadable(reason) if reason else replace(extents, record=opened.element.record)


def stored_extents(opened: DatasetInfo, file_bytes: int) -> Extents:
    """As `locate`, also for bytes that only HDF5 can convert or decode."""
    if opened.shape is None:
        return Extents.unreadable("holds no values")
    if 0 in opened.shape:
        return Extents.nothing()
    if opened.storage in _ONLY_HDF5:
        return Extents.unreadable(_ONLY_HDF5[opened.storage])
    _check_shuffle(opened)
    extents = (
        _locate_chunks(opened, opened.shape, opened.chunks) if opened.chunks else _locate_contiguous(opened)
    )
    if damage := find_damage(extents, opened.chunk_bytes, file_bytes):
        raise DamageError(damage)
    return extents


def _check_shuffle(opened: DatasetInfo) -> None:
    """Raise if the shuffle filter has another element size: undoing it would take hours, or give nonsense."""
    for number, values in opened.filters:
        if number == SHUFFLE and values and values[0] != opened.itemsize:
            raise DamageError(f"its shuffle filter has the values {values}, expected ({opened.itemsize},)")


def _locate_contiguous(opened: DatasetInfo) -> Extents:
    offset = opened.did.get_offset()
    return Extents.unreadable("was never written") if offset is None else Extents(np.array([[offset]]))


def _locate_chunks(opened: DatasetInfo, shape: tuple[int, ...], chunks: tuple[int, ...]) -> Extents:
    if len(shape) > 1 and _has_misreported_index(opened.did):
        return Extents.unreadable("grows along another axis than the first, where HDF5 misreports its chunks")
    grid = _grid_shape(shape, chunks)
    count = math.prod(grid)
    if opened.did.get_num_chunks() < count:
        return Extents.unreadable("has chunks that were never written")
    stored = _stored_chunks(opened.did, len(shape))
    coordinates, remainders = np.divmod(stored[:, : len(shape)], np.asarray(chunks))
    if remainders.any() or (coordinates < 0).any() or (coordinates >= grid).any():
        raise DamageError("it has chunks outside of its chunk grid")
    numbers = np.ravel_multi_index(tuple(coordinates.T), grid)
    order = np.argsort(numbers)
    if not np.array_equal(numbers[order], np.arange(count)):
        raise DamageError("it has more than one chunk at the same place of its chunk grid")
    offsets, sizes, masks = stored[order, len(shape) :].T
    return Extents.of(offsets, sizes, masks, opened.chunk_bytes, _filters(opened, masks))


def _filters(opened: DatasetInfo, masks: Int64Array) -> FilterValues:
    """The filters of a dataset, with the parameter that HDF5 does not write for a filter that all chunks skip.

    It does not shuffle elements of variable length.
    """
    filters = list(opened.filters)
    for position, (number, values) in enumerate(filters):
        if number == SHUFFLE and not values:
            if not (masks >> position & 1).all():
                raise DamageError(f"its shuffle filter has no element size, expected ({opened.itemsize},)")
            filters[position] = number, (opened.itemsize,)
    return tuple(filters)


def _has_misreported_index(did: h5d.DatasetID) -> bool:
    """Whether the chunk index is an extensible array whose growing axis is not the first.

    Such an index stores that axis first. HDF5 reads it correctly, but mixes up the coordinates when it lists chunks.
    """
    grows = [length == h5s.UNLIMITED for length in did.get_space().get_simple_extent_dims(True)]
    if grows[0] or sum(grows) != 1:
        return False
    return bool(h5i.get_file_id(did).get_create_plist().get_version()[0] >= _NEW_INDEXES)


def _grid_shape(shape: tuple[int, ...], chunks: tuple[int, ...]) -> tuple[int, ...]:
    """Number of chunks along each axis."""
    return tuple(-(-length // chunk) for length, chunk in zip(shape, chunks, strict=True))


def _doubt(opened: DatasetInfo, extents: Extents, file: str) -> str:
    """Why the stored bytes of the chunks may not be what they seem; empty if they are."""
    if not opened.shape or opened.chunks is None or 0 in opened.shape:
        return ""
    edges = _edges(opened.shape, opened.chunks)
    if extents.filters and _may_skip_edges(extents, opened.chunk_bytes, edges):
        return "has chunks at its edges that may be stored without filters"
    if not _counts_user_block(opened, extents, file):
        return "lies behind a user block, whose bytes this version of HDF5 does not count"
    return ""


def _doubt_records(opened: DatasetInfo) -> str:
    """Why the columns of a table may not lie where they seem; empty if they do."""
    if opened.element.record is None:
        return ""
    address_bytes, _ = h5i.get_file_id(opened.did).get_create_plist().get_sizes()
    # Text and sequences of variable length take fewer bytes with shorter addresses.
    return "" if address_bytes == _ADDRESS_BYTES else "is a table in a file with short addresses"


def _doubt_references(opened: DatasetInfo) -> str:
    """Why elements of variable length may not take 16 bytes each; empty if they do, or if they have no such length."""
    element = opened.element
    if element.raw != HEAP_REFERENCE or element.dtype != VARIABLE_LENGTH:
        return ""
    sizes = h5i.get_file_id(opened.did).get_create_plist().get_sizes()
    is_plain = tuple(sizes) == (_ADDRESS_BYTES, _ADDRESS_BYTES)
    return "" if is_plain else "holds bytes of variable length in a file with short addresses"


def _stored_chunks(did: h5d.DatasetID, axes: int) -> Int64Array:
    """Coordinates, offset, size and filter mask of the stored chunks, ``(chunks, axes + 3)``."""
    # Eight bytes for each number, where a tuple of integers takes fifty. A damaged address may need all 64 bits.
    numbers = array("Q")
    add = numbers.extend

    def visit(chunk: h5d.StoreInfo) -> None:
        add((*chunk.chunk_offset, chunk.byte_offset, chunk.size, chunk.filter_mask))

    did.chunk_iter(visit)
    return np.frombuffer(numbers, dtype=np.uint64).view(np.int64).reshape(-1, axes + 3)


def _edges(shape: tuple[int, ...], chunks: tuple[int, ...]) -> BoolArray:
    """Which chunks reach past the dataset, in the order of the grid, ``(chunks,)``."""
    edges = np.zeros(_grid_shape(shape, chunks), dtype=np.bool_)
    for axis, (length, chunk) in enumerate(zip(shape, chunks, strict=True)):
        if length % chunk:
            np.moveaxis(edges, axis, 0)[-1] = True
    return edges.ravel()


def _may_skip_edges(extents: Extents, chunk_bytes: int, edges: BoolArray) -> bool:
    """Whether a chunk that reaches past the dataset has the size of an unfiltered chunk.

    HDF5 can leave such chunks unfiltered, which neither their filter mask nor h5py shows.
    """
    return bool((edges & (extents.sizes(chunk_bytes) == chunk_bytes) & (extents.masks == 0)).any())


def _counts_user_block(opened: DatasetInfo, extents: Extents, file: str) -> bool:
    """Whether the first chunk lies at its offset: some versions of HDF5 count from the end of the user block."""
    if not h5i.get_file_id(opened.did).get_create_plist().get_userblock():
        return True
    _, expected = opened.did.read_direct_chunk((0,) * len(opened.shape or ()))
    with open(file, "rb") as raw:
        raw.seek(int(extents.offsets[0]))
        return raw.read(int(extents.sizes(opened.chunk_bytes)[0])) == bytes(expected)


def find_damage(extents: Extents, chunk_bytes: int, file_bytes: int) -> str:
    """How the extents of a dataset contradict each other or the file; empty if they do not.

    Each chunk must lie inside of the file, overlap no other, and have a size that its filters can make of the bytes
    of a decoded chunk. This finds most damaged files. HDF5 promises no alignment.
    """
    if extents.reason:
        return ""
    if extents.numbers.size == 1:
        start = int(extents.numbers[0, 0])
        return "" if 0 <= start <= file_bytes - chunk_bytes else _past_the_end(file_bytes)
    order = np.argsort(extents.offsets)
    starts, sizes = extents.offsets[order], extents.sizes(chunk_bytes)[order]
    stops = starts + sizes
    if (starts < 0).any() or (sizes <= 0).any() or (stops > file_bytes).any():
        return _past_the_end(file_bytes)
    if (starts[1:] < stops[:-1]).any():
        return "two of its chunks overlap"
    if extents.filters:
        return _find_wrong_size(extents, chunk_bytes)
    wrong = sizes[sizes != chunk_bytes]
    return f"a chunk has {wrong[0]} bytes, expected {chunk_bytes}" if wrong.size else ""


def _find_wrong_size(extents: Extents, chunk_bytes: int) -> str:
    """The stored size of a chunk that its filters cannot produce; empty if there is none."""
    sizes = extents.sizes(chunk_bytes)[extents.masks == 0]
    numbers = [number for number, _ in extents.filters]
    added = _CHECKSUM_BYTES * numbers.count(FLETCHER32)
    compressors = [number for number in numbers if number not in (SHUFFLE, FLETCHER32)]
    if not compressors:
        # At the edges of a dataset, chunks may be stored without filters.
        wrong = sizes[(sizes != chunk_bytes + added) & (sizes != chunk_bytes)]
        return f"a chunk has {wrong[0]} bytes, expected {chunk_bytes + added}" if wrong.size else ""
    least = added + (chunk_bytes // _MOST_DEFLATED if compressors == [DEFLATE] else 1)
    most = added + chunk_bytes + chunk_bytes // 8 + _HEADER_BYTES
    wrong = sizes[(sizes < least) | (sizes > most)]
    if not wrong.size:
        return ""
    return f"a chunk of {chunk_bytes} bytes is stored in {wrong[0]}, expected {least} to {most} after its filters"


def _past_the_end(file_bytes: int) -> str:
    return f"its values lie past the end of the file, at byte {file_bytes}"
