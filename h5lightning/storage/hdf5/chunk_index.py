"""Where the values of a dataset lie: libhdf5 is asked once, then they can be read without it."""

from __future__ import annotations

import math
from array import array

import numpy as np
from h5py import h5d, h5i, h5s

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.planning.catalog.extents import Extents
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.filters import DEFLATE, FLETCHER32, SHUFFLE

__all__ = ["DamageError", "find_damage", "locate"]


_CHECKSUM_BYTES = 4
_MOST_DEFLATED = 1032  # deflate cannot make more of a byte: https://www.zlib.net/zlib_tech.html
_HEADER_BYTES = 4096  # more than any compressor adds to what it cannot make smaller

_NEW_INDEXES = 3  # the version of the superblock from which on there are extensible arrays

_ONLY_HDF5 = {
    "compact": "is compact: its values lie inside of a header",
    "virtual": "is virtual: its values lie in other files",
    "external": "keeps its values outside of the file",
    "unknown": "is stored in an unknown layout",
}


class DamageError(ValueError):
    """A dataset whose stored parts make no sense; the message is what a sentence says of it."""


def locate(opened: DatasetInfo, file: str, file_bytes: int) -> Extents:
    """The extents of a dataset, or why only HDF5 can read it; each chunk takes 1 µs.

    Args:
        opened: the dataset.
        file: where the file lies.
        file_bytes: its size.

    Raises:
        DamageError: what is stored makes no sense, whoever reads it.
    """
    if opened.shape is None:
        return Extents.unreadable("holds no values")
    if 0 in opened.shape:
        reason = opened.element.hdf5_reason
        return Extents.unreadable(reason) if reason else Extents.nothing()
    if opened.storage in _ONLY_HDF5:
        return Extents.unreadable(_ONLY_HDF5[opened.storage])
    _check_shuffle(opened)
    found = _locate_chunks(opened, opened.shape, opened.chunks) if opened.chunks else _locate_whole(opened)
    if damage := find_damage(found, opened.chunk_bytes, file_bytes):
        raise DamageError(damage)
    reason = found.reason or opened.element.hdf5_reason or _doubt(opened, found, file)
    return Extents.unreadable(reason) if reason else found


def _check_shuffle(opened: DatasetInfo) -> None:
    """Raise if bytes were shuffled as those of other elements: undoing that would take hours, or make no sense."""
    for number, values in opened.filters:
        if number == SHUFFLE and values[:1] != (opened.itemsize,):
            raise DamageError(f"its shuffle filter has the values {values}, expected ({opened.itemsize},)")


def _locate_whole(opened: DatasetInfo) -> Extents:
    offset = opened.did.get_offset()
    return Extents.unreadable("was never written") if offset is None else Extents(np.array([[offset]]))


def _locate_chunks(opened: DatasetInfo, shape: tuple[int, ...], chunks: tuple[int, ...]) -> Extents:
    if len(shape) > 1 and _is_told_wrongly(opened.did):
        return Extents.unreadable(
            "grows along another axis than the first, and HDF5 tells wrongly where its chunks lie"
        )
    cells = _cells(shape, chunks)
    count = math.prod(cells)
    missing = count - opened.did.get_num_chunks()
    if missing > 0:
        return Extents.unreadable("has chunks that were never written")
    stored = _stored_chunks(opened.did, len(shape))
    places, rest = np.divmod(stored[:, : len(shape)], np.asarray(chunks))
    if rest.any() or (places < 0).any() or (places >= cells).any():
        raise DamageError("it has chunks beside the grid of its chunks")
    numbers = np.ravel_multi_index(tuple(places.T), cells)
    order = np.argsort(numbers)
    if not np.array_equal(numbers[order], np.arange(count)):
        raise DamageError("it has more than one chunk for the same place")
    offsets, sizes, masks = stored[order, len(shape) :].T
    return Extents.of(offsets, sizes, masks, opened.chunk_bytes, opened.filters)


def _is_told_wrongly(did: h5d.DatasetID) -> bool:
    """Whether its chunks have an index whose coordinates HDF5 mixes up when it lists them, but not when it reads them.

    Of extensible arrays it holds the axis that grows first, and forgets that on the way back.
    """
    grows = [length == h5s.UNLIMITED for length in did.get_space().get_simple_extent_dims(True)]
    if grows[0] or sum(grows) != 1:
        return False
    return bool(h5i.get_file_id(did).get_create_plist().get_version()[0] >= _NEW_INDEXES)


