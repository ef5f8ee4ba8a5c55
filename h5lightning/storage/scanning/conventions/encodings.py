"""Find how the stored numbers of a dataset are decoded by the conventions of CF, netCDF, NWB and AnnData.

Attributes without effect give no encoding: a scale of one, fill values that cannot occur, a range of the whole type.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator

import numpy as np
from h5py import h5a, h5d, h5f, h5i, h5o

from h5lightning.planning.catalog.annotations import Encoding, Found, divided_text
from h5lightning.planning.values.encoded_values import first_missing, missing_text
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.external import beside, encoded
from h5lightning.storage.hdf5.open_file import opened_id
from h5lightning.storage.scanning.conventions.code_columns import category_count
from h5lightning.storage.scanning.conventions.number_encodings import number_encoding
from h5lightning.storage.scanning.scanned_dataset import ScannedDataset, dataset_at, referenced_dataset
from h5lightning.storage.scanning.stored_values import MOST_CHUNK_BYTES, can_be_read, read_rows

__all__ = ["encoding_of", "encoding_with_sources", "index_of", "is_netcdf", "is_of_netcdf", "masked_row"]

_NUMBER_ATTRIBUTES = frozenset(
    b"scale_factor add_offset _FillValue missing_value valid_min valid_max valid_range _Unsigned conversion "
    b"offset".split()
)
_FILLS = frozenset((b"_FillValue", b"missing_value"))
_OF_NETCDF = frozenset((b"_Netcdf4Dimid", b"_Netcdf4Coordinates", b"DIMENSION_LIST"))

# Reading this much takes HDF5 less time than two more reads of one row.
_FEW_BYTES = 64 * 1024
_FEW_CHUNKS = 3


def is_netcdf(fid: h5f.FileID) -> bool:
    """Whether the file says that a library of netCDF wrote it; old versions of the library did not say so."""
    return bool(h5a.exists(fid, b"_NCProperties"))


def is_of_netcdf(dataset: ScannedDataset) -> bool:
    """Whether a library of netCDF wrote a dataset: it writes attributes to each one, at least to its dimensions."""
    names = dataset.info.attributes
    return bool(names) and (bool(names & _OF_NETCDF) or is_netcdf(dataset.fid))


def encoding_of(dataset: ScannedDataset, *, of_netcdf: bool) -> Encoding | None:
    """How the numbers of a dataset are decoded; None if the stored numbers are the values.

    Args:
        dataset: a dataset that can be a field.
        of_netcdf: the file `is_netcdf`.
    """
    element, names = dataset.info.element, dataset.info.attributes
    if not names and not of_netcdf and not dataset.path.endswith("/codes"):
        return None
    if element.members or np.dtype(element.dtype).kind not in "iufc":
        return None
    if encoding := _codes(dataset):
        return encoding
    if element.categories:
        return _of_enumeration(dataset) if names & _FILLS else None
    if names & _NUMBER_ATTRIBUTES or of_netcdf or names & _OF_NETCDF:
        return number_encoding(dataset, of_netcdf=of_netcdf or bool(names & _OF_NETCDF))
    return None


def masked_row(info: DatasetInfo, encoding: Encoding) -> Found | None:
    """The first row with a number that stands for a missing value, among the first, the middle and the last row.

    Of small datasets, all rows are read. None if there is no such row, if reading would be expensive, and if the values
    are damaged, which the reader of the values reports.
    """
    if encoding.problem or encoding.kind == "codes" or not encoding.is_masking:
        return None
    if not can_be_read(info) or not _has_small_rows(info):
        return None
    try:
        return _masked_row(info, encoding)
    except OSError:
        return None


def _masked_row(info: DatasetInfo, encoding: Encoding) -> Found | None:
    for start, stop in _probed_ranges(info):
        rows = read_rows(info, start, stop)
        if (index := first_missing(rows, encoding)) is not None:
            return Found(start + (index[0] if index else 0), missing_text(rows[index], encoding))
    return None


def _probed_ranges(info: DatasetInfo) -> list[tuple[int, int]]:
    """Ranges of rows to read: all rows at once, if they cost no more than three reads."""
    shape = info.shape or (1,)
    if math.prod(shape) * info.itemsize <= _FEW_BYTES and info.chunk_count <= _FEW_CHUNKS:
        return [(0, shape[0])]
    return [(row, row + 1) for row in sorted({0, shape[0] // 2, shape[0] - 1})]


def _has_small_rows(info: DatasetInfo) -> bool:
    """Whether reading one row, with the chunks in which it lies, takes little memory and time."""
    row_shape = (info.shape or ())[1:]
    chunk_shape = info.chunks[1:] if info.chunks else row_shape
    padded = [-(-length // chunk) * chunk for length, chunk in zip(row_shape, chunk_shape, strict=True)]
    height = info.chunks[0] if info.chunks else 1
    return math.prod(padded) * height * info.itemsize <= 2 * MOST_CHUNK_BYTES


def index_of(dataset: ScannedDataset) -> str:
    """The path of the VectorIndex of NWB that divides values into rows of unequal length; empty if there is none."""
    path = f"{dataset.path}_index"
    index = dataset_at(dataset.fid, path)
    if index is None or not h5a.exists(index, b"target"):
        return ""
    target = referenced_dataset(index, b"target")
    is_this = target is not None and h5o.get_info(target).addr == h5o.get_info(dataset.info.did).addr
    return path if is_this else ""


def _of_enumeration(dataset: ScannedDataset) -> Encoding | None:
    """The fill values of an enumeration; its numbers are not scaled."""
    encoding = number_encoding(dataset, of_netcdf=False)
    if encoding is None or not encoding.fills:
        return None
    fill_texts = (text for text in encoding.said_by if text.startswith(("_FillValue", "missing_value")))
    return Encoding("cf", fills=encoding.fills, said_by=tuple(fill_texts))


def _codes(dataset: ScannedDataset) -> Encoding | None:
    if b"categories" not in dataset.info.attributes and not dataset.path.endswith("/codes"):
        return None
    count = category_count(dataset)
    if count is None or np.dtype(dataset.info.element.dtype).kind == "c":
        return None
    return Encoding("codes", low=0, high=count - 1, said_by=("categories",))


def encoding_with_sources(dataset: ScannedDataset, own: Encoding | None) -> Encoding | None:
    """How the numbers of a virtual dataset, whose sources all exist, are decoded.

    Its own attributes take precedence. If they describe no packing, the packing of its sources counts. A number that
    stands for a missing value in one source stands for one in the virtual dataset.
    """
    if own is not None and (own.is_packed or own.kind != "cf"):
        return own
    sources = dict.fromkeys(_source_encodings(dataset))
    packed = [(where, encoding) for where, encoding in sources if encoding is not None and encoding.is_packed]
    if not packed:
        encodings = dict.fromkeys((own, *(encoding for _, encoding in sources)))
        return _joined([encoding for encoding in encodings if encoding is not None])
    where, first = packed[0]
    if own is None and all(encoding == first for _, encoding in sources):
        return first
    conflict = "its own attributes do not say so" if own else "other sources are not packed in the same way"
    packing = ", ".join(first.said_by) or first.problem
    problem = f"takes its values from {where}, which is packed ({packing}), but {conflict}"
    return Encoding("cf", said_by=first.said_by, problem=problem)


def _joined(encodings: list[Encoding]) -> Encoding | None:
    """One encoding for several that only mark missing values: the fills of all, and the bounds that they share."""
    if len(encodings) < 2:
        return encodings[0] if encodings else None
    first = encodings[0]
    is_bounded = {(one.low, one.high) for one in encodings} == {(first.low, first.high)}
    return dataclasses.replace(
        first,
        fills=tuple(dict.fromkeys(fill for one in encodings for fill in one.fills)),
        low=first.low if is_bounded else None,
        high=first.high if is_bounded else None,
        said_by=tuple(dict.fromkeys(text for one in encodings for text in one.said_by)),
    )


def _source_encodings(dataset: ScannedDataset) -> Iterator[tuple[str, Encoding | None]]:
    """Each source as text, with its encoding."""
    info = dataset.info
    file = os.fsdecode(h5i.get_file_id(info.did).name)
    sources = {
        (info.plist.get_virtual_filename(number), info.plist.get_virtual_dsetname(number).strip("/"))
        for number in range(info.plist.get_virtual_count())
    }
    for name, path in sorted(sources):
        source_file = file if name == "." else beside(file, name)
        with opened_id(source_file) as fid:
            source = DatasetInfo.of(h5d.open(fid, encoded(path)))
            of_netcdf = bool(source.attributes) and is_netcdf(fid)
            scanned = ScannedDataset(fid, path, source, dataset.reader)
            encoding = encoding_of(scanned, of_netcdf=of_netcdf)
            if index := index_of(scanned):
                said_by = (f"target of '/{index}'",)
                encoding = Encoding("ragged", said_by=said_by, problem=divided_text(index))
            if encoding is not None and encoding.is_unsigned is not None and source.itemsize != info.itemsize:
                encoding = dataclasses.replace(
                    encoding, problem="is read without the sign that it is stored with"
                )
        yield f"'/{path}' in {source_file!r}", encoding
