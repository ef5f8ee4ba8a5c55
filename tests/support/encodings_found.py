"""What a scan finds of the numbers of one dataset in an open file."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5p, h5s, h5t

from h5lightning.planning.catalog.annotations import Encoding
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.scanning.conventions.encodings import encoding_of, index_of
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.scanned_dataset import ScannedDataset

NO_TEXT = ValueReader(reads_text=False)


def find(
    file: h5py.File, path: str = "x", *, of_netcdf: bool = False, values: ValueReader = NO_TEXT
) -> Encoding | None:
    """How the numbers of a dataset stand for values."""
    return encoding_of(
        ScannedDataset(file.id, path, DatasetInfo.of(file[path].id), values), of_netcdf=of_netcdf
    )


def divided_by(file: h5py.File, path: str = "x") -> str:
    """The path of the index that divides the values of a dataset; empty if there is none."""
    return index_of(ScannedDataset(file.id, path, DatasetInfo.of(file[path].id), NO_TEXT))


def of_attributes(file: h5py.File, dtype: str, **attrs: Any) -> Encoding | None:
    """How those of a new dataset ``x`` with these attributes do."""
    file.create_dataset("x", data=np.zeros(4, dtype)).attrs.update(attrs)
    return find(file, values=ValueReader(reads_text=True))


def create_filled(file: h5py.File, dtype: str, fill: float, path: bytes = b"x") -> None:
    """A dataset that was never written, as a library of netCDF makes it."""
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_fill_value(np.array(fill, dtype))
    h5d.create(file.id, path, h5t.py_create(np.dtype(dtype)), h5s.create_simple((4,)), plist)
