"""What one file says around its datasets → `Annotations`, found by those that know each convention."""

from __future__ import annotations

import dataclasses
from typing import Any

from h5py import h5f, h5i

from h5lightning.planning.catalog.annotations import NOTHING, PACKED, Annotations, Encoding
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.scanning.conventions.axis_labels import LabelFinder
from h5lightning.storage.scanning.conventions.encodings import encoding_of, is_netcdf, masked_row
from h5lightning.storage.scanning.conventions.missing_categories import NONE_MISSING, missing_of
from h5lightning.storage.scanning.conventions.virtual_encodings import encoding_with_sources
from h5lightning.storage.scanning.digests import dataset_digest, group_digest
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.series.name_list import NameList
from h5lightning.storage.scanning.series.name_roles import may_divide
from h5lightning.storage.scanning.series.series_finder import SeriesFinder
from h5lightning.storage.scanning.unwritten_ends import ends_with_fill

__all__ = ["Annotator"]


class Annotator:
    """Finds the annotations of the datasets of one file; what several of them share is looked at once.

    Args:
        fid: the open file.
        values: what reads attributes and text.
        same: paths of datasets of which a digest is made.
        constants: paths of datasets without a sample axis; None where no labels are looked for.
        known: paths of datasets that may be all that the file holds.
    """

    def __init__(
        self,
        fid: h5f.FileID,
        values: ValueReader,
        same: tuple[str, ...] = (),
        constants: tuple[str, ...] | None = (),
        known: tuple[str, ...] = (),
    ) -> None:
        self._fid = fid
        self._values = values
        self._same = same
        self._of_netcdf: bool | None = None
        self._names = NameList(fid, may_divide, known=known)
        self._series = SeriesFinder(fid, self._names)
        self._labels = None if constants is None else LabelFinder(fid, values, constants)

    def annotate(self, opened: DatasetInfo, path: str) -> Annotations:
        """What the file says around a dataset that can be a field.

        Args:
            opened: the dataset.
            path: its path, without a leading slash.

        Raises:
            OSError: values that it looks at are damaged.
        """
        said = self._encoding(self._fid, opened, path)
        series, of_series = self._series.find(opened, path)
        labels, of_labels = self._labels.find(opened, path) if self._labels is not None else ((), ())
        ends = ends_with_fill(self._fid, opened)
        remarks = (*of_series, *of_labels)
        return _annotations(said, series=series, labels=labels, ends_with_fill=ends, remarks=remarks)

    def annotate_elsewhere(self, opened: DatasetInfo) -> Annotations:
        """What another file, to which a link leads, says of the numbers and the columns of a dataset.

        Raises:
            OSError: values that it looks at are damaged.
        """
        fid, name = h5i.get_file_id(opened.did), h5i.get_name(opened.did) or b""
        path = name.decode("utf-8", "surrogateescape").strip("/")
        said = self._encoding(fid, opened, path)
        if self._labels is None:
            return _annotations(said)
        labels, remarks = LabelFinder(fid, self._values).find(opened, path)
        return _annotations(said, labels=labels, remarks=remarks)

    def with_digest(self, said: Annotations, found: DatasetInfo | DatasetSchema, path: str) -> Annotations:
        """The annotations with a digest of all values, if they must be the same in all files.

        Args:
            said: the annotations.
            found: the dataset, or what is none: the datasets of a group count together.
            path: its path, without a leading slash.

        Raises:
            OSError: the values are damaged.
        """
        if path not in self._same:
            return said
        if isinstance(found, DatasetSchema):
            digest = group_digest(self._fid, path, self._values) if found.dtype == "group" else ""
        else:
            digest = dataset_digest(found, self._values) + _packing_text(said.encoding)
        return dataclasses.replace(said, digest=digest or f"? {_refusal(found)}")

    def _encoding(self, fid: h5f.FileID, opened: DatasetInfo, path: str) -> dict[str, Any]:
        # Without attributes, even of its axes, a dataset is none that a library of netCDF wrote.
        of_netcdf = bool(opened.attributes) and self._is_of_netcdf(fid)
        is_indexed = fid is not self._fid or self._names.holds(f"{path}_index")
        encoding = encoding_of(fid, opened, path, self._values, of_netcdf=of_netcdf, is_indexed=is_indexed)
        if opened.storage == "virtual":
            encoding = encoding_with_sources(opened, encoding, self._of_source)
        masked = None if encoding is None else masked_row(opened, encoding)
        missing = missing_of(fid, opened, path, self._values)
        if encoding is not None and encoding.kind == "codes" and missing.is_known:
            encoding = dataclasses.replace(encoding, low=None, high=None)  # nothing is left to look for
        if encoding is None and missing == NONE_MISSING:
            return {}
        return {
            "encoding": encoding,
            "masked": masked,
            "missing": missing.found,
            "missing_columns": missing.columns,
        }

    def _of_source(self, fid: h5f.FileID, opened: DatasetInfo, path: str) -> Encoding | None:
        of_netcdf = bool(opened.attributes) and is_netcdf(fid)
        return encoding_of(fid, opened, path, self._values, of_netcdf=of_netcdf)

    def _is_of_netcdf(self, fid: h5f.FileID) -> bool:
        if fid is not self._fid:
            return is_netcdf(fid)
        if self._of_netcdf is None:
            self._of_netcdf = is_netcdf(fid)
        return self._of_netcdf


def _annotations(said: dict[str, Any], **more: Any) -> Annotations:
    said.update(more)
    return Annotations(**said) if any(said.values()) else NOTHING


def _packing_text(encoding: Encoding | None) -> str:
    """What makes equal stored numbers stand for different values."""
    if encoding is None or not encoding.is_packed or encoding.problem:
        return ""
    return f"{PACKED}({encoding.scale}, {encoding.offset}, {encoding.is_unsigned})"


def _refusal(found: DatasetInfo | DatasetSchema) -> str:
    return found.refusal if isinstance(found, DatasetSchema) else "cannot be read"
