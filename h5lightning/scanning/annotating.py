"""What one file says around its datasets → `Annotations`, found by those that know each convention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from h5py import h5f, h5i

from h5lightning.annotations import NOTHING, Annotations
from h5lightning.scanning.encodings import encoding_of, is_netcdf, masked_row
from h5lightning.scanning.opened import OpenedDataset
from h5lightning.scanning.series_tables import SeriesFinder
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
        self._of_netcdf: bool | None = None
        self._series = SeriesFinder(fid)

    def annotate(self, opened: OpenedDataset, path: str) -> Annotations:
        """What the file says around a dataset that can be a field.

        Args:
            opened: the dataset.
            path: its path, without a leading slash.

        Raises:
            OSError: values that it looks at are damaged.
        """
        said = self._encoding(self._fid, opened, path)
        series, remarks = self._series.find(opened, path)
        said |= {"series": series, "remarks": remarks}
        return _annotations(said)

    def annotate_elsewhere(self, opened: OpenedDataset) -> Annotations:
        """What another file, to which a link leads, says of the numbers of a dataset.

        Raises:
            OSError: values that it looks at are damaged.
        """
        name = h5i.get_name(opened.did) or b""
        path = name.decode("utf-8", "surrogateescape").strip("/")
        return _annotations(self._encoding(h5i.get_file_id(opened.did), opened, path))

    def _encoding(self, fid: h5f.FileID, opened: OpenedDataset, path: str) -> dict[str, Any]:
        # Without attributes, even of its axes, a dataset is none that a library of netCDF wrote.
        of_netcdf = bool(opened.attributes) and self._is_of_netcdf(fid)
        encoding = encoding_of(fid, opened, path, self._values, of_netcdf=of_netcdf)
        if encoding is None:
            return {}
        return {"encoding": encoding, "masked": masked_row(opened, encoding)}

    def _is_of_netcdf(self, fid: h5f.FileID) -> bool:
        if fid is not self._fid:
            return is_netcdf(fid)
        if self._of_netcdf is None:
            self._of_netcdf = is_netcdf(fid)
        return self._of_netcdf


def _annotations(said: Mapping[str, Any]) -> Annotations:
    return Annotations(**said) if any(said.values()) else NOTHING
