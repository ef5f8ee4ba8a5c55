"""How a dataset without filters is read: from a map of the file or by calls of the system, verified or not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.errors import BadFileError
from h5lightning.readers.opened_sources import Table
from h5lightning.readers.raw_file import RawFile
from h5lightning.readers.read_rows import ReadRows
from h5lightning.readers.storage_map import StorageMap
from h5lightning.readers.stored_tables import MappedRows, SplitRows
from h5lightning.readers.verified import VerifiedFile, VerifiedReads, VerifiedRows
from h5lightning.verified_blocks import VerifiedBlocks

__all__ = ["unfiltered_table"]

Bytes = npt.NDArray[np.uint8]


def unfiltered_table(
    raw: RawFile,
    storage: StorageMap,
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


def _mapped(raw: RawFile, storage: StorageMap, dtype: np.dtype[Any]) -> MappedRows | SplitRows | None:
    try:
        view = raw.view
    except BadFileError:
        return None  # some file systems cannot map files
    if storage.holds_whole_rows:
        return MappedRows.of(view, storage)
    return SplitRows(partial(_look, view), storage, dtype)


def _look(view: Bytes, offset: int, size: int) -> Bytes:
    return view[offset : offset + size]
