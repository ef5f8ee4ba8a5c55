"""The catalog on disk: what a scan found, so that the next start need not open the files.

One file for each root and request::

    magic, version, digest and size of the body | body: size of the header, header (JSON), arrays | where values lie

Where the values of all datasets lie may take much more than the rest, so it is mapped into memory, by each
process for itself; its digest, which the header holds, is compared once, by the process that loads the catalog.

A store is a cache. One that is torn, damaged, or of another version is as good as none; it is written under
a name of its own and then moved into place, so that readers and concurrent writers see whole files only.
Nothing in it is ever executed: JSON and plain numbers, no pickle.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import mmap
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import platformdirs

from h5lightning.atomic_write import replace_file
from h5lightning.catalog import Catalog, SkippedFile
from h5lightning.extent_table import ExtentTable
from h5lightning.mounts import is_remote
from h5lightning.scanning import ScanRequest
from h5lightning.schema import DatasetSchema
from h5lightning.text_table import TextTable

__all__ = [
    "FORMAT",
    "IndexStore",
    "StoredExtents",
    "UnusableStoreError",
    "default_directory",
    "pack",
    "unpack",
]

FORMAT = 3  # raise it when the file's layout changes, or what a scan says of the same file

_MAGIC = b"\x93H5LIDX\n"
_PREAMBLE = struct.Struct("<8sI4x16sQ")
_HEADER_SIZE = struct.Struct("<Q")
_ALIGNMENT = 8

T = TypeVar("T")

_logger = logging.getLogger(__name__)


class UnusableStoreError(ValueError):
    """Bytes that are no catalog."""


class IndexStore:
    """The catalogs in one directory.

    Args:
        directory: where they lie; None for ``$H5LIGHTNING_CACHE_DIR``, or else the user's cache directory.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        self.directory = (
            default_directory() if directory is None else os.path.expanduser(os.fspath(directory))
        )

    def path_of(self, root: str, request: ScanRequest) -> str:
        """Where the catalog of these files and this request lies."""
        text = json.dumps([FORMAT, root, *_plain(request)])
        digest = hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
        return os.path.join(self.directory, f"{digest}.h5index")

    def load(self, root: str, request: ScanRequest) -> Catalog | None:
        """The stored catalog, or None where there is none that can be used."""
        path = self.path_of(root, request)
        try:
            data = _content(path)
            origin = StoredExtents(path, _digest_in(data))
            return unpack(data, root, request, origin)
        except FileNotFoundError:
            return None
        except (OSError, UnusableStoreError) as error:
            _logger.debug("the index %s is made anew: %s", path, error)
            return None

    def save(self, catalog: Catalog, request: ScanRequest) -> StoredExtents | None:
        """Store a catalog.

        Returns:
            What maps its extents from the store; None if it could not be stored.
        """
        path = self.path_of(catalog.root, request)
        preamble, body, numbers = _parts(catalog, request)
        try:
            os.makedirs(self.directory, exist_ok=True)
            replace_file(path, preamble, body, numbers)
        except OSError as error:
            _logger.warning(
                "the index cannot be kept in %s (%s): each start will scan the files again. "
                "Set index_dir or H5LIGHTNING_CACHE_DIR to a directory that can be written",
                self.directory,
                error.strerror,
            )
            return None
        return StoredExtents(path, _digest_in(preamble))


@dataclass(frozen=True, slots=True)
class StoredExtents:
    """The extents in one store, for any process that can reach it.

    Args:
        path: where the store lies.
        digest: that of its body, which no other store has.
    """

    path: str
    digest: bytes

    def __call__(self) -> ExtentTable | None:
        """Map them; None if the store is gone, or has been replaced by another."""
        try:
            data = _content(self.path)
            if _digest_in(data) != self.digest:
                raise UnusableStoreError("it has been replaced")
            return _understood(_extents, data, self)
        except (OSError, UnusableStoreError) as error:
            _logger.debug("where values lie is not taken from the index %s: %s", self.path, error)
            return None


def default_directory() -> str:
    """``$H5LIGHTNING_CACHE_DIR``, or else the user's cache directory."""
    return os.environ.get("H5LIGHTNING_CACHE_DIR") or platformdirs.user_cache_dir("h5lightning")


# ── bytes ────────────────────────────────────────────────────────────────────────────────────────────


def pack(catalog: Catalog, request: ScanRequest) -> bytes:
    """The bytes of a store."""
    return b"".join(_parts(catalog, request))


def unpack(
    data: bytes | memoryview, root: str, request: ScanRequest, origin: StoredExtents | None = None
) -> Catalog:
    """The catalog in the bytes of a store; its arrays share their memory and cannot be written.

    Args:
        data: the bytes.
        root: the root that the catalog must have.
        request: what must have been looked for.
        origin: what maps the extents in other processes.

    Raises:
        UnusableStoreError: they are torn or damaged, of another version, or of other files.
    """
    return _understood(_catalog, data, root, request, origin)


