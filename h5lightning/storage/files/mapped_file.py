"""A file that is mapped into memory until nothing refers to the map any more, and how many maps a process may hold.

A map needs no descriptor. `mmap.mmap` holds one of its own before Python 3.13, so that 10,000 maps would take 10,000
descriptors. So the functions of the system are called directly.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from functools import cache
from typing import Any

import numpy as np

from h5lightning.core.arrays import Bytes

__all__ = ["MappedFile", "map_limit", "maps_held"]

_MOST_MAPS = 32_768  # also where the system does not say how many it allows

_libc = ctypes.CDLL(None, use_errno=True)
_mmap, _munmap = _libc.mmap, _libc.munmap
_mmap.restype = ctypes.c_void_p
_mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_FAILED = ctypes.c_void_p(-1).value

_held: dict[int, None] = {}  # addresses of all maps of this process


@cache
def map_limit() -> int:
    """Maps of files that one process may hold: half of what the system allows, and 32,768 at most."""
    try:
        with open("/proc/sys/vm/max_map_count", encoding="ascii") as file:
            return max(1, min(_MOST_MAPS, int(file.read()) // 2))
    except (OSError, ValueError):
        return _MOST_MAPS


def maps_held() -> int:
    """Maps of files that this process holds."""
    return len(_held)


class MappedFile:
    """The bytes of a file in memory, for reading: unmapped when neither this object nor its `view` is held.

    Args:
        descriptor: the open file; it may be closed afterwards.
        size: bytes of the file, at least 1.

    Raises:
        OSError: the file system cannot map files, or this process has no memory or maps left (``ENOMEM``).

    Attributes:
        address: where the first byte lies; valid as long as this object is held.
        size: bytes of the file.
    """

    __slots__ = ("address", "size")

    def __init__(self, descriptor: int, size: int) -> None:
        self.address, self.size = 0, size
        self.address = _mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
        if self.address == _FAILED:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        _held[self.address] = None

    def __del__(self) -> None:
        if self.address not in (0, _FAILED):
            _held.pop(self.address, None)  # first: another map may soon get its address
            _munmap(self.address, self.size)

    @property
    def view(self) -> Bytes:
        """The bytes, ``(size,)``; the array holds the map."""
        return np.asarray(_Bytes(self))


class _Bytes:
    """What NumPy needs to know of a map, which it holds."""

    __slots__ = ("__array_interface__", "_mapped")

    def __init__(self, mapped: MappedFile) -> None:
        self._mapped = mapped
        self.__array_interface__: dict[str, Any] = {
            "data": (mapped.address, True),
            "shape": (mapped.size,),
            "typestr": "|u1",
            "version": 3,
        }
