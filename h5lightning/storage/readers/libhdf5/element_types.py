"""The types of the elements of a source in one open file, as NumPy and HDF5 know them."""

from __future__ import annotations

from typing import Any

import numpy as np
from h5py import h5t

from h5lightning.errors import UnsupportedFieldError
from h5lightning.storage.hdf5.dtypes import columns_type, element_type
from h5lightning.storage.readers.checks import check_type, name_of
from h5lightning.storage.readers.protocol import DatasetColumn
from h5lightning.storage.readers.records import RecordColumns

__all__ = ["has_numpy_type", "types_of"]


def types_of(path: str, source: DatasetColumn, tid: h5t.TypeID) -> tuple[np.dtype[Any], h5t.TypeID]:
    """The types of the elements in NumPy and HDF5; raises `FileChangedError` if they are not those of the source."""
    element = element_type(tid)
    if not isinstance(source, RecordColumns):
        check_type(path, source, element)
        dtype = np.dtype(source.dtype)
        if not element.raw:
            return dtype, h5t.py_create(dtype)
        if tid.get_class() == h5t.VLEN:
            raise UnsupportedFieldError(
                f"{name_of(path, source)} holds bytes of variable length that only HDF5 could find, which a damaged "
                "file would block forever: write it again with h5py, contiguous or with a filter such as gzip"
            )
        return dtype, tid  # as they lie in the file: a conversion of text may end at a NUL
    fields = [
        (str(position), column.dtype, check_type(path, column, element))
        for position, column in enumerate(source.columns)
    ]
    columns = [(column.member or "", np.dtype(column.dtype)) for column in source.columns]
    return np.dtype(fields), columns_type(tid, columns)


def has_numpy_type(tid: h5t.TypeID, source: DatasetColumn) -> bool:
    """Whether NumPy has the types of all columns, also of those that are not read."""
    if not isinstance(source, RecordColumns):
        return np.dtype(source.dtype).kind not in "SV"  # h5py would convert text
    try:
        return tid.dtype is not None
    except TypeError:
        return False
