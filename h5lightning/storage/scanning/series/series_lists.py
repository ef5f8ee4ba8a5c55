"""Read datasets that list series, such as ``mask/train``: their names as text, or their numbers."""

from __future__ import annotations

from typing import Any

import h5py
from h5py import h5d, h5f, h5t

from h5lightning.errors import FieldError
from h5lightning.storage.hdf5.external import object_at
from h5lightning.storage.scanning.metadata_values import ValueReader, decoded_text

__all__ = ["read_series_lists"]

_MOST_NAMES = 10_000_000
_NAMES_AT_ONCE = 10_000  # the limit of processor time is that of one read
_EXPECTED = "expected a list of the names of series as text, or of their numbers"


def read_series_lists(
    fid: h5f.FileID, file: str, paths: tuple[str, ...], reader: ValueReader
) -> dict[str, list[str] | list[int] | None]:
    """The values of each list; None where the file has no such object.

    Raises:
        FieldError: the object is no list of text or of integers.
        NeedsProcessError: ``reader`` may not read text of variable length.
    """
    return {path: _values(fid, file, path, reader) for path in paths}


def _values(fid: h5f.FileID, file: str, path: str, reader: ValueReader) -> list[Any] | None:
    found = object_at(fid, path)
    if found is None:
        return None
    where = f"split.given: '/{path}' in {file}"
    if not isinstance(found, h5d.DatasetID):
        raise FieldError(f"{where} is a group, {_EXPECTED}")
    tid, shape = found.get_type(), found.shape
    if tid.get_class() not in (h5t.STRING, h5t.INTEGER):
        # h5py's type is a description here; that of some classes cannot be made.
        kind = h5py.Dataset(found).dtype if tid.get_class() in (h5t.FLOAT, h5t.ENUM) else "of another type"
        raise FieldError(f"{where} is {kind}, {_EXPECTED}")
    if shape is None:
        return []
    if len(shape) != 1 or shape[0] > _MOST_NAMES:
        raise FieldError(f"{where} has shape {shape}, {_EXPECTED}")
    dataset, values = h5py.Dataset(found), list[Any]()
    for start in range(0, shape[0], _NAMES_AT_ONCE):
        with reader.guarded(tid):
            part = dataset[start : start + _NAMES_AT_ONCE].tolist()
        values += [decoded_text(value) if isinstance(value, bytes) else value for value in part]
    return values
