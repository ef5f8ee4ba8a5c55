"""Bytes that elements take in a file, where HDF5 reports those that they take in memory."""

from __future__ import annotations

import math
from functools import lru_cache

from h5py import h5t

__all__ = ["growth_in_file", "has_known_size", "stored_size"]

_HEAP_BYTES = 16  # of variable-length text in a file: length, address of a heap, and number in it
_POINTER_BYTES = 8  # its size as HDF5 reports it
_REFERENCE_BYTES = (8, 12)  # of references to objects and regions; others have another size in the file


def has_known_size(tid: h5t.TypeID) -> bool:
    """Whether HDF5 says how many bytes an element takes in the file."""
    kind = tid.get_class()
    if kind == h5t.COMPOUND:
        return all(has_known_size(tid.get_member_type(number)) for number in range(tid.get_nmembers()))
    if kind in (h5t.ARRAY, h5t.VLEN):
        return has_known_size(tid.get_super())
    return kind != h5t.REFERENCE or tid.get_size() in _REFERENCE_BYTES


def stored_size(tid: h5t.TypeID) -> int:
    """Bytes of an element in the file.

    HDF5 reports the size in memory, where variable-length text in a compound is a pointer. In the file it takes 16
    bytes.
    """
    return _stored_size(tid.encode()) if tid.get_class() == h5t.COMPOUND else int(tid.get_size())


@lru_cache(maxsize=256)
def _stored_size(encoded: bytes) -> int:
    tid = h5t.decode(encoded)
    return int(tid.get_size()) + growth_in_file(tid)


def growth_in_file(tid: h5t.TypeID) -> int:
    """Bytes by which an element of a compound is longer in the file than in memory."""
    kind = tid.get_class()
    if kind == h5t.ARRAY:
        return int(math.prod(tid.get_array_dims())) * growth_in_file(tid.get_super())
    if kind == h5t.COMPOUND:
        return sum(growth_in_file(tid.get_member_type(i)) for i in range(tid.get_nmembers()))
    is_text = kind == h5t.STRING and tid.is_variable_str()
    return _HEAP_BYTES - _POINTER_BYTES if is_text else 0
