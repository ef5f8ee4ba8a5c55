"""How a dataset without filters is read: from a map of the file or by calls of the system, verified or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.errors import BadFileError
from h5lightning.storage.files.raw_file import RawFile
from h5lightning.storage.files.verified_blocks import VerifiedBlocks
from h5lightning.storage.readers.direct.chunk_map import ChunkMap
from h5lightning.storage.readers.direct.mapped_rows import MappedRows, SplitRows
from h5lightning.storage.readers.direct.open_sources import Table
from h5lightning.storage.readers.direct.pread_rows import ReadRows
from h5lightning.storage.readers.direct.verified_rows import VerifiedFile, VerifiedReads, VerifiedRows

__all__ = ["unfiltered_table"]


def unfiltered_table(
    raw: RawFile,
    storage: ChunkMap,
    dtype: np.dtype[Any],
    where: str,
    *,
    blocks: VerifiedBlocks | None = None,
    memory_map: bool | None = None,
    scratch: Callable[[], Bytes],
) -> Table:
    """The table of a dataset without filters.

    Args:
        raw: the open file.
        storage: where the values lie.
        dtype: type of the stored elements.
        where: the dataset and its file, for messages.
        blocks: the checksums of the file; None to verify nothing.
        memory_map: see `Access`.
        scratch: memory of a thread for what it reads.
    """
    is_mapped = raw.may_be_mapped if memory_map is None else memory_map
    if is_mapped and (mapped := _mapped(raw, storage, dtype)) is not None:
        return mapped if blocks is None else VerifiedRows(where, raw.view, storage, mapped, blocks)
    file = raw if blocks is None else VerifiedFile(raw, blocks)
    read = (
        ReadRows(file, storage, scratch) if storage.holds_whole_rows else SplitRows(file.read, storage, dtype)
    )
    return read if blocks is None else VerifiedReads(where, read)


def _mapped(raw: RawFile, storage: ChunkMap, dtype: np.dtype[Any]) -> MappedRows | SplitRows | None:
    try:
        view = raw.view
    except BadFileError:
        return None  # some file systems cannot map files
    if storage.holds_whole_rows:
        offsets = _inside(raw.path, len(view), storage)
        return MappedRows.of(view, replace(storage, offsets=offsets))
    return SplitRows(partial(_look, view), storage, dtype)


def _look(view: Bytes, offset: int, size: int) -> Bytes:
    return view[offset : offset + size]


def _inside(path: str, size: int, storage: ChunkMap) -> Int64Array:
    """The offsets of all chunks, in memory of their own, none of them outside of a file of so many bytes."""
    # A large index is mapped, and may be damaged after it was compared with its digest.
    offsets = np.array(storage.offsets)
    # Of a contiguous dataset there is one, and it is looked at each time a file is opened.
    first, last = (
        (int(offsets[0]),) * 2
        if offsets.size == 1
        else (int(offsets.min(initial=0)), int(offsets.max(initial=0)))
    )
    if first < 0 or last > size - storage.chunk_bytes:
        raise BadFileError(
            f"{path} has {size} bytes, and the index says that values lie past them: one of the two was damaged. "
            "Start again, which compares the index with its digest"
        )
    return offsets
