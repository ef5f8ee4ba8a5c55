"""Reads the bytes of variable-length elements of many files: from memory maps, or whole heaps by system calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.core.formatting import bytes_text
from h5lightning.errors import BadFileError, ResourceError
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.files.raw_file import ByteReader, RawFile, VerifiedFile
from h5lightning.storage.files.verified_blocks import DamagedBlockError, VerifiedBlocks
from h5lightning.storage.hdf5.file_checks import SIGNATURE, superblock_places
from h5lightning.storage.readers.heap.global_heap import (
    HEADER_BYTES,
    REFERENCE,
    HeapError,
    HeapObjects,
    collection_places,
    collection_size,
    find_objects,
)
from h5lightning.storage.readers.series_parts import SeriesParts, distinct_files

__all__ = ["read_heap"]

_SPARE_BYTES = 1024 * 1024  # of a heap, beside its largest object

Describe = Callable[[int], str]  # the number of a reference → the element, for errors


def read_heap(
    pool: HandlePool,
    files: Sequence[str],
    file_of: Int64Array,
    references: npt.NDArray[Any],
    describe: Describe,
    *,
    most_bytes: int,
) -> list[bytes]:
    """The bytes of elements of variable length: images, or text.

    HDF5 is not asked: a damaged heap could block it. Elements of the same bytes share them.

    Args:
        pool: the files.
        files: their paths; or `SeriesParts`.
        file_of: the file or part of each reference, by its position in ``files``, ``(N,)``.
        references: elements as they lie in the file, 16 bytes each, ``(N,)``.
        describe: the number of a reference → the element, ``'/images' in a.h5, row 4``.
        most_bytes: bytes of one element, at most; of one heap, where files are not mapped.

    Raises:
        BadFileError: a reference leads to no object of a heap; or the file cannot be read.
        ResourceError: an element takes more bytes.
        FileChangedError: a file is not the one that was scanned.
        ChecksumError: with ``access.verify``, bytes do not match their checksum.
    """
    found = references.view(REFERENCE).reshape(-1)
    if (too_long := found["length"] > most_bytes).any():
        entry = int(np.argmax(too_long))
        raise ResourceError(
            f"{describe(entry)} takes {bytes_text(int(found['length'][entry]))}; access.max_padded_bytes is "
            f"{bytes_text(most_bytes)}"
        )
    where = files.file_of[file_of] if isinstance(files, SeriesParts) else file_of
    paths, data = distinct_files(files), [b""] * len(found)
    most = pool.raw_files.most_at_once
    used = np.unique(where)
    for first in range(0, len(used), most):
        part = used[first : first + most].tolist()
        batch = pool.raw_files.checked([paths[file] for file in part])
        maps = batch.mapped(pool.access.memory_map).maps
        for file, raw, mapped in zip(part, batch.files, maps, strict=True):
            entries = np.flatnonzero(where == file)
            heap = _FileHeap(raw, pool.blocks(raw.path, raw.stamp), None if mapped is None else mapped.view)
            try:
                values = heap.read(found[entries], most_bytes)
            except HeapError as error:
                raise BadFileError(
                    f"{describe(int(entries[error.entry]))} {error.reason}. The file is damaged: copy it again"
                ) from error
            except DamagedBlockError as error:
                raise error.of(describe(int(entries[0]))) from error
            for entry, value in zip(entries.tolist(), values, strict=True):
                data[entry] = value
    return data


class _FileHeap:
    """The heaps of one open file.

    Args:
        raw: the file.
        blocks: its checksums; None to verify nothing.
        view: its bytes in memory; None to read them by system calls.
    """

    def __init__(self, raw: RawFile, blocks: VerifiedBlocks | None, view: Bytes | None) -> None:
        self._raw = raw
        self._blocks = blocks
        self._view = view
        self._bytes: ByteReader = raw if blocks is None else VerifiedFile(raw, blocks)

    def read(self, references: npt.NDArray[Any], most_bytes: int) -> list[bytes]:
        """The bytes of elements; see `read_heap`."""
        places = collection_places(references, self._first(), self._raw.stamp[0])
        view = self._view
        if view is None:
            view, places = self._collections(places, most_bytes)
            return _values(view, find_objects(view, references, places))
        verify = None if self._blocks is None or self._blocks.is_whole else self._verify
        return _values(view, find_objects(view, references, places, verify))

    def _verify(self, starts: Int64Array, sizes: Int64Array) -> None:
        if self._blocks is not None and self._view is not None:
            self._blocks.check_in(self._view, starts, sizes)

    def _first(self) -> int:
        """Where addresses are counted from: the superblock, behind a user block."""
        size, view = len(SIGNATURE), self._view
        for place in superblock_places(self._raw.stamp[0]):
            found = self._bytes.read(place, size) if view is None else view[place : place + size]
            if found.tobytes() == SIGNATURE:
                return place
        raise BadFileError(f"{self._raw.path} has lost its header: the file is damaged. Copy it again")

    def _collections(self, places: Int64Array, most_bytes: int) -> tuple[Bytes, Int64Array]:
        """The bytes of all collections, one after the other, and where each lies in them; -1 stays."""
        used, which = np.unique(places, return_inverse=True)
        file_bytes, parts, starts, total = self._raw.stamp[0], [np.zeros(0, np.uint8)], [], 0
        for number, place in enumerate(used.tolist()):
            starts.append(total if place >= 0 else -1)
            if place < 0:
                continue
            size = collection_size(self._bytes.read(place, HEADER_BYTES), file_bytes - place)
            if not 0 <= size <= most_bytes + _SPARE_BYTES:
                entry = int(np.argmax(which.reshape(-1) == number))
                reason = (
                    "has an address at which no heap lies" if size < 0 else "lies in a heap that is too large"
                )
                raise HeapError(entry, reason)
            parts.append(self._bytes.read(place, size))
            total += size
        return np.concatenate(parts), np.asarray(starts, np.int64)[which.reshape(-1)]


def _values(view: Bytes, objects: HeapObjects) -> list[bytes]:
    """Copies of the bytes of objects, each once."""
    known: dict[tuple[int, int], bytes] = {}
    values = []
    for place in zip(objects.starts.tolist(), objects.sizes.tolist(), strict=True):
        if place not in known:
            start, size = place
            known[place] = view[start : start + size].tobytes()
        values.append(known[place])
    return values
