"""A dataset of an open file as the scan looks at it, and the datasets that names and references lead to."""

from __future__ import annotations

from dataclasses import dataclass

import h5py
from h5py import h5a, h5d, h5f, h5r, h5t

from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.external import object_at
from h5lightning.storage.scanning.metadata_values import ValueReader

__all__ = ["ScannedDataset", "dataset_at", "dereferenced", "referenced_dataset"]


@dataclass(frozen=True, slots=True)
class ScannedDataset:
    """An open dataset, with what is needed to look at the objects around it; its path has no leading slash."""

    fid: h5f.FileID
    path: str
    info: DatasetInfo
    reader: ValueReader

    @property
    def group(self) -> str:
        """Path of the group in which it lies; empty for the root group."""
        return self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]


def dataset_at(fid: h5f.FileID, path: str) -> h5d.DatasetID | None:
    """The dataset at a path of hard links; None if there is none."""
    target = object_at(fid, path)
    return target if isinstance(target, h5d.DatasetID) else None


def dereferenced(reference: object, owner: h5d.DatasetID) -> h5d.DatasetID | None:
    """The dataset that an object reference leads to; None if there is none, or no longer."""
    if not isinstance(reference, h5r.Reference) or not reference:
        return None
    try:
        target = h5r.dereference(reference, owner)
    except (OSError, ValueError, RuntimeError, LookupError):
        return None  # a copy of a file may keep references whose targets were not copied
    return target if isinstance(target, h5d.DatasetID) else None


def referenced_dataset(did: h5d.DatasetID, name: bytes) -> h5d.DatasetID | None:
    """The dataset that an existing attribute refers to; None if it is no such reference."""
    attribute = h5a.open(did, name)
    if not attribute.get_type().equal(h5t.STD_REF_OBJ) or attribute.shape != ():
        return None
    return dereferenced(h5py.AttributeManager(h5py.Dataset(did))[name.decode()], did)
