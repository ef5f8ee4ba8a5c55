"""Collect the `Annotations` of a dataset: what the file says about it by any of the conventions."""

from __future__ import annotations

import dataclasses
from typing import Any

from h5py import h5f, h5i

from h5lightning.planning.catalog.annotations import NOTHING, PACKED, Annotations, Encoding
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.scanning.conventions.axis_labels import LabelFinder
from h5lightning.storage.scanning.conventions.encodings import (
    encoding_of,
    encoding_with_sources,
    index_of,
    is_netcdf,
    masked_row,
)
from h5lightning.storage.scanning.conventions.flag_names import flag_names
from h5lightning.storage.scanning.conventions.missing_categories import NONE_MISSING, missing_of
from h5lightning.storage.scanning.digests import dataset_digest, group_digest
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.scanned_dataset import ScannedDataset
from h5lightning.storage.scanning.series.name_list import NameList
from h5lightning.storage.scanning.series.series_finder import SeriesFinder
from h5lightning.storage.scanning.unwritten_ends import ends_with_fill

__all__ = ["Annotator"]


class Annotator:
    """Annotates the datasets of one file; what several of them share is read once.

    Args:
        fid: the open file.
        reader: reads attributes and text.
        same: paths of datasets that get a digest.
        named: paths of datasets whose numbers may have names in attributes.
        constants: paths of datasets without a sample axis; None to look for no labels.
        likely_paths: paths of datasets; if the file holds nothing else, its names need not be listed.
        has_series: whether to look for what divides rows into series.
    """

    def __init__(
        self,
        fid: h5f.FileID,
        reader: ValueReader,
        same: tuple[str, ...] = (),
        constants: tuple[str, ...] | None = (),
        *,
        named: frozenset[str] = frozenset(),
        likely_paths: tuple[str, ...] = (),
        has_series: bool = True,
    ) -> None:
        self._fid = fid
        self._reader = reader
        self._same = same
        self._named = named
        self._is_netcdf: bool | None = None
        self._names = NameList(fid, likely_paths=likely_paths)
        self._series = SeriesFinder(fid, self._names) if has_series else None
        self._labels = None if constants is None else LabelFinder(fid, reader, constants)

    def annotate(self, dataset: ScannedDataset, asked: str | None = None) -> Annotations:
        """What the file says about a dataset that can be a field.

        Args:
            dataset: the dataset.
            asked: its path in the request, if it holds a ``*`` there.

        Raises:
            OSError: values that must be read are damaged.
        """
        info, path = dataset.info, dataset.path
        numbers = self._about_numbers(dataset)
        series, series_remarks = self._series.find(info, path) if self._series is not None else ((), ())
        labels, label_remarks = self._labels.find(info, path, asked) if self._labels is not None else ((), ())
        is_named = bool(self._named) and (asked or path) in self._named
        return _annotations(
            numbers,
            series=series,
            labels=labels,
            ends_with_fill=ends_with_fill(self._fid, info),
            remarks=(*series_remarks, *label_remarks),
            flags=flag_names(info, self._reader) if is_named else None,
        )

    def annotate_elsewhere(self, info: DatasetInfo) -> Annotations:
        """What another file, to which a link leads, says about the numbers and columns of its dataset.

        Raises:
            OSError: values that must be read are damaged.
        """
        fid, name = h5i.get_file_id(info.did), h5i.get_name(info.did) or b""
        path = name.decode("utf-8", "surrogateescape").strip("/")
        numbers = self._about_numbers(ScannedDataset(fid, path, info, self._reader))
        if self._labels is None:
            return _annotations(numbers)
        labels, remarks = LabelFinder(fid, self._reader).find(info, path)
        return _annotations(numbers, labels=labels, remarks=remarks)

    def with_digest(
        self, schema: DatasetSchema, info: DatasetInfo | None, asked: str | None = None
    ) -> DatasetSchema:
        """The schema with a digest of all values, if these must be equal in all files.

        A group, whose ``info`` is None, has the digest of all datasets below it. ``asked`` is the path in the request.

        Raises:
            OSError: the values are damaged.
        """
        if (asked or schema.path) not in self._same:
            return schema
        digest = ""
        if info is not None:
            digest = dataset_digest(info, self._reader) + _packing_text(schema.annotations.encoding)
        elif schema.dtype == "group":
            digest = group_digest(self._fid, schema.path, self._reader)
        annotations = dataclasses.replace(schema.annotations, digest=digest or f"? {schema.refusal}")
        return dataclasses.replace(schema, annotations=annotations)

    def _about_numbers(self, dataset: ScannedDataset) -> dict[str, Any]:
        """The encoding of the numbers, the first rows without a value, and what divides them into rows."""
        info, in_file = dataset.info, dataset.fid is self._fid
        may_have_index = not in_file or self._names.may_hold(f"{dataset.path}_index")
        index = index_of(dataset) if may_have_index else ""
        encoding = encoding_of(dataset, of_netcdf=self._is_of_netcdf(dataset))
        if info.storage == "virtual":
            encoding = encoding_with_sources(dataset, encoding)
        masked = None if encoding is None else masked_row(info, encoding)
        missing = missing_of(dataset)
        if encoding is not None and encoding.kind == "codes" and missing.is_known:
            encoding = dataclasses.replace(encoding, low=None, high=None)  # all codes were checked already
        if encoding is None and missing == NONE_MISSING and not index:
            return {}
        return {
            "encoding": encoding,
            "index": index,
            "masked": masked,
            "missing": missing.first,
            "missing_columns": missing.columns,
        }

    def _is_of_netcdf(self, dataset: ScannedDataset) -> bool:
        if not dataset.info.attributes:
            return False  # a library of netCDF writes attributes to each dataset, at least to its dimensions
        if dataset.fid is not self._fid:
            return is_netcdf(dataset.fid)
        if self._is_netcdf is None:
            self._is_netcdf = is_netcdf(self._fid)
        return self._is_netcdf


def _annotations(numbers: dict[str, Any], **further: Any) -> Annotations:
    values = numbers | further
    return Annotations(**values) if any(values.values()) else NOTHING


def _packing_text(encoding: Encoding | None) -> str:
    """What tells apart equal stored numbers that are decoded to different values."""
    if encoding is None or not encoding.is_packed or encoding.problem:
        return ""
    return f"{PACKED}({encoding.scale}, {encoding.offset}, {encoding.is_unsigned})"