def _parts(catalog: Catalog, request: ScanRequest) -> tuple[bytes, bytes, memoryview]:
    """Preamble, body, and numbers of the extents."""
    arrays, extents = _arrays(catalog), catalog.extents
    numbers = np.ascontiguousarray(extents.numbers, dtype="<i8").view(np.uint8).data
    header = {
        "root": catalog.root,
        "request": _plain(request),
        "layouts": [[dataset.to_plain() for dataset in layout] for layout in catalog.layouts],
        "skipped": [[skipped.name, skipped.reason] for skipped in catalog.skipped],
        "arrays": {name: [array.dtype.str, array.shape] for name, array in arrays.items()},
        "forms": extents.forms,
        "numbers": [len(extents.numbers), _digest(numbers).hex()],
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    parts = [_HEADER_SIZE.pack(len(text)), text, *(_padded(array.tobytes()) for array in arrays.values())]
    body = b"".join(parts)
    return _PREAMBLE.pack(_MAGIC, FORMAT, _digest(body), len(body)), body, numbers


def _catalog(store: _Store, root: str, request: ScanRequest, origin: StoredExtents | None) -> Catalog:
    header, arrays = store.header, store.arrays
    if (header["root"], header["request"]) != (root, _plain(request)):
        raise UnusableStoreError(f"it holds the files of {header['root']}")
    if _digest(store.numbers) != bytes.fromhex(header["numbers"][1]):
        raise UnusableStoreError("it is damaged: the digest of where values lie differs")
    layouts = ((DatasetSchema.from_plain(plain) for plain in layout) for layout in header["layouts"])
    return Catalog(
        root=root,
        names=TextTable(arrays["name_bytes"], arrays["name_ends"]),
        stamps=arrays["stamps"],
        layouts=tuple(tuple(layout) for layout in layouts),
        layout_of=arrays["layout_of"],
        facts=arrays["facts"],
        attrs=TextTable(arrays["attr_bytes"], arrays["attr_ends"]),
        extents=_extents(store, origin),
        skipped=tuple(SkippedFile(name, reason) for name, reason in header["skipped"]),
    )


def _extents(store: _Store, origin: StoredExtents | None) -> ExtentTable:
    forms = (
        (tuple((number, tuple(values)) for number, values in filters), reason, parts)
        for filters, reason, parts in store.header["forms"]
    )
    arrays, numbers = store.arrays, np.frombuffer(store.numbers, "<i8")
    return ExtentTable(tuple(forms), arrays["extent_forms"], arrays["extent_ends"], numbers, origin)


def _arrays(catalog: Catalog) -> dict[str, npt.NDArray[Any]]:
    return {
        "name_bytes": catalog.names.blob,
        "name_ends": catalog.names.ends.astype("<i8", copy=False),
        "stamps": catalog.stamps.astype("<i8", copy=False),
        "layout_of": catalog.layout_of.astype("<i4", copy=False),
        "facts": catalog.facts.astype("<i8", copy=False),
        "attr_bytes": catalog.attrs.blob,
        "attr_ends": catalog.attrs.ends.astype("<i8", copy=False),
        "extent_forms": catalog.extents.form_of.astype("<i4", copy=False),
        "extent_ends": catalog.extents.ends.astype("<i8", copy=False),
    }


@dataclass(frozen=True, slots=True, eq=False)
class _Store:
    """The bytes of a store, taken apart.

    Args:
        header: what its header says.
        arrays: the arrays of its body, by name.
        numbers: the bytes of the numbers of the extents, which nobody has compared with their digest yet.
    """

    header: dict[str, Any]
    arrays: dict[str, npt.NDArray[Any]]
    numbers: memoryview

    @classmethod
    def of(cls, data: bytes | memoryview) -> _Store:
        body = _checked_body(data)
        (size,) = _HEADER_SIZE.unpack_from(body)
        start = _HEADER_SIZE.size
        header = json.loads(bytes(body[start : start + size]))
        numbers = memoryview(data)[_PREAMBLE.size + len(body) :]
        if len(numbers) != 8 * header["numbers"][0]:
            raise UnusableStoreError(f"it is torn: where values lie takes {len(numbers)} bytes")
        return cls(header, dict(_read_arrays(body, start + size, header["arrays"])), numbers)


def _understood(make: Callable[..., T], data: bytes | memoryview, *args: object) -> T:
    """What ``make`` finds in a store.

    Raises:
        UnusableStoreError: it finds nothing.
    """
    try:
        return make(_Store.of(data), *args)
    except (KeyError, TypeError, ValueError, struct.error) as error:
        if isinstance(error, UnusableStoreError):
            raise
        raise UnusableStoreError(f"it cannot be understood: {error!r}") from error


def _read_arrays(
    body: memoryview, start: int, listed: dict[str, tuple[str, list[int]]]
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    for name, (dtype, shape) in listed.items():
        array = np.frombuffer(body, dtype, math.prod(shape), start).reshape(shape)
        yield name, array
        start += array.nbytes + -array.nbytes % _ALIGNMENT


def _plain(request: ScanRequest) -> list[Any]:
    return [
        None if request.paths is None else list(request.paths),
        list(request.attrs),
        request.allow_external,
    ]


def _content(path: str) -> memoryview:
    """The bytes of a file, mapped into memory where they stay there when the file is replaced."""
    with open(path, "rb") as file:
        if not is_remote(file.fileno()):
            with contextlib.suppress(OSError, ValueError):  # it is empty, or its file system has no maps
                return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return memoryview(file.read())


def _preamble(data: bytes | memoryview) -> tuple[bytes, int]:
    """Digest and size of the body."""
    if len(data) < _PREAMBLE.size:
        raise UnusableStoreError(f"it ends after {len(data)} bytes")
    magic, version, digest, size = _PREAMBLE.unpack_from(data)
    if magic != _MAGIC:
        raise UnusableStoreError("it is no index")
    if version != FORMAT:
        raise UnusableStoreError(f"it has format {version}, expected {FORMAT}")
    return digest, size


def _digest_in(data: bytes | memoryview) -> bytes:
    return _preamble(data)[0]


def _checked_body(data: bytes | memoryview) -> memoryview:
    digest, size = _preamble(data)
    body = memoryview(data)[_PREAMBLE.size : _PREAMBLE.size + size]
    if len(body) != size or digest != _digest(body):
        raise UnusableStoreError("it is damaged: the digest differs")
    return body


def _digest(body: bytes | memoryview) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _ALIGNMENT)
