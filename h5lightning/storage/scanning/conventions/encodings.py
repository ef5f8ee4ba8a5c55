"""How stored numbers stand for values, from what CF, netCDF, NWB and AnnData write around them → `Encoding`.

What says nothing leaves no encoding: a scale of one, fills that can never occur, a range as wide as the type.
"""

from __future__ import annotations

import math

import numpy as np
from h5py import h5a, h5f, h5o

from h5lightning.planning.catalog.annotations import Encoding, Found
from h5lightning.planning.values.encoded_values import first_missing, missing_text
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.scanning.conventions.category_tables import beside, category_count, referenced
from h5lightning.storage.scanning.conventions.number_encodings import number_encoding
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.stored_values import MOST_CHUNK_BYTES, can_be_read, read_rows

__all__ = ["encoding_of", "is_netcdf", "masked_row"]

_KNOWN = frozenset(
    b"scale_factor add_offset _FillValue missing_value valid_min valid_max valid_range _Unsigned conversion "
    b"offset".split()
)
_FILLS = frozenset((b"_FillValue", b"missing_value"))
# Less than it takes HDF5 to read two more rows.
_FEW_BYTES = 64 * 1024
_FEW_CHUNKS = 3

_OF_NETCDF = frozenset((b"_Netcdf4Dimid", b"_Netcdf4Coordinates", b"DIMENSION_LIST"))


def is_netcdf(fid: h5f.FileID) -> bool:
    """Whether the file says that a library of netCDF wrote it; older ones did not say so."""
    return bool(h5a.exists(fid, b"_NCProperties"))


def encoding_of(
    fid: h5f.FileID,
    opened: DatasetInfo,
    path: str,
    values: ValueReader,
    *,
    of_netcdf: bool,
    is_indexed: bool = True,
) -> Encoding | None:
    """How the numbers of a dataset stand for values; None where they stand for themselves.

    Args:
        fid: the open file.
        opened: a dataset that can be a field.
        path: its path, without a leading slash.
        values: what reads text.
        of_netcdf: the file `is_netcdf`.
        is_indexed: there may be an index of the name that NWB gives to one.
    """
    if is_indexed and (encoding := _ragged(fid, opened, path)):
        return encoding
    element, names = opened.element, opened.attributes
    if not names and not of_netcdf and not path.endswith("/codes"):
        return None
    if element.members or np.dtype(element.dtype).kind not in "iufc":
        return None
    if encoding := _codes(fid, opened, path):
        return encoding
    if element.categories:
        return _of_enumeration(fid, opened, path, values) if names & _FILLS else None
    if names & _KNOWN or of_netcdf or names & _OF_NETCDF:
        return number_encoding(fid, opened, path, values, of_netcdf=of_netcdf or bool(names & _OF_NETCDF))
    return None


def masked_row(opened: DatasetInfo, encoding: Encoding) -> Found | None:
    """The first row with a number that stands for a missing value, of the first, the middle and the last one.

    Of small datasets, all rows are looked at. None where there is none, where looking would cost much, and where the
    values are damaged: that is for those to say who read them.
    """
    if encoding.problem or encoding.kind == "codes" or not encoding.is_masking:
        return None
    if not can_be_read(opened) or not _has_small_rows(opened):
        return None
    try:
        return _masked_row(opened, encoding)
    except OSError:
        return None


def _masked_row(opened: DatasetInfo, encoding: Encoding) -> Found | None:
    for start, stop in _looked_at(opened):
        found = read_rows(opened, start, stop)
        if (place := first_missing(found, encoding)) is not None:
            return Found(start + (place[0] if place else 0), missing_text(found[place], encoding))
    return None


def _looked_at(opened: DatasetInfo) -> list[tuple[int, int]]:
    """Ranges of rows: all in one, where they are as cheap as three reads."""
    shape = opened.shape or (1,)
    if math.prod(shape) * opened.itemsize <= _FEW_BYTES and opened.chunk_count <= _FEW_CHUNKS:
        return [(0, shape[0])]
    return [(row, row + 1) for row in sorted({0, shape[0] // 2, shape[0] - 1})]


def _has_small_rows(opened: DatasetInfo) -> bool:
    """Whether reading one row, with the chunks that it lies in, takes little memory and time."""
    row_shape = (opened.shape or ())[1:]
    chunk_shape = opened.chunks[1:] if opened.chunks else row_shape
    padded = [-(-length // chunk) * chunk for length, chunk in zip(row_shape, chunk_shape, strict=True)]
    height = opened.chunks[0] if opened.chunks else 1
    return math.prod(padded) * height * opened.itemsize <= 2 * MOST_CHUNK_BYTES


# ── rows that are no rows, and codes ─────────────────────────────────────────────────────────────────


def _ragged(fid: h5f.FileID, opened: DatasetInfo, path: str) -> Encoding | None:
    """Of a dataset that a VectorIndex of NWB divides into rows of different lengths."""
    index = beside(fid, f"{path}_index")
    if index is None or not h5a.exists(index, b"target"):
        return None
    target = referenced(index, b"target")
    if target is None or h5o.get_info(target).addr != h5o.get_info(opened.did).addr:
        return None
    problem = (
        f"holds the values of all rows of '/{path}_index' one after the other (a VectorIndex of NWB), "
        "so that its entries are not rows"
    )
    return Encoding("ragged", said_by=(f"target of '/{path}_index'",), problem=problem)


def _of_enumeration(fid: h5f.FileID, opened: DatasetInfo, path: str, values: ValueReader) -> Encoding | None:
    """Of numbers with names, which stand for nothing else, those that are missing."""
    found = number_encoding(fid, opened, path, values, of_netcdf=False)
    if found is None or not found.fills:
        return None
    said = (text for text in found.said_by if text.startswith(("_FillValue", "missing_value")))
    return Encoding("cf", fills=found.fills, said_by=tuple(said))


def _codes(fid: h5f.FileID, opened: DatasetInfo, path: str) -> Encoding | None:
    if b"categories" not in opened.attributes and not path.endswith("/codes"):
        return None
    count = category_count(fid, opened, path)
    if count is None or np.dtype(opened.element.dtype).kind == "c":
        return None
    return Encoding("codes", low=0, high=count - 1, said_by=("categories",))
