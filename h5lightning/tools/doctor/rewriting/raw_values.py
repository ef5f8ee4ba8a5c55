"""Values of any type, moved as the bytes that they are in memory: nothing is converted on the way.

Both sides name the same type, so that HDF5 has nothing to convert, and NumPy need not know the type. Values of variable
length come as pointers, which HDF5 follows when it writes them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5a, h5d, h5s, h5t

from h5lightning.core.arrays import BoolArray
from h5lightning.errors import FieldError
from h5lightning.tools.doctor.rewriting.storage_options import RowRanges

__all__ = [
    "Elements",
    "attribute_names",
    "copy_attributes",
    "copy_rows",
    "first_difference",
    "write_rows",
    "written_rows",
]

_STEP_BYTES = 64 * 1024 * 1024
_LARGEST_STEP_BYTES = 256 * 1024 * 1024


# ── attributes ───────────────────────────────────────────────────────────────────────────────────────


def attribute_names(obj: Any) -> list[bytes]:
    """The attributes of an object, in the order in which they were made where that is known."""
    order = h5py.h5.INDEX_CRT_ORDER if _is_tracked(obj) else h5py.h5.INDEX_NAME
    count = h5a.get_num_attrs(obj)
    return [h5a.open(obj, index=number, index_type=order).name for number in range(count)]


def _is_tracked(obj: Any) -> bool:
    return isinstance(obj, h5d.DatasetID) and bool(
        obj.get_create_plist().get_attr_creation_order() & h5py.h5p.CRT_ORDER_TRACKED
    )


def copy_attributes(old: h5d.DatasetID, new: h5d.DatasetID) -> None:
    """Copy all attributes to another dataset of the same file."""
    for name in attribute_names(old):
        attribute = h5a.open(old, name)
        tid, space = attribute.get_type(), attribute.get_space()
        copied = h5a.create(new, name, tid, space)
        if space.get_simple_extent_npoints():
            values = np.zeros(attribute.shape, _raw(tid))
            attribute.read(values, mtype=tid)
            copied.write(values, mtype=tid)


def _raw(tid: h5t.TypeID) -> np.dtype[Any]:
    return np.dtype(f"V{tid.get_size()}")


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Elements:
    """What is read of each element, and what is written.

    Args:
        read: the type in memory when the old dataset is read.
        written: the same for the new one.
        stored: the type in the new file.
        is_narrowed: read as float64, written as float32.
    """

    read: h5t.TypeID
    written: h5t.TypeID
    stored: h5t.TypeID
    is_narrowed: bool = False

    @classmethod
    def of(cls, tid: h5t.TypeID, member: str | None, dtype: str = "") -> Elements:
        """All of an element, or a member of it.

        Args:
            tid: the type of the old dataset.
            member: the member; None for all.
            dtype: ``float32`` makes float64 that; another one spells out what HDF5 must convert; empty changes nothing.

        Raises:
            FieldError: ``dtype`` is another one than the values have.
        """
        own = tid if member is None else _member_type(tid, member)
        is_wide = own.get_class() == h5t.FLOAT and own.dtype == np.dtype("f8").newbyteorder(
            own.dtype.byteorder
        )
        if dtype == "float32":
            if not is_wide:
                return cls.of(tid, member)
            little = own.get_order() == h5t.ORDER_LE
            read, written = h5t.NATIVE_DOUBLE, h5t.NATIVE_FLOAT
            stored, is_narrowed = h5t.IEEE_F32LE if little else h5t.IEEE_F32BE, True
        else:
            stored, is_narrowed = _plain_type(own, dtype), False
            written = stored
            # Bit fields are no numbers for HDF5, which converts them to none: their bytes are.
            read = own if own.get_class() == h5t.BITFIELD else stored
        return cls(read if member is None else _only(member, read), written, stored, is_narrowed)

    @property
    def itemsize(self) -> int:
        """Bytes of an element in the new file."""
        return int(self.stored.get_size())


def _plain_type(tid: h5t.TypeID, dtype: str) -> h5t.TypeID:
    if not dtype or tid.get_class() == h5t.ENUM:
        return tid
    is_bits = tid.get_class() == h5t.BITFIELD and tid.get_size() == np.dtype(dtype).itemsize
    if tid.dtype != np.dtype(dtype) and not is_bits:
        raise FieldError(f"holds {tid.dtype}, expected {np.dtype(dtype)}")
    return h5t.py_create(np.dtype(dtype), logical=True)


def _member_type(tid: h5t.TypeID, member: str) -> h5t.TypeID:
    return tid.get_member_type(tid.get_member_index(member.encode("utf-8", "surrogateescape")))


def _only(member: str, tid: h5t.TypeID) -> h5t.TypeID:
    """HDF5 takes the members of a compound by name."""
    compound = h5t.create(h5t.COMPOUND, tid.get_size())
    compound.insert(member.encode("utf-8", "surrogateescape"), 0, tid)
    return compound


def written_rows(did: h5d.DatasetID) -> RowRanges:
    """The rows that were ever written.

    Raises:
        FieldError: of some rows a part.
    """
    rows = did.shape[0] if did.shape else 1
    plist = did.get_create_plist()
    if not math.prod(did.shape):
        return []
    if plist.get_layout() == h5d.VIRTUAL or plist.get_external_count():
        return [(0, rows)]
    if plist.get_layout() != h5d.CHUNKED:
        return [(0, rows)] if did.get_storage_size() else []
    chunks = plist.get_chunk()
    across = math.prod(-(-length // chunk) for length, chunk in zip(did.shape[1:], chunks[1:], strict=True))
    slabs = -(-rows // chunks[0])
    if did.get_num_chunks() == slabs * across:
        return [(0, rows)]
    if did.get_space().get_simple_extent_dims(True)[1:].count(h5s.UNLIMITED):
        # HDF5 tells wrong places of chunks where one axis may grow, and that is not the first one.
        raise FieldError(
            "has chunks that were never written, and an axis that may grow beside the first one, so that HDF5 does not "
            "say which chunks. Finish writing it, or leave it as it is"
        )
    counts = np.zeros(slabs, np.int64)
    did.chunk_iter(lambda chunk: np.add.at(counts, chunk.chunk_offset[0] // chunks[0], 1))
    if ((counts > 0) & (counts < across)).any():
        raise FieldError(
            "has rows of which some chunks were never written: chunks of whole rows would have to fill them. "
            "Finish writing it, or leave it as it is"
        )
    return _runs(counts > 0, chunks[0], rows)


def _runs(is_written: BoolArray, height: int, rows: int) -> RowRanges:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_written, [False]]).astype(np.int8)))
    firsts, stops = (edges[::2] * height).tolist(), (edges[1::2] * height).tolist()
    return [(first, min(stop, rows)) for first, stop in zip(firsts, stops, strict=True)]


def copy_rows(
    old: h5d.DatasetID, new: h5d.DatasetID, elements: Elements, ranges: RowRanges, at: int = 0
) -> None:
    """Copy rows of one dataset to another.

    Args:
        old: where they are read.
        new: where they are written.
        elements: what is taken of each element.
        ranges: rows of ``old``.
        at: the row of ``new`` where the first row of ``old`` is put.

    Raises:
        FieldError: a value that float32 cannot hold.
    """
    for first, stop in _steps(old, new, elements, ranges):
        write_rows(new, first + at, stop + at, _read_old(old, first, stop, elements), elements.written)


def first_difference(
    old: h5d.DatasetID, new: h5d.DatasetID, elements: Elements, ranges: RowRanges, at: int = 0
) -> int | None:
    """The first row of ``old`` that ``new`` does not hold bit for bit; None if it holds all of them."""
    for first, stop in _steps(old, new, elements, ranges):
        expected = _read_old(old, first, stop, elements)
        found = np.zeros(expected.shape, expected.dtype)
        _read(new, first + at, stop + at, found, elements.written)
        if expected.tobytes() != found.tobytes():
            same = [one.tobytes() == other.tobytes() for one, other in zip(expected, found, strict=True)]
            return first + same.index(False)
    return None


def _steps(
    old: h5d.DatasetID, new: h5d.DatasetID, elements: Elements, ranges: RowRanges
) -> Iterator[tuple[int, int]]:
    """Rows to move together: whole chunks of the old dataset, and of the new one where that is not too much."""
    row_bytes = max(1, math.prod(old.shape[1:]) * max(elements.read.get_size(), 1))
    heights = [_chunk_height(did) for did in (old, new)]
    height = math.lcm(*heights)
    if height * row_bytes > _LARGEST_STEP_BYTES:
        height = heights[0]
    step = max(1, _STEP_BYTES // (row_bytes * height)) * height
    for first, stop in ranges:
        for start in range(first, stop, step):
            yield start, min(start + step, stop)


def _chunk_height(did: h5d.DatasetID) -> int:
    plist = did.get_create_plist()
    return int(plist.get_chunk()[0]) if plist.get_layout() == h5d.CHUNKED else 1


def _read_old(did: h5d.DatasetID, first: int, stop: int, elements: Elements) -> npt.NDArray[Any]:
    shape = (stop - first, *did.shape[1:])
    if not elements.is_narrowed:
        values = np.zeros(shape, _raw(elements.read))
        _read(did, first, stop, values, elements.read)
        return values
    wide = np.zeros(shape, "f8")
    _read(did, first, stop, wide, elements.read)
    with np.errstate(over="ignore"):
        narrow = wide.astype("f4")
    bad = np.isinf(narrow) & ~np.isinf(wide)
    if bad.any():
        raise FieldError(f"holds {wide[bad][0]}, which is too large for float32: leave it as float64")
    return narrow


def _read(did: h5d.DatasetID, first: int, stop: int, out: npt.NDArray[Any], tid: h5t.TypeID) -> None:
    memory, space = _spaces(did, first, stop)
    did.read(memory, space, out, mtype=tid)


def write_rows(did: h5d.DatasetID, first: int, stop: int, values: npt.NDArray[Any], tid: h5t.TypeID) -> None:
    """Write rows whose type in memory is ``tid``."""
    memory, space = _spaces(did, first, stop)
    did.write(memory, space, values, mtype=tid)


def _spaces(did: h5d.DatasetID, first: int, stop: int) -> tuple[h5s.SpaceID, h5s.SpaceID]:
    shape = (stop - first, *did.shape[1:])
    space = did.get_space()
    space.select_hyperslab((first, *[0] * (len(shape) - 1)), shape)
    return h5s.create_simple(shape), space
