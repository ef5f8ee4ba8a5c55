"""The format of global heaps, in which HDF5 keeps elements of variable length: every number is checked before its use.

HDF5 file format specification, III.E. A file stores a reference for each element: its length, the address of a
collection, and the number of an object in it. A collection is a row of objects, each with its number and its size, so
that objects are found by walking. All walks of a batch take their steps together.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray, Bytes, Int64Array

__all__ = [
    "HEADER_BYTES",
    "REFERENCE",
    "HeapError",
    "HeapObjects",
    "collection_places",
    "collection_size",
    "find_objects",
]

REFERENCE = np.dtype([("length", "<u4"), ("address", "<u8"), ("number", "<u4")])
HEADER_BYTES = 16  # of a collection, and of an object

_COLLECTION = np.dtype([("signature", "S4"), ("version", "u1"), ("reserved", "V3"), ("size", "<u8")])
_OBJECT = np.dtype([("number", "<u2"), ("uses", "<u2"), ("reserved", "<u4"), ("size", "<u8")])
_MOST_OBJECTS = 65_535  # of a collection, since their numbers have 16 bits
_STEPS = np.arange(HEADER_BYTES)
_HEAD = struct.Struct("<H6xQ")  # number and size of an object
_MOST_TOGETHER = 128  # steps of all walks; a collection of text has about a hundred objects

_NOT_HELD = "names an object that its heap does not hold"
_TOO_LARGE = "lies in a heap with an object that is larger than the heap"
_NO_STEP = "lies in a heap whose free space has no size"
_TOO_LONG = "is longer than its object in the heap"

Verify = Callable[[Int64Array, Int64Array], None]  # first bytes of some parts, and their sizes, ``(N,)`` each


class HeapError(ValueError):
    """A reference that leads to no object; the message says why, to follow the name of the element.

    Args:
        entry: which of the references it is.
        reason: what is wrong.
    """

    def __init__(self, entry: int, reason: str) -> None:
        super().__init__(entry, reason)
        self.entry, self.reason = entry, reason


class HeapObjects(NamedTuple):
    """Where the bytes of some elements lie.

    Args:
        starts: the first byte of each, ``(N,)``.
        sizes: bytes of each, ``(N,)``.
    """

    starts: Int64Array
    sizes: Int64Array


def collection_places(references: npt.NDArray[Any], first: int, file_bytes: int) -> Int64Array:
    """Where the collections of some references begin in their file, -1 for those of empty elements, ``(N,)``.

    Args:
        references: of type `REFERENCE`, ``(N,)``.
        first: where addresses are counted from.
        file_bytes: size of the file.

    Raises:
        HeapError: a collection does not lie inside of the file.
    """
    is_filled = references["length"] > 0
    room = max(0, file_bytes - first - HEADER_BYTES)
    _refuse(is_filled & (references["address"] > room), "has an address beyond the end of the file")
    is_numbered = (references["number"] > 0) & (references["number"] <= _MOST_OBJECTS)
    _refuse(is_filled & ~is_numbered, "names an object that no heap has")
    return np.where(is_filled, references["address"], 0).astype(np.int64) + np.where(is_filled, first, -1)


def collection_size(header: Bytes, room: int) -> int:
    """Bytes of a collection, by its header, ``(16,)``; -1 if it is none, or takes more bytes than there are."""
    found = header.view(_COLLECTION)[0]
    is_one = found["signature"] == b"GCOL" and found["version"] == 1
    size = int(found["size"])
    return size if is_one and 2 * HEADER_BYTES <= size <= room else -1


def find_objects(
    view: Bytes, references: npt.NDArray[Any], places: Int64Array, verify: Verify | None = None
) -> HeapObjects:
    """Find the objects of some references.

    Args:
        view: bytes of the file, or of some of its collections, ``(bytes,)``.
        references: of type `REFERENCE`, ``(N,)``.
        places: where the collection of each begins in ``view``, -1 for empty elements, ``(N,)``.
        verify: verifies parts of ``view`` before they are used; None to verify nothing.

    Raises:
        HeapError: there is no such object, or it does not lie inside of its collection.
    """
    found = HeapObjects(np.zeros(len(places), np.int64), np.zeros(len(places), np.int64))
    walks = _begun(view, references, places, verify)
    for _ in range(_MOST_TOGETHER):
        if not len(walks.entries):
            break
        walks = _step(view, walks, found, verify)
    if len(walks.entries):
        _walk_alone(view, walks, found, verify)
    if verify is not None:
        is_filled = found.sizes > 0
        verify(found.starts[is_filled], found.sizes[is_filled])
    return found


class _Walks(NamedTuple):
    """Walks through collections.

    Args:
        entries: the numbers of the references, ``(N,)``.
        at: where the next object of each collection begins, ``(N,)``.
        stops: where the collection ends, ``(N,)``.
        numbers: the number of the object that each walk is for, ``(N,)``.
        lengths: bytes of the element, ``(N,)``.
    """

    entries: Int64Array
    at: Int64Array
    stops: Int64Array
    numbers: Int64Array
    lengths: Int64Array

    def of(self, which: npt.NDArray[Any]) -> _Walks:
        """Some of the walks."""
        return _Walks(*(values[which] for values in self))


def _step(view: Bytes, walks: _Walks, found: HeapObjects, verify: Verify | None) -> _Walks:
    """One step of all walks; those that have not found their object."""
    entries, at = walks.entries, walks.at
    _refuse(at > walks.stops - HEADER_BYTES, _NOT_HELD, entries)
    heads = _gathered(view, at, verify).view(_OBJECT).reshape(-1)
    room = walks.stops - at - HEADER_BYTES
    is_free = heads["number"] == 0  # its size counts the header
    most = np.where(is_free, room + HEADER_BYTES, room).astype(np.uint64)
    _refuse(heads["size"] > most, _TOO_LARGE, entries)
    size = heads["size"].astype(np.int64)
    _refuse(is_free & (size < HEADER_BYTES), _NO_STEP, entries)
    is_found = heads["number"] == walks.numbers
    here = walks.of(is_found)
    _refuse(here.lengths > size[is_found], _TOO_LONG, here.entries)
    found.starts[here.entries], found.sizes[here.entries] = here.at + HEADER_BYTES, here.lengths
    after = at + np.where(is_free, size, HEADER_BYTES + size + (-size) % 8)
    return walks._replace(at=after).of(~is_found)


def _walk_alone(view: Bytes, walks: _Walks, found: HeapObjects, verify: Verify | None) -> None:
    """Go on with walks through collections of many objects, each collection once."""
    _, first, which = np.unique(walks.at, return_index=True, return_inverse=True)
    for number, (at, stop) in enumerate(
        zip(walks.at[first].tolist(), walks.stops[first].tolist(), strict=True)
    ):
        own = walks.of(which.reshape(-1) == number)
        entry = int(own.entries[0])
        if verify is not None and at < stop:
            verify(np.asarray([at]), np.asarray([stop - at]))
        objects = _objects_of(view[:stop].data, at, stop, entry)
        for entry, wanted, length in zip(
            own.entries.tolist(), own.numbers.tolist(), own.lengths.tolist(), strict=True
        ):
            if wanted not in objects:
                raise HeapError(entry, _NOT_HELD)
            found.starts[entry], size = objects[wanted]
            if length > size:
                raise HeapError(entry, _TOO_LONG)
            found.sizes[entry] = length


def _objects_of(view: memoryview, at: int, stop: int, entry: int) -> dict[int, tuple[int, int]]:
    """The first byte and the size of each object of a collection from one of them on, by its number."""
    objects: dict[int, tuple[int, int]] = {}
    for _ in range(_MOST_OBJECTS):
        if at > stop - HEADER_BYTES:
            return objects
        number, size = _HEAD.unpack_from(view, at)
        if size > stop - at - (HEADER_BYTES if number else 0):
            raise HeapError(entry, _TOO_LARGE)
        if not number and size < HEADER_BYTES:
            raise HeapError(entry, _NO_STEP)
        objects.setdefault(number, (at + HEADER_BYTES, size))
        at += HEADER_BYTES + size + -size % 8 if number else size
    raise HeapError(entry, "lies in a heap with more objects than a heap can have")


def _begun(view: Bytes, references: npt.NDArray[Any], places: Int64Array, verify: Verify | None) -> _Walks:
    """Walks to the objects of all elements that are not empty."""
    entries = np.flatnonzero(places >= 0)
    at, stops = _first_objects(view, entries, places[entries], verify)
    wanted = references[entries]
    return _Walks(entries, at, stops, wanted["number"].astype(np.int64), wanted["length"].astype(np.int64))


def _first_objects(
    view: Bytes, entries: Int64Array, places: Int64Array, verify: Verify | None
) -> tuple[Int64Array, Int64Array]:
    """Where the first object of each collection begins, and where the collection ends."""
    _refuse(places > len(view) - HEADER_BYTES, "has an address beyond the end of the file", entries)
    heads = _gathered(view, places, verify).view(_COLLECTION).reshape(-1)
    is_one = (heads["signature"] == b"GCOL") & (heads["version"] == 1)
    _refuse(~is_one, "has an address at which no heap lies", entries)
    room = (len(view) - places).astype(np.uint64)
    _refuse(heads["size"] > room, "lies in a heap that is longer than the file", entries)
    return places + HEADER_BYTES, places + heads["size"].astype(np.int64)


def _gathered(view: Bytes, starts: Int64Array, verify: Verify | None) -> Bytes:
    """The bytes of some headers, ``(N, 16)``."""
    if verify is not None and len(starts):
        verify(starts, np.full(len(starts), HEADER_BYTES))
    heads: Bytes = view[starts[:, None] + _STEPS]
    return heads


def _refuse(is_wrong: BoolArray, reason: str, entries: Int64Array | None = None) -> None:
    """Raise `HeapError` for the first wrong entry; ``entries`` are their numbers."""
    if is_wrong.any():
        first = int(np.argmax(is_wrong))
        raise HeapError(first if entries is None else int(entries[first]), reason)
