"""Bytes of an element in its file, which HDF5 does not always report."""

from __future__ import annotations

import math
from functools import lru_cache

from h5py import h5t

__all__ = ["stored_size"]

_HEAP_BYTES = 16  # of variable-length text in a file: length, address of a heap, and number in it
_POINTER_BYTES = 8  # its size as HDF5 reports it


def stored_size(tid: h5t.TypeID) -> int:
    """Bytes of an element in the file.

    HDF5 reports the size in memory, where variable-length text in a compound is a pointer. In the file it takes 16
    bytes.
    """
    return _stored_size(tid.encode()) if tid.get_class() == h5t.COMPOUND else int(tid.get_size())


@lru_cache(maxsize=256)
def _stored_size(encoded: bytes) -> int:
    tid = h5t.decode(encoded)
    return int(tid.get_size()) + (_HEAP_BYTES - _POINTER_BYTES) * _count_variable_texts(tid)


def _count_variable_texts(tid: h5t.TypeID) -> int:
    """Number of variable-length texts in an element."""
    kind = tid.get_class()
    if kind == h5t.ARRAY:
        return int(math.prod(tid.get_array_dims())) * _count_variable_texts(tid.get_super())
    if kind == h5t.COMPOUND:
        return sum(_count_variable_texts(tid.get_member_type(i)) for i in range(tid.get_nmembers()))
    return int(kind == h5t.STRING and tid.is_variable_str())
