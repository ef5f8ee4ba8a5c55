"""One object of an open file, as the scan of the file describes it."""

from __future__ import annotations

from h5py import h5f

from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.storage.scanning import describe_dataset as describing
from h5lightning.storage.scanning.metadata_values import ValueReader


def describe(fid: h5f.FileID, path: str, values: ValueReader) -> DatasetSchema | None:
    """The schema of what lies at ``path``; None if nothing does."""
    found = describing.find(fid, path, values)
    if found is None or isinstance(found, DatasetSchema):
        return found
    return describing.describe(fid, found, path, values)
