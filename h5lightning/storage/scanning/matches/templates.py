"""Datasets that differ from one that was described only in their numbers: described by a few calls of HDF5.

It is what `describe_dataset`, the annotator and `locate` would find. Any doubt is left to them.
"""

from __future__ import annotations

import dataclasses
import math
import os

from h5py import h5a, h5d, h5f, h5p, h5t

from h5lightning.planning.catalog.annotations import NOTHING
from h5lightning.planning.catalog.extents import UNKNOWN, Extents
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.planning.catalog.unit_table import Entry, UnitTableBuilder
from h5lightning.storage.hdf5.chunk_index import DamageError, locate
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.scanning.describe_dataset import missing_chunks
from h5lightning.storage.scanning.unwritten_ends import MOST_ROW_BYTES, ends_with_fill

__all__ = ["Template", "template_of"]

_STORAGES = ("contiguous", "chunked", "compact")
_INT64_MAX = 2**63 - 1


def template_of(
    fid: h5f.FileID,
    file: str,
    did: h5d.DatasetID,
    schema: DatasetSchema,
    extents: Extents | None,
    builder: UnitTableBuilder,
) -> Template | None:
    """The template that a described dataset is for others; None if its description is not made of itself alone."""
    if (
        schema.refusal
        or schema.annotations is not NOTHING
        or extents is None
        or schema.storage not in _STORAGES
    ):
        return None
    info = DatasetInfo.of(did)
    if info.attributes or info.shape is None or 0 in info.shape:
        return None
    return Template(fid, file, info, builder.entry(schema, extents), extents)


class Template:
    """What datasets without attributes, of one type, row shape and storage have in common.

    Args:
        fid: the open file.
        file: where it lies.
        info: a dataset that was described.
        entry: its description.
        extents: the positions of its values.
    """

    __slots__ = (
        "_descriptor",
        "_entry",
        "_fid",
        "_file",
        "_file_bytes",
        "_info",
        "_is_contiguous",
        "_is_readable",
        "_row_bytes",
        "_row_shape",
        "_tid",
    )

    def __init__(self, fid: h5f.FileID, file: str, info: DatasetInfo, entry: Entry, extents: Extents) -> None:
        self._fid = fid
        self._file = file
        self._info = info
        self._entry = entry
        self._tid: h5t.TypeID = info.did.get_type()
        self._row_shape = (info.shape or ())[1:]
        self._row_bytes = math.prod(self._row_shape) * info.itemsize
        self._is_contiguous = info.storage == "contiguous" and info.did.get_offset() is not None
        self._is_readable = not extents.reason
        self._file_bytes = fid.get_filesize()
        self._descriptor = fid.get_vfd_handle()

    def entry(self, did: h5d.DatasetID, builder: UnitTableBuilder, most_chunks: int) -> Entry | None:
        """The description of a dataset; None if it must be described in full."""
        shape = did.shape
        expected = self._info.shape or ()
        if shape is None or len(shape) != len(expected) or shape[1:] != self._row_shape:
            return None
        if h5a.get_num_attrs(did) or not did.get_type().equal(self._tid):
            return None
        if self._is_contiguous:
            return self._contiguous(did, shape)
        if not self._is_stored_alike(did.get_create_plist()):
            return None
        return self._chunked(did, shape, builder, most_chunks)

    def _is_stored_alike(self, plist: h5p.PropDCID) -> bool:
        """Whether the storage is that of the template; H5Pequal does not compare all of it."""
        if plist.get_layout() != self._info.plist.get_layout() or plist.get_external_count():
            return False
        if self._info.chunks is None:
            return True
        count = len(self._info.filters)
        if plist.get_chunk() != self._info.chunks or plist.get_nfilters() != count:
            return False
        return tuple(plist.get_filter(position)[::2] for position in range(count)) == self._info.filters

    def _contiguous(self, did: h5d.DatasetID, shape: tuple[int, ...]) -> Entry | None:
        kind, *_, form, _ = self._entry
        offset, stored = did.get_offset(), did.get_storage_size()
        size = (shape[0] if shape else 1) * self._row_bytes
        if offset is None or stored != size or not 0 < size <= self._file_bytes - offset:
            return None
        if len(shape) and shape[0] > 1 and self._may_end_with_fill(offset + size - self._row_bytes):
            return None
        rows = shape[0] if shape else -1
        return kind, rows, stored, 0, 0, form, offset if self._is_readable else None

    def _may_end_with_fill(self, offset: int) -> bool:
        """Whether the last row, at this offset, holds one value only; see `ends_with_fill`."""
        element, size = self._info.element, self._row_bytes
        if element.dtype[1:2] not in ("f", "c") or element.hdf5_reason or not 0 < size <= MOST_ROW_BYTES:
            return False
        last = os.pread(self._descriptor, size, offset)
        return len(last) == size and last == last[: self._info.itemsize] * (size // self._info.itemsize)

    def _chunked(
        self, did: h5d.DatasetID, shape: tuple[int, ...], builder: UnitTableBuilder, most_chunks: int
    ) -> Entry | None:
        if 0 in shape or math.prod(shape) * self._info.itemsize > _INT64_MAX or did.get_offset() is not None:
            return None
        info = dataclasses.replace(self._info, did=did, shape=shape)
        if ends_with_fill(self._fid, info):
            return None
        rows = shape[0] if shape else -1
        facts = self._entry[0], rows, did.get_storage_size(), missing_chunks(info), 0
        if info.chunk_count > most_chunks:
            return (*facts, UNKNOWN, None)
        try:
            extents = locate(info, self._file, self._file_bytes)
        except DamageError:
            return None  # the full description says so
        return (*facts, builder.form(extents), extents.numbers)
