"""Arrays and a header in one file on disk, whole or not at all.

::

    magic, version, digest and size of the body | body: size of the header, header (JSON), arrays | numbers

The numbers may take much more than the rest. A store is copied into memory and then compared with its digests, so that
what happens to the file later changes nothing; a large one is mapped, and compared by each process that maps it.

Nothing in it is ever executed: JSON and plain numbers, no pickle.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import mmap
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from h5lightning.storage.filesystems.mounts import is_remote

__all__ = ["StoreFormat", "StoredArrays", "UnusableStoreError", "content_of"]

_PREAMBLE = struct.Struct("<8sI4x16sQ")
_HEADER_SIZE = struct.Struct("<Q")
_ALIGNMENT = 8
_MOST_COPIED_BYTES = 64 * 1024 * 1024

T = TypeVar("T")


class UnusableStoreError(ValueError):
    """Bytes that are not what was asked for: torn, damaged, of another version, or of other files."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredArrays:
    """The bytes of a store, taken apart; arrays share their memory and cannot be written.

    Args:
        header: what its header says.
        arrays: the arrays of its body, by name.
        numbers: the bytes of the numbers.
    """

    header: dict[str, Any]
    arrays: dict[str, npt.NDArray[Any]]
    numbers: memoryview


@dataclass(frozen=True, slots=True)
class StoreFormat:
    """A kind of store.

    Args:
        magic: its first eight bytes.
        version: that of its layout.
        what: what to call it in words.
    """

    magic: bytes
    version: int
    what: str

    def pack(
        self, header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]], numbers: npt.NDArray[Any]
    ) -> tuple[bytes, bytes, memoryview]:
        """Preamble, body and numbers, to be written one after the other.

        Args:
            header: plain values, but none called ``arrays`` or ``numbers``.
            arrays: arrays of little-endian types, by name.
            numbers: items of eight bytes, little-endian, ``(N,)``.
        """
        last = np.ascontiguousarray(numbers).view(np.uint8).data
        listed = {name: [array.dtype.str, array.shape] for name, array in arrays.items()}
        text = json.dumps(
            {**header, "arrays": listed, "numbers": [len(numbers), _digest(last).hex()]}
        ).encode()
        text += b" " * (-len(text) % _ALIGNMENT)
        body = b"".join([_HEADER_SIZE.pack(len(text)), text, *map(_padded, arrays.values())])
        return _PREAMBLE.pack(self.magic, self.version, _digest(body), len(body)), body, last

    def unpack(self, data: bytes | memoryview, make: Callable[[StoredArrays], T]) -> T:
        """What ``make`` finds in the bytes of a store.

        Raises:
            UnusableStoreError: they are torn or damaged, of another version, or ``make`` cannot use them.
        """
        try:
            return make(self._taken_apart(data))
        except (KeyError, TypeError, ValueError, struct.error) as error:
            if isinstance(error, UnusableStoreError):
                raise
            raise UnusableStoreError(f"it cannot be understood: {error!r}") from error

    def digest_in(self, data: bytes | memoryview) -> bytes:
        """The digest of the body, as the preamble says it.

        Raises:
            UnusableStoreError: there is none.
        """
        return self._preamble(data)[0]

    def _taken_apart(self, data: bytes | memoryview) -> StoredArrays:
        body = self._checked_body(data)
        (size,) = _HEADER_SIZE.unpack_from(body)
        start = _HEADER_SIZE.size
        header = json.loads(bytes(body[start : start + size]))
        numbers = memoryview(data)[_PREAMBLE.size + len(body) :]
        if len(numbers) != 8 * header["numbers"][0]:
            raise UnusableStoreError(f"it is torn: its numbers take {len(numbers)} bytes")
        if _digest(numbers) != bytes.fromhex(header["numbers"][1]):
            raise UnusableStoreError("it is damaged: the digest of its numbers differs")
        return StoredArrays(header, dict(_read_arrays(body, start + size, header["arrays"])), numbers)

    def _preamble(self, data: bytes | memoryview) -> tuple[bytes, int]:
        """Digest and size of the body."""
        if len(data) < _PREAMBLE.size:
            raise UnusableStoreError(f"it ends after {len(data)} bytes")
        magic, version, digest, size = _PREAMBLE.unpack_from(data)
        if magic != self.magic:
            raise UnusableStoreError(f"it is no {self.what}")
        if version != self.version:
            raise UnusableStoreError(f"it has format {version}, expected {self.version}")
        return digest, size

    def _checked_body(self, data: bytes | memoryview) -> memoryview:
        digest, size = self._preamble(data)
        body = memoryview(data)[_PREAMBLE.size : _PREAMBLE.size + size]
        if len(body) != size or digest != _digest(body):
            raise UnusableStoreError("it is damaged: the digest differs")
        return body


def content_of(path: str) -> memoryview:
    """The bytes of a file: copied, or mapped where there are many, and they stay there when the file is replaced.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        is_large = os.fstat(file.fileno()).st_size > _MOST_COPIED_BYTES
        if is_large and not is_remote(file.fileno()):
            with contextlib.suppress(OSError, ValueError):  # its file system has no maps
                return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return memoryview(file.read())


def _read_arrays(
    body: memoryview, start: int, listed: Mapping[str, tuple[str, list[int]]]
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    for name, (dtype, shape) in listed.items():
        array = np.frombuffer(body, dtype, math.prod(shape), start).reshape(shape)
        yield name, array
        start += array.nbytes + -array.nbytes % _ALIGNMENT


def _digest(data: bytes | memoryview) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def _padded(array: npt.NDArray[Any]) -> bytes:
    data = array.tobytes()
    return data + bytes(-len(data) % _ALIGNMENT)
