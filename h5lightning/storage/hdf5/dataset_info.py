"""An opened dataset with its properties, read once: each call of HDF5 takes 5 to 10 µs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from h5py import h5a, h5d, h5p

from h5lightning.planning.catalog.extents import FilterValues
from h5lightning.storage.hdf5.dtypes import ElementType, element_type
from h5lightning.storage.hdf5.stored_sizes import stored_size

__all__ = ["DatasetInfo"]

_LAYOUTS = {
    h5d.COMPACT: "compact",
    h5d.CONTIGUOUS: "contiguous",
    h5d.CHUNKED: "chunked",
    h5d.VIRTUAL: "virtual",
}

_NONE: frozenset[bytes] = frozenset()


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
