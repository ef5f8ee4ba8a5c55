"""Arrays and a header in one file, with digests that show damage.

::

    magic, version, digest and size of the body | body: size of the header, header (JSON), arrays | numbers

The numbers may be much larger than the rest. A store is copied into memory and then compared with its digests, so that
later changes of the file have no effect. A large store is mapped, and compared in each process that maps it.

A store holds JSON and plain numbers, no pickle: nothing in it is ever executed.
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
import platformdirs

from h5lightning.storage.filesystems.mounts import is_remote

__all__ = ["StoreFormat", "StoredArrays", "UnusableStoreError", "content_of", "store_directory"]

_PREAMBLE = struct.Struct("<8sI4x16sQ")
_HEADER_SIZE = struct.Struct("<Q")
_ALIGNMENT = 8
_MOST_COPIED_BYTES = 64 * 1024 * 1024

T = TypeVar("T")


class UnusableStoreError(ValueError):
    """A store that is torn, damaged, of another version, or of other files."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredArrays:
    """The header of a store, the arrays of its body, and its numbers; they share its memory and are read-only."""

    header: dict[str, Any]
    arrays: dict[str, npt.NDArray[Any]]
    numbers: memoryview


@dataclass(frozen=True, slots=True)
class StoreFormat:
    """A kind of store.

    Args:
        magic: its first eight bytes.
        version: version of its layout.
        name: its name in messages.
        suffix: end of its file names.
    """

    magic: bytes
    version: int
    name: str
    suffix: str

    def path_in(self, directory: str, *key: Any) -> str:
        """The path of the store of a key of JSON values."""
        text = json.dumps([self.version, *key])
        digest = hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
        return os.path.join(directory, f"{digest}{self.suffix}")

    def pack(
        self, header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]], numbers: npt.NDArray[Any]
    ) -> tuple[bytes, bytes, memoryview]:
        """Preamble, body and numbers, to be written one after the other.

        Args:
            header: plain values, with other keys than ``arrays`` and ``numbers``.
            arrays: arrays of little-endian types, by name.
            numbers: items of eight bytes, little-endian, ``(N,)``.
        """
        number_bytes = np.ascontiguousarray(numbers).view(np.uint8).data
        listed = {name: [array.dtype.str, array.shape] for name, array in arrays.items()}
        text = json.dumps(
            {**header, "arrays": listed, "numbers": [len(numbers), _digest(number_bytes).hex()]}
        ).encode()
        text += b" " * (-len(text) % _ALIGNMENT)
        body = b"".join([_HEADER_SIZE.pack(len(text)), text, *map(_padded, arrays.values())])
        return _PREAMBLE.pack(self.magic, self.version, _digest(body), len(body)), body, number_bytes

    def unpack(self, data: bytes | memoryview, make: Callable[[StoredArrays], T]) -> T:
        """The object that ``make`` builds from the bytes of a store.

        Raises:
            UnusableStoreError: they are torn or damaged, of another version, or ``make`` cannot use them.
        """
        try:
            return make(self._parse(data))
        except (KeyError, TypeError, ValueError, struct.error) as error:
            if isinstance(error, UnusableStoreError):
                raise
            raise UnusableStoreError(f"it cannot be parsed: {error!r}") from error

    def digest_in(self, data: bytes | memoryview) -> bytes:
        """The digest of the body, from the preamble.

        Raises:
            UnusableStoreError: it is no store of this format.
        """
        return self._preamble(data)[0]

    def _parse(self, data: bytes | memoryview) -> StoredArrays:
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
            raise UnusableStoreError(f"it is not {self.name}")
        if version != self.version:
            raise UnusableStoreError(f"it has format {version}, expected {self.version}")
        return digest, size

    def _checked_body(self, data: bytes | memoryview) -> memoryview:
        digest, size = self._preamble(data)
        body = memoryview(data)[_PREAMBLE.size : _PREAMBLE.size + size]
        if len(body) != size or digest != _digest(body):
            raise UnusableStoreError("it is damaged: the digest differs")
        return body


def store_directory(directory: str | os.PathLike[str] | None) -> str:
    """``directory``; by default, ``$H5LIGHTNING_CACHE_DIR`` or the user's cache directory."""
    if directory is not None:
        return os.path.expanduser(os.fspath(directory))
    return os.environ.get("H5LIGHTNING_CACHE_DIR") or platformdirs.user_cache_dir("h5lightning")


def content_of(path: str) -> memoryview:
    """The bytes of a file, copied, or mapped if there are many; they stay when the file is replaced.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        is_large = os.fstat(file.fileno()).st_size > _MOST_COPIED_BYTES
        if is_large and not is_remote(file.fileno()):
            with contextlib.suppress(OSError, ValueError):  # the file system cannot map files
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
