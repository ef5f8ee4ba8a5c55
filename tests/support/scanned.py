"""One object of an open file, as the scan of the file describes it."""

from __future__ import annotations

from h5py import h5f

from h5lightning.scanning import describing
from h5lightning.scanning.small_values import ValueReader
from h5lightning.schema import DatasetSchema


def describe(fid: h5f.FileID, path: str, values: ValueReader) -> DatasetSchema | None:
    """The schema of what lies at ``path``; None if nothing does."""
    found = describing.find(fid, path, values)
    if found is None or isinstance(found, DatasetSchema):
        return found
    return describing.describe(fid, found, path, values)
