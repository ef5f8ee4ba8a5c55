"""Read the values that a scan looks at, in native byte order: in small chunks, without plug-ins or other files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from h5py import h5s, h5t

from h5lightning.planning.catalog.schema import Member
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.dtypes import columns_type
from h5lightning.storage.hdf5.external import encoded
from h5lightning.storage.hdf5.filters import NATIVE_FILTERS, filter_name

__all__ = [
    "MOST_CHUNK_BYTES",
    "blocks_of",
    "blocks_of_columns",
    "blocks_of_text",
    "can_be_read",
    "can_be_read_whole",
    "has_own_values",
    "plugin_filter",
    "read_rows",
]

MOST_CHUNK_BYTES = 4 * 1024 * 1024
_BLOCK_BYTES = 1024 * 1024
_MOST_WHOLE_BYTES = 4 * 1024 * 1024 * 1024


def has_own_values(info: DatasetInfo) -> bool:
    """Whether the values are stored in the file itself, in a layout that is known."""
    return info.storage in ("contiguous", "compact", "chunked")


def plugin_filter(info: DatasetInfo) -> str:
    """The name of the first filter that needs a plug-in, which scanning processes do not load; empty if none does."""
    return next((filter_name(number) for number, _ in info.filters if number not in NATIVE_FILTERS), "")


def can_be_read(info: DatasetInfo) -> bool:
    """Whether rows can be read without a plug-in, another file or much memory."""
    return not info.element.members and _is_cheap(info)


def can_be_read_whole(info: DatasetInfo) -> bool:
    """Whether all rows of a dataset, or of columns of a table, can be read.

    A file can declare a shape that is larger than any disk, so the chunks must have been written.
    """
    if not _is_cheap(info) or math.prod(info.shape or ()) * info.itemsize > _MOST_WHOLE_BYTES:
        return False
    return info.storage != "chunked" or info.did.get_num_chunks() == info.chunk_count


def _is_cheap(info: DatasetInfo) -> bool:
    if info.element.refusal or info.shape is None or 0 in info.shape or not has_own_values(info):
        return False
    return not info.filters or (not plugin_filter(info) and info.chunk_bytes <= MOST_CHUNK_BYTES)


def read_rows(info: DatasetInfo, start: int, stop: int) -> npt.NDArray[Any]:
    """Rows ``start`` to ``stop`` of a dataset that `can_be_read`; of a scalar, its value.

    Raises:
        OSError: they are damaged.
    """
    rows = _read(info, start, stop, np.dtype(info.element.dtype).newbyteorder("="))
    return rows if info.shape else rows.reshape(())


def blocks_of(info: DatasetInfo, nbytes: int = _BLOCK_BYTES) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """All rows of a dataset that `can_be_read`, in blocks of about ``nbytes``, each with its first row."""
    for start, stop in _block_bounds(info, nbytes):
        yield start, read_rows(info, start, stop)


def blocks_of_columns(
    info: DatasetInfo, members: Sequence[Member], nbytes: int = _BLOCK_BYTES
) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Columns of all rows of a table, in blocks as `blocks_of` yields them, with one field for each column.

    A tensor must be able to hold them. Other columns are not read, so neither is the heap with their text of variable
    length.
    """
    types = [(member.name, np.dtype(member.dtype).newbyteorder("=")) for member in members]
    memory_type = columns_type(info.did.get_type(), types)
    dtype = np.dtype(
        [(name, kind, member.shape) for (name, kind), member in zip(types, members, strict=True)]
    )
    for start, stop in _block_bounds(info, nbytes):
        yield start, _read(info, start, stop, dtype, memory_type)


def blocks_of_text(
    info: DatasetInfo, member: Member | None, tid: h5t.TypeStringID, nbytes: int = _BLOCK_BYTES
) -> Iterator[npt.NDArray[Any]]:
    """All texts of fixed length of a dataset, or of a column of a table, in blocks, as bytes.

    Args:
        info: the dataset.
        member: the column, which may have a shape; None for a dataset that is no table.
        tid: the type of a text.
        nbytes: bytes of the rows of a block.
    """
    dtype = np.dtype(f"S{tid.get_size()}")
    if member is None:
        yield from (_read(info, start, stop, dtype, tid) for start, stop in _block_bounds(info, nbytes))
        return
    own = h5t.array_create(tid, member.shape) if member.shape else tid
    column = h5t.create(h5t.COMPOUND, own.get_size())
    column.insert(encoded(member.name), 0, own)
    record = np.dtype([("text", dtype, member.shape)])
    for start, stop in _block_bounds(info, nbytes):
        yield _read(info, start, stop, record, column)["text"]


def _read(
    info: DatasetInfo, start: int, stop: int, dtype: np.dtype[Any], memory_type: h5t.TypeID | None = None
) -> npt.NDArray[Any]:
    """Rows ``start`` to ``stop``; a scalar is one row."""
    row_shape = (info.shape or (1,))[1:]
    rows = np.empty((stop - start, *row_shape), dtype)
    in_file, in_memory = info.did.get_space(), h5s.create_simple(rows.shape)
    if info.shape:
        in_file.select_hyperslab((start, *(0,) * len(row_shape)), rows.shape)
    info.did.read(in_memory, in_file, rows, memory_type)
    return rows


def _block_bounds(info: DatasetInfo, nbytes: int) -> Iterator[tuple[int, int]]:
    shape = info.shape or (1,)
    row_bytes = math.prod(shape[1:]) * info.itemsize
    height = (info.chunks or (1,))[0]
    rows = max(1, nbytes // max(1, row_bytes * height)) * height
    for start in range(0, shape[0], rows):
        yield start, min(start + rows, shape[0])
