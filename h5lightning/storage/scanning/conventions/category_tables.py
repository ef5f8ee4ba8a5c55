"""The names of categories of a column of codes: AnnData stores them in a dataset beside the codes."""

from __future__ import annotations

from h5py import h5a, h5d, h5f, h5g, h5t

from h5lightning.storage.hdf5.external import encoded
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.scanned_dataset import ScannedDataset, dataset_at, referenced_dataset

__all__ = ["category_count", "category_table", "group_encoding"]

_ENCODING = "encoding-type"


def category_count(dataset: ScannedDataset) -> int | None:
    """The number of categories of a column of codes; None if the dataset may be something else.

    Datasets named ``codes`` and ``categories`` may be unrelated, so the group must have an ``encoding-type``, or the
    categories must be text.
    """
    table = category_table(dataset) if len(dataset.info.shape or ()) == 1 else None
    if table is None or table.rank != 1:
        return None
    is_text = table.get_type().get_class() == h5t.STRING
    if b"categories" not in dataset.info.attributes and not is_text:
        group = h5g.open(dataset.fid, encoded(dataset.group))
        if not h5a.exists(group, _ENCODING.encode()):
            return None
    return int(table.shape[0])


def category_table(dataset: ScannedDataset) -> h5d.DatasetID | None:
    """The dataset with the names of the categories of a column of codes; None if there is none."""
    if b"categories" in dataset.info.attributes:
        return referenced_dataset(dataset.info.did, b"categories")
    if dataset.name != "codes" or not dataset.group or len(dataset.info.shape or ()) != 1:
        return None
    return dataset_at(dataset.fid, f"{dataset.group}/categories")


def group_encoding(fid: h5f.FileID, group: str, reader: ValueReader) -> str | None:
    """The ``encoding-type`` of the group at a path; None if it has no such attribute."""
    opened = h5g.open(fid, encoded(group))
    return reader.text(opened, _ENCODING) if h5a.exists(opened, _ENCODING.encode()) else None
