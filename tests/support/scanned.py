"""One object of an open file, as the scan of the file describes it."""

from __future__ import annotations

from h5py import h5f

from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.storage.scanning.describe_dataset import describe_dataset, find_dataset
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.scanned_dataset import ScannedDataset


def describe(fid: h5f.FileID, path: str, values: ValueReader) -> DatasetSchema | None:
    """The schema of the object at ``path``; None if there is none."""
    found = find_dataset(fid, path, values)
    if found is None or isinstance(found, DatasetSchema):
        return found
    return describe_dataset(ScannedDataset(fid, path, found, values))
