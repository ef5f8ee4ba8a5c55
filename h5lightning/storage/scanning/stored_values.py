"""Values of datasets that a scan looks at: few, of small chunks, and decoded by no plug-in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from h5py import h5s

from h5lightning.planning.catalog.schema import Member
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.dtypes import columns_type
from h5lightning.storage.hdf5.filters import NATIVE_FILTERS

__all__ = [
    "MOST_CHUNK_BYTES",
    "blocks_of",
    "blocks_of_columns",
    "can_be_read",
    "can_be_read_whole",
    "read_rows",
]

MOST_CHUNK_BYTES = 4 * 1024 * 1024
_BLOCK_BYTES = 1024 * 1024
_MOST_WHOLE_BYTES = 4 * 1024 * 1024 * 1024


def can_be_read(opened: DatasetInfo) -> bool:
    """Whether rows can be read without a plug-in, another file or much memory."""
    return not opened.element.members and _is_cheap(opened)


def can_be_read_whole(opened: DatasetInfo) -> bool:
    """Whether all of a dataset, or of columns of a table, can be read: a shape may promise more than a disk holds."""
    if not _is_cheap(opened) or math.prod(opened.shape or ()) * opened.itemsize > _MOST_WHOLE_BYTES:
        return False
    return opened.storage != "chunked" or opened.did.get_num_chunks() == opened.chunk_count


def _is_cheap(opened: DatasetInfo) -> bool:
    if opened.element.refusal or opened.shape is None or 0 in opened.shape:
        return False
    if opened.storage not in ("contiguous", "compact", "chunked"):
        return False
    if not opened.filters:
        return True
    return {
        number for number, _ in opened.filters
    } <= NATIVE_FILTERS and opened.chunk_bytes <= MOST_CHUNK_BYTES


def read_rows(opened: DatasetInfo, start: int, stop: int) -> npt.NDArray[Any]:
    """Rows ``start`` to ``stop`` of a dataset that `can_be_read`, in native byte order; of a scalar, its value.

    Raises:
        OSError: they are damaged.
    """
    shape = opened.shape or ()
    dtype = np.dtype(opened.element.dtype).newbyteorder("=")
    if not shape:
        value = np.empty((), dtype)
        opened.did.read(h5s.ALL, h5s.ALL, value)
        return value
    found = np.empty((stop - start, *shape[1:]), dtype)
    in_file, in_memory = opened.did.get_space(), h5s.create_simple(found.shape)
    in_file.select_hyperslab((start, *(0,) * (len(shape) - 1)), found.shape)
    opened.did.read(in_memory, in_file, found)
    return found


def blocks_of(opened: DatasetInfo) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """All rows of a dataset that `can_be_read`, in blocks of about 1 MiB, each with the number of its first row."""
    for start, stop in _block_bounds(opened):
        yield start, read_rows(opened, start, stop)


def blocks_of_columns(
    opened: DatasetInfo, members: Sequence[Member]
) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Some columns of all rows of a table whose columns can be read; see `blocks_of`.

    Each block has a field for each column, without text of variable length: the heap that it lies in is never read.

    Args:
        opened: the table.
        members: columns that a tensor can hold.
    """
    types = [(member.name, np.dtype(member.dtype).newbyteorder("=")) for member in members]
    memory = columns_type(opened.did.get_type(), types)
    dtype = np.dtype(
        [(name, kind, member.shape) for (name, kind), member in zip(types, members, strict=True)]
    )
    rest = (opened.shape or (1,))[1:]
    for start, stop in _block_bounds(opened):
        found = np.empty((stop - start, *rest), dtype)
        in_file, in_memory = opened.did.get_space(), h5s.create_simple(found.shape)
        if opened.shape:
            in_file.select_hyperslab((start, *(0,) * len(rest)), found.shape)
        opened.did.read(in_memory, in_file, found, memory)
        yield start, found


def _block_bounds(opened: DatasetInfo) -> Iterator[tuple[int, int]]:
    shape = opened.shape or (1,)
    row_bytes = math.prod(shape[1:]) * opened.itemsize
    height = (opened.chunks or (1,))[0]
    rows = max(1, _BLOCK_BYTES // max(1, row_bytes * height)) * height
    for start in range(0, shape[0], rows):
        yield start, min(start + rows, shape[0])
