"""The catalog on disk: what a scan found, so that the next start need not open the files.

One file for each root and request::

    magic, format version, digest of all that follows | size of the header | header (JSON) | arrays

A store is a cache. One that is torn, damaged, or of another version is as good as none; it is written under
a name of its own and then moved into place, so that readers and concurrent writers see whole files only.
Nothing in it is ever executed: JSON and plain numbers, no pickle.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import platformdirs

from h5lightning.atomic_write import replace_file
from h5lightning.catalog import Catalog, SkippedFile
from h5lightning.scanning import ScanRequest
from h5lightning.schema import DatasetSchema
from h5lightning.text_table import TextTable

__all__ = ["FORMAT", "IndexStore", "UnusableStoreError", "default_directory", "pack", "unpack"]

FORMAT = 2  # raise it when the file's layout changes, or what a scan says of the same file

_MAGIC = b"\x93H5LIDX\n"
_PREAMBLE = struct.Struct("<8sI4x16s")
_HEADER_SIZE = struct.Struct("<Q")
_ALIGNMENT = 8

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
            with open(path, "rb") as file:
                return unpack(file.read(), root, request)
        except FileNotFoundError:
            return None
        except (OSError, UnusableStoreError) as error:
            _logger.debug("the index %s is made anew: %s", path, error)
            return None

    def save(self, catalog: Catalog, request: ScanRequest) -> bool:
        """Store a catalog; whether that was possible."""
        path = self.path_of(catalog.root, request)
        try:
            os.makedirs(self.directory, exist_ok=True)
            replace_file(path, pack(catalog, request))
        except OSError as error:
            _logger.warning(
                "the index cannot be kept in %s (%s): each start will scan the files again. "
                "Set index_dir or H5LIGHTNING_CACHE_DIR to a directory that can be written",
                self.directory,
                error.strerror,
            )
            return False
        return True


def default_directory() -> str:
    """``$H5LIGHTNING_CACHE_DIR``, or else the user's cache directory."""
    return os.environ.get("H5LIGHTNING_CACHE_DIR") or platformdirs.user_cache_dir("h5lightning")


# ── bytes ────────────────────────────────────────────────────────────────────────────────────────────


def pack(catalog: Catalog, request: ScanRequest) -> bytes:
    """The bytes of a store."""
    arrays = _arrays(catalog)
    header = {
        "root": catalog.root,
        "request": _plain(request),
        "layouts": [[dataset.to_plain() for dataset in layout] for layout in catalog.layouts],
        "skipped": [[skipped.name, skipped.reason] for skipped in catalog.skipped],
        "arrays": {name: [array.dtype.str, array.shape] for name, array in arrays.items()},
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    parts = [_HEADER_SIZE.pack(len(text)), text, *(_padded(array.tobytes()) for array in arrays.values())]
    body = b"".join(parts)
    return _PREAMBLE.pack(_MAGIC, FORMAT, _digest(body)) + body


def unpack(data: bytes, root: str, request: ScanRequest) -> Catalog:
    """The catalog in the bytes of a store; its arrays share their memory and cannot be written.

    Raises:
        UnusableStoreError: they are torn or damaged, of another version, or of other files.
    """
    body = _checked_body(data)
    try:
        return _catalog(body, root, request)
    except (KeyError, TypeError, ValueError, struct.error) as error:
        raise UnusableStoreError(f"it cannot be understood: {error!r}") from error


def _catalog(body: memoryview, root: str, request: ScanRequest) -> Catalog:
    (size,) = _HEADER_SIZE.unpack_from(body)
    start = _HEADER_SIZE.size
    header = json.loads(bytes(body[start : start + size]))
    if (header["root"], header["request"]) != (root, _plain(request)):
        raise UnusableStoreError(f"it holds the files of {header['root']}")
    arrays = dict(_read_arrays(body, start + size, header["arrays"]))
    layouts = ((DatasetSchema.from_plain(plain) for plain in layout) for layout in header["layouts"])
    return Catalog(
        root=root,
        names=TextTable(arrays["name_bytes"], arrays["name_ends"]),
        stamps=arrays["stamps"],
        layouts=tuple(tuple(layout) for layout in layouts),
        layout_of=arrays["layout_of"],
        facts=arrays["facts"],
        attrs=TextTable(arrays["attr_bytes"], arrays["attr_ends"]),
        skipped=tuple(SkippedFile(name, reason) for name, reason in header["skipped"]),
    )


def _arrays(catalog: Catalog) -> dict[str, npt.NDArray[Any]]:
    return {
        "name_bytes": catalog.names.blob,
        "name_ends": catalog.names.ends.astype("<i8", copy=False),
        "stamps": catalog.stamps.astype("<i8", copy=False),
        "layout_of": catalog.layout_of.astype("<i4", copy=False),
        "facts": catalog.facts.astype("<i8", copy=False),
        "attr_bytes": catalog.attrs.blob,
        "attr_ends": catalog.attrs.ends.astype("<i8", copy=False),
    }


def _read_arrays(
    body: memoryview, start: int, listed: dict[str, tuple[str, list[int]]]
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    for name, (dtype, shape) in listed.items():
        array = np.frombuffer(body, dtype, math.prod(shape), start).reshape(shape)
        yield name, array
        start += array.nbytes + -array.nbytes % _ALIGNMENT


def _plain(request: ScanRequest) -> list[Any]:
    return [None if request.paths is None else list(request.paths), list(request.attrs)]


def _checked_body(data: bytes) -> memoryview:
    if len(data) < _PREAMBLE.size:
        raise UnusableStoreError(f"it ends after {len(data)} bytes")
    magic, version, digest = _PREAMBLE.unpack_from(data)
    body = memoryview(data)[_PREAMBLE.size :]
    if magic != _MAGIC:
        raise UnusableStoreError("it is no index")
    if version != FORMAT:
        raise UnusableStoreError(f"it has format {version}, expected {FORMAT}")
    if digest != _digest(body):
        raise UnusableStoreError("it is damaged: the digest differs")
    return body


def _digest(body: bytes | memoryview) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _ALIGNMENT)
