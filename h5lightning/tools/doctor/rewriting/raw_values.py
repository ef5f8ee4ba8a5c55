"""Copy values of any type as the bytes that they are in memory, without any conversion.

Reading and writing name the same memory type, so that HDF5 has nothing to convert, and NumPy need not know the type.
Values of variable length are pointers, which HDF5 follows when it writes them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from h5py import h5a, h5d, h5o, h5s, h5t

from h5lightning.core.arrays import BoolArray
from h5lightning.errors import FieldError
from h5lightning.tools.doctor.rewriting.hdf5_objects import attribute_names, encoded
from h5lightning.tools.doctor.rewriting.storage_options import RowRanges

__all__ = ["Elements", "copy_attributes", "copy_rows", "first_difference", "write_rows", "written_rows"]

_STEP_BYTES = 64 * 1024 * 1024
_MAX_STEP_BYTES = 256 * 1024 * 1024


def copy_attributes(old: Any, new: Any, names: Sequence[bytes] | None = None) -> None:
    """Copy all attributes, or those with some names, to another object of the same or of another file."""
    is_same_file = h5o.get_info(old).fileno == h5o.get_info(new).fileno
    for name in attribute_names(old) if names is None else names:
        attribute = h5a.open(old, name)
        tid, space = attribute.get_type(), attribute.get_space()
        # A committed type is an object of its file.
        stored = tid.copy() if tid.committed() and not is_same_file else tid
        copied = h5a.create(new, name, stored, space)
        if space.get_simple_extent_npoints():
            values = np.zeros(attribute.shape, _raw(tid))
            attribute.read(values, mtype=tid)
            copied.write(values, mtype=tid)


def _raw(tid: h5t.TypeID) -> np.dtype[Any]:
    return np.dtype(f"V{tid.get_size()}")


@dataclass(frozen=True, slots=True)
class Elements:
    """The types with which elements are read and written.

    Args:
        read: memory type for reading the old dataset.
        written: memory type for writing the new one.
        stored: type in the new file.
        is_narrowed: whether float64 is read and float32 is written.
    """

    read: h5t.TypeID
    written: h5t.TypeID
    stored: h5t.TypeID
    is_narrowed: bool = False

    @classmethod
    def of(cls, tid: h5t.TypeID, member: str | None, dtype: str = "") -> Elements:
        """The types for whole elements, or for one member.

        Args:
            tid: the type of the old dataset.
            member: the member of a compound type; None for the whole element.
            dtype: ``float32`` narrows float64; another type must be the one that HDF5 converts to; empty keeps the
                type.

        Raises:
            FieldError: the values do not have the type ``dtype``.
        """
        own = tid if member is None else tid.get_member_type(tid.get_member_index(encoded(member)))
        is_float64 = own.get_class() == h5t.FLOAT and own.dtype == np.dtype("f8").newbyteorder(
            own.dtype.byteorder
        )
        if dtype == "float32":
            if not is_float64:
                return cls.of(tid, member)
            is_little = own.get_order() == h5t.ORDER_LE
            read, written = h5t.NATIVE_DOUBLE, h5t.NATIVE_FLOAT
            stored, is_narrowed = h5t.IEEE_F32LE if is_little else h5t.IEEE_F32BE, True
        else:
            stored, is_narrowed = _plain_type(own, dtype), False
            written = stored
            # HDF5 does not convert bit fields to numbers: their bytes are the numbers.
            read = own if own.get_class() == h5t.BITFIELD else stored
        return cls(read if member is None else _compound_of(member, read), written, stored, is_narrowed)

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


def _compound_of(member: str, tid: h5t.TypeID) -> h5t.TypeID:
    """A compound type with one member: HDF5 selects members by name."""
    compound = h5t.create(h5t.COMPOUND, tid.get_size())
    compound.insert(encoded(member), 0, tid)
    return compound


def written_rows(did: h5d.DatasetID) -> RowRanges:
    """The rows that were ever written.

    Raises:
        FieldError: some rows were written only in part, or HDF5 does not say which.
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
    per_row = math.prod(-(-length // chunk) for length, chunk in zip(did.shape[1:], chunks[1:], strict=True))
    chunk_rows = -(-rows // chunks[0])
    if did.get_num_chunks() == chunk_rows * per_row:
        return [(0, rows)]
    if did.get_space().get_simple_extent_dims(True)[1:].count(h5s.UNLIMITED):
        # HDF5 reports wrong positions of chunks if an axis other than the first one may grow.
        raise FieldError(
            "has chunks that were never written, and an axis other than the first one that may grow, so that HDF5 does "
            "not say which chunks they are. Finish writing it, or leave it as it is"
        )
    counts = np.zeros(chunk_rows, np.int64)
    did.chunk_iter(lambda chunk: np.add.at(counts, chunk.chunk_offset[0] // chunks[0], 1))
    if ((counts > 0) & (counts < per_row)).any():
        raise FieldError(
            "has rows of which some chunks were never written: chunks of whole rows would fill them. "
            "Finish writing it, or leave it as it is"
        )
    return _row_ranges(counts > 0, chunks[0], rows)


def _row_ranges(is_written: BoolArray, rows_per_chunk: int, rows: int) -> RowRanges:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_written, [False]]).astype(np.int8)))
    firsts, stops = (edges[::2] * rows_per_chunk).tolist(), (edges[1::2] * rows_per_chunk).tolist()
    return [(first, min(stop, rows)) for first, stop in zip(firsts, stops, strict=True)]


def copy_rows(
    old: h5d.DatasetID, new: h5d.DatasetID, elements: Elements, ranges: RowRanges, at: int = 0
) -> None:
    """Copy rows of one dataset to another.

    Args:
        old: the dataset to read.
        new: the dataset to write.
        elements: the types of the elements.
        ranges: rows of ``old``.
        at: the row of ``new`` that gets the first row of ``old``.

    Raises:
        FieldError: float32 cannot hold a value.
    """
    for first, stop in _steps(old, new, elements, ranges):
        write_rows(new, first + at, stop + at, _read_old(old, first, stop, elements), elements.written)


def first_difference(
    old: h5d.DatasetID, new: h5d.DatasetID, elements: Elements, ranges: RowRanges, at: int = 0
) -> int | None:
    """The first row of ``old`` that differs from its copy in any bit; None if all rows are equal."""
    for first, stop in _steps(old, new, elements, ranges):
        expected = _read_old(old, first, stop, elements)
        copied = np.zeros(expected.shape, expected.dtype)
        _read(new, first + at, stop + at, copied, elements.written)
        if expected.tobytes() != copied.tobytes():
            is_equal = [row.tobytes() == copy.tobytes() for row, copy in zip(expected, copied, strict=True)]
            return first + is_equal.index(False)
    return None


def _steps(
    old: h5d.DatasetID, new: h5d.DatasetID, elements: Elements, ranges: RowRanges
) -> Iterator[tuple[int, int]]:
    """Rows to copy at a time: whole chunks of the old dataset, and of the new one unless that is too much."""
    row_bytes = max(1, math.prod(old.shape[1:]) * max(elements.read.get_size(), 1))
    heights = [_rows_per_chunk(did) for did in (old, new)]
    height = math.lcm(*heights)
    if height * row_bytes > _MAX_STEP_BYTES:
        height = heights[0]
    step = max(1, _STEP_BYTES // (row_bytes * height)) * height
    for first, stop in ranges:
        for start in range(first, stop, step):
            yield start, min(start + step, stop)


def _rows_per_chunk(did: h5d.DatasetID) -> int:
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
    is_too_large = np.isinf(narrow) & ~np.isinf(wide)
    if is_too_large.any():
        raise FieldError(
            f"holds {wide[is_too_large][0]}, which is too large for float32: leave it as float64"
        )
    return narrow


def _read(did: h5d.DatasetID, first: int, stop: int, out: npt.NDArray[Any], tid: h5t.TypeID) -> None:
    memory, space = _spaces(did, first, stop)
    did.read(memory, space, out, mtype=tid)


def write_rows(did: h5d.DatasetID, first: int, stop: int, values: npt.NDArray[Any], tid: h5t.TypeID) -> None:
    """Write rows whose memory type is ``tid``."""
    memory, space = _spaces(did, first, stop)
    did.write(memory, space, values, mtype=tid)


def _spaces(did: h5d.DatasetID, first: int, stop: int) -> tuple[h5s.SpaceID, h5s.SpaceID]:
    shape = (stop - first, *did.shape[1:])
    space = did.get_space()
    space.select_hyperslab((first, *[0] * (len(shape) - 1)), shape)
    return h5s.create_simple(shape), space
