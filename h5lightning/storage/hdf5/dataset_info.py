"""An opened dataset with its properties, read once: each call of HDF5 takes 5 to 10 µs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from h5py import h5a, h5d, h5p, h5t

from h5lightning.planning.catalog.extents import FilterValues
from h5lightning.storage.hdf5.dtypes import ElementType, element_type

__all__ = ["DatasetInfo", "stored_size"]

_LAYOUTS = {
    h5d.COMPACT: "compact",
    h5d.CONTIGUOUS: "contiguous",
    h5d.CHUNKED: "chunked",
    h5d.VIRTUAL: "virtual",
}

_NONE: frozenset[bytes] = frozenset()
_HEAP_BYTES = 16  # of variable-length text in a file: length, address of a heap, and number in it
_POINTER_BYTES = 8  # its size as HDF5 reports it


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """A dataset, its type, shape and properties.

    Args:
        did: the dataset.
        element: type of its elements.
        itemsize: bytes of a stored element.
        shape: its shape; None for a null dataspace.
        storage: ``contiguous``, ``chunked``, ``compact``, ``virtual``, ``external`` or ``unknown``.
        chunks: shape of a chunk, or None.
        filters: number and parameters of each filter, in the order of writing.
        attributes: names of its attributes.
        plist: its creation properties.
    """

    did: h5d.DatasetID
    element: ElementType
    itemsize: int
    shape: tuple[int, ...] | None
    storage: str
    chunks: tuple[int, ...] | None
    filters: FilterValues
    attributes: frozenset[bytes]
    plist: h5p.PropDCID

    @classmethod
    def of(cls, did: h5d.DatasetID) -> DatasetInfo:
        """Read the properties of an opened dataset."""
        tid, plist = did.get_type(), did.get_create_plist()
        storage = "external" if plist.get_external_count() else _LAYOUTS.get(plist.get_layout(), "unknown")
        chunks = plist.get_chunk() if storage == "chunked" else None
        count = plist.get_nfilters() if chunks is not None else 0
        filters = tuple(plist.get_filter(position)[::2] for position in range(count))
        attributes = _names(did) if h5a.get_num_attrs(did) else _NONE
        return cls(
            did, element_type(tid), stored_size(tid), did.shape, storage, chunks, filters, attributes, plist
        )

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a decoded chunk; of the whole dataset where there are no chunks."""
        return math.prod(self.chunks or self.shape or ()) * self.itemsize

    @property
    def chunk_count(self) -> int:
        """Chunks of the dataset if all were written; 1 for a dataset without chunks."""
        if self.chunks is None:
            return 1
        return math.prod(-(-n // chunk) for n, chunk in zip(self.shape or (), self.chunks, strict=True))


def _names(did: h5d.DatasetID) -> frozenset[bytes]:
    names: list[bytes] = []
    h5a.iterate(did, names.append)
    return frozenset(names)


def stored_size(tid: h5t.TypeID) -> int:
    """Bytes of an element in the file.

    HDF5 reports the size in memory, where variable-length text in a compound is a pointer. In the file it takes 16
    bytes.
    """
    return _stored_size(tid.encode()) if tid.get_class() == h5t.COMPOUND else int(tid.get_size())


@lru_cache(maxsize=256)
def _stored_size(encoded: bytes) -> int:
    tid = h5t.decode(encoded)
    return int(tid.get_size()) + (_HEAP_BYTES - _POINTER_BYTES) * _count_variable_texts(tid)


def _count_variable_texts(tid: h5t.TypeID) -> int:
    """Number of variable-length texts in an element."""
    kind = tid.get_class()
    if kind == h5t.ARRAY:
        return int(math.prod(tid.get_array_dims())) * _count_variable_texts(tid.get_super())
    if kind == h5t.COMPOUND:
        return sum(_count_variable_texts(tid.get_member_type(i)) for i in range(tid.get_nmembers()))
    return int(kind == h5t.STRING and tid.is_variable_str())
