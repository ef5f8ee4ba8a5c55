"""Digests of all values of a dataset or group: equal if the values are, whatever types and layout they have.

A digest is a line of text such as ``(3,) text 5f2a…``: the shape, the kind of the values, and their hash. If no digest
can be made, the line is ``? …`` with the reason, as a phrase about the dataset.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt
import xxhash
from h5py import h5d, h5f, h5t

from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.external import object_at
from h5lightning.storage.scanning.describe_dataset import dataset_paths
from h5lightning.storage.scanning.metadata_values import ValueReader, lies_in_heap
from h5lightning.storage.scanning.scanned_dataset import dataset_at
from h5lightning.storage.scanning.stored_values import has_own_values, plugin_filter
from h5lightning.storage.scanning.value_hash import hash_for, kind_of

__all__ = [
    "Box",
    "content_kind",
    "dataset_digest",
    "group_digest",
    "incomparable_reason",
    "read_box",
    "read_boxes",
]

# The part of a dataset that these slices select; further axes are whole.
Box: TypeAlias = tuple[slice, ...]

_MOST_BYTES = 4 * 1024**3
_MOST_CHUNK_BYTES = 256 * 1024**2
_BOX_BYTES = 8 * 1024 * 1024
_MOST_ALIGNED = 8  # boxes: a taller chunk is decoded more than once, which bounds the memory
_HEAP_BOX_BYTES = 64 * 1024  # of pointers: the limit on processor time counts for each box


def dataset_digest(info: DatasetInfo, reader: ValueReader) -> str:
    """The digest of all values of a dataset.

    Raises:
        OSError: they are damaged.
        NeedsProcessError: this process must not read them.
    """
    if reason := incomparable_reason(info):
        return f"? {reason}"
    if info.shape is None:
        return "empty"
    value_hash = hash_for(h5py.Dataset(info.did).dtype)
    for _, values in read_boxes(info, reader):
        value_hash.update(values)
    return f"{info.shape} {content_kind(info)} {value_hash.digest()}"


def group_digest(fid: h5f.FileID, path: str, reader: ValueReader) -> str:
    """The digest of all datasets below a group, with their names; empty if there are none.

    Raises:
        OSError: they are damaged.
        NeedsProcessError: this process must not read them.
    """
    state, group = xxhash.xxh3_128(), object_at(fid, path)
    names = [] if group is None or isinstance(group, h5d.DatasetID) else dataset_paths(group)
    for name in names:
        did = dataset_at(fid, f"{path}/{name}")
        digest = "" if did is None else dataset_digest(DatasetInfo.of(did), reader)
        if digest.startswith("? "):
            return f"? holds '{path}/{name}', which {digest[2:]}"
        state.update(f"{len(name)} {name} {digest}\n".encode("utf-8", "surrogateescape"))
    return f"{len(names)} datasets {state.hexdigest()}" if names else ""


def incomparable_reason(info: DatasetInfo) -> str:
    """Why values cannot be compared, as a phrase about the dataset; empty if they can."""
    if not has_own_values(info):
        return "takes its values from other files"
    nbytes = math.prod(info.shape or ()) * info.itemsize
    if nbytes > _MOST_BYTES:
        return f"takes {nbytes} bytes: a scan compares at most {_MOST_BYTES}"
    if info.filters and info.chunk_bytes > _MOST_CHUNK_BYTES:
        return f"has chunks of {info.chunk_bytes} bytes: a scan decodes at most {_MOST_CHUNK_BYTES} at a time"
    if plugin := plugin_filter(info):
        return f"is written with {plugin}, which a scan does not decode: write it with gzip"
    return _type_reason(info.did.get_type())


def _type_reason(tid: h5t.TypeID) -> str:
    kind = tid.get_class()
    if kind == h5t.REFERENCE:
        return "holds references to other objects, which mean something in their own file only"
    if kind == h5t.COMPOUND:
        reasons = (_type_reason(tid.get_member_type(number)) for number in range(tid.get_nmembers()))
        return next((reason for reason in reasons if reason), "")
    if kind in (h5t.ARRAY, h5t.VLEN):
        return _type_reason(tid.get_super())
    if kind == h5t.TIME:
        return "holds HDF5 times, which NumPy cannot represent"
    return ""


def content_kind(info: DatasetInfo) -> str:
    """What the values are, without width and byte order, such as ``numbers``."""
    return kind_of(h5py.Dataset(info.did).dtype)


def read_boxes(info: DatasetInfo, reader: ValueReader) -> Iterator[tuple[Box, npt.NDArray[Any]]]:
    """All values in C order, in boxes of about 8 MiB."""
    in_heap, shape = lies_in_heap(info.did.get_type()), info.shape or ()
    if 0 in shape:
        return
    most = (_HEAP_BOX_BYTES if in_heap else _BOX_BYTES) // max(1, info.itemsize)
    for box in _boxes(shape, info.chunks or (1,) * len(shape), max(1, most)):
        yield box, read_box(info, box, reader)


def read_box(info: DatasetInfo, box: Box, reader: ValueReader) -> npt.NDArray[Any]:
    """A part of a dataset.

    Raises:
        OSError: it is damaged.
        NeedsProcessError: this process must not read it.
    """
    dataset = h5py.Dataset(info.did)
    with reader.guarded(info.did.get_type()):
        values = dataset[box]
    # h5py returns the element of a scalar dataset without an array.
    array: npt.NDArray[Any] = values if info.shape else np.empty((), dataset.dtype)
    if not info.shape:
        array[()] = values
    return array


def _boxes(shape: tuple[int, ...], chunks: tuple[int, ...], most: int) -> Iterator[Box]:
    """Boxes that cover a shape in C order, each of about ``most`` elements, and of whole chunks along the cut axis."""
    if not shape:
        yield ()
        return
    row = math.prod(shape[1:])
    if row > most:
        for index in range(shape[0]):
            for box in _boxes(shape[1:], chunks[1:], most):
                yield (slice(index, index + 1), *box)
        return
    rows = max(1, most // max(1, row))
    if rows >= chunks[0] or chunks[0] * row <= _MOST_ALIGNED * most:
        rows = max(1, rows // chunks[0]) * chunks[0]
    whole = tuple(slice(0, length) for length in shape[1:])
    for start in range(0, shape[0], rows):
        yield (slice(start, min(start + rows, shape[0])), *whole)
