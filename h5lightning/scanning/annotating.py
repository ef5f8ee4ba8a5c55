"""What one file says around its datasets → `Annotations`, found by those that know each convention."""

from __future__ import annotations

import dataclasses

from h5py import h5f

from h5lightning.annotations import NOTHING, Annotations
from h5lightning.scanning.encodings import encoding_of, is_netcdf, masked_row
from h5lightning.scanning.missing_categories import missing_of
from h5lightning.scanning.opened import OpenedDataset
from h5lightning.scanning.small_values import ValueReader

__all__ = ["Annotator"]


class Annotator:
    """Finds the annotations of the datasets of one file; what several of them share is looked at once.

    Args:
        fid: the open file.
        values: what reads attributes and text.
        same: paths of datasets of which a digest is made.
    """

    def __init__(self, fid: h5f.FileID, values: ValueReader, same: tuple[str, ...] = ()) -> None:
        self._fid = fid
        self._values = values
        self._same = same
        self._of_netcdf = is_netcdf(fid)

    def annotate(self, opened: OpenedDataset, path: str) -> Annotations:
        """What the file says around a dataset that can be a field.

        Args:
            opened: the dataset.
            path: its path, without a leading slash.

        Raises:
            OSError: values that it looks at are damaged.
        """
        encoding = encoding_of(self._fid, opened, path, self._values, of_netcdf=self._of_netcdf)
        masked = None if encoding is None else masked_row(opened, encoding)
        missing = missing_of(self._fid, opened, path, self._values)
        if encoding is not None and encoding.kind == "codes" and missing.is_known:
            encoding = dataclasses.replace(encoding, low=None, high=None)  # nothing is left to look for
        found = Annotations(encoding, masked, missing.found, missing.columns)
        return NOTHING if found == NOTHING else found