def _cells(shape: tuple[int, ...], chunks: tuple[int, ...]) -> tuple[int, ...]:
    """Chunks along each axis."""
    return tuple(-(-length // chunk) for length, chunk in zip(shape, chunks, strict=True))


def _doubt(opened: DatasetInfo, found: Extents, file: str) -> str:
    """Why the chunks may not be what they seem; empty if they are."""
    if opened.shape is None or opened.chunks is None:
        return ""
    edges = _edges(opened.shape, opened.chunks, _cells(opened.shape, opened.chunks))
    if found.filters and _may_skip_edges(found, opened.chunk_bytes, edges):
        return "has chunks at its edges that may be stored without filters"
    if not _counts_user_block(opened, found, file):
        return "lies behind a user block, and this version of HDF5 does not count its bytes"
    return ""


def _stored_chunks(did: h5d.DatasetID, axes: int) -> Int64Array:
    """Coordinates, offset, size and mask of the stored chunks, ``(chunks, axes + 3)``."""
    # Eight bytes for each number, where a tuple of integers takes fifty. A damaged address may need all 64 bits.
    found = array("Q")
    add = found.extend

    def visit(chunk: h5d.StoreInfo) -> None:
        add((*chunk.chunk_offset, chunk.byte_offset, chunk.size, chunk.filter_mask))

    did.chunk_iter(visit)
    return np.frombuffer(found, dtype=np.uint64).view(np.int64).reshape(-1, axes + 3)


def _edges(shape: tuple[int, ...], chunks: tuple[int, ...], cells: tuple[int, ...]) -> BoolArray:
    """Which chunks reach past the dataset, in the order of the grid, ``(chunks,)``."""
    edges = np.zeros(cells, dtype=np.bool_)
    for axis, (length, chunk) in enumerate(zip(shape, chunks, strict=True)):
        if length % chunk:
            np.moveaxis(edges, axis, 0)[-1] = True
    return edges.ravel()


def _may_skip_edges(found: Extents, chunk_bytes: int, edges: BoolArray) -> bool:
    """Whether a chunk that reaches past the dataset has the size of one without filters.

    HDF5 can be told not to filter those, which neither their filter mask nor h5py shows.
    """
    return bool((edges & (found.sizes(chunk_bytes) == chunk_bytes) & (found.masks == 0)).any())


def _counts_user_block(opened: DatasetInfo, found: Extents, file: str) -> bool:
    """Whether the first chunk lies where it should: some versions of HDF5 count from the end of the user block."""
    if not h5i.get_file_id(opened.did).get_create_plist().get_userblock():
        return True
    _, expected = opened.did.read_direct_chunk((0,) * len(opened.shape or ()))
    with open(file, "rb") as raw:
        raw.seek(int(found.offsets[0]))
        return raw.read(int(found.sizes(opened.chunk_bytes)[0])) == bytes(expected)


def find_damage(extents: Extents, chunk_bytes: int, file_bytes: int) -> str:
    """What makes no sense about the extents of a dataset; empty if nothing does.

    That each chunk lies inside of the file, overlaps no other and is of a size that its filters can make tells most
    damaged files from whole ones. HDF5 promises no alignment.

    Args:
        extents: where the chunks lie.
        chunk_bytes: bytes of a decoded chunk.
        file_bytes: bytes of the file.
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
    others = sizes[sizes != chunk_bytes]
    return f"a chunk has {others[0]} bytes, expected {chunk_bytes}" if others.size else ""


def _find_wrong_size(extents: Extents, chunk_bytes: int) -> str:
    """A chunk that its filters cannot have made of what they were given; empty if there is none."""
    sizes = extents.sizes(chunk_bytes)[extents.masks == 0]
    numbers = [number for number, _ in extents.filters]
    added = _CHECKSUM_BYTES * numbers.count(FLETCHER32)
    compressors = [number for number in numbers if number not in (SHUFFLE, FLETCHER32)]
    if not compressors:
        # At the edges of a dataset, chunks may be stored without filters.
        others = sizes[(sizes != chunk_bytes + added) & (sizes != chunk_bytes)]
        return f"a chunk has {others[0]} bytes, expected {chunk_bytes + added}" if others.size else ""
    least = added + (chunk_bytes // _MOST_DEFLATED if compressors == [DEFLATE] else 1)
    most = added + chunk_bytes + chunk_bytes // 8 + _HEADER_BYTES
    others = sizes[(sizes < least) | (sizes > most)]
    if not others.size:
        return ""
    return f"a chunk of {chunk_bytes} bytes is stored in {others[0]}, expected {least} to {most} after its filters"


def _past_the_end(file_bytes: int) -> str:
    return f"its values lie past the end of the file, at byte {file_bytes}"
