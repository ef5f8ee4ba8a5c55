"""What one file says around its datasets → `Annotations`, found by those that know each convention."""

from __future__ import annotations

import dataclasses

from h5py import h5f

from h5lightning.annotations import NOTHING, Annotations
from h5lightning.scanning.axis_labels import LabelFinder
from h5lightning.scanning.digests import dataset_digest, group_digest
from h5lightning.scanning.opened import OpenedDataset
from h5lightning.scanning.small_values import ValueReader
from h5lightning.schema import DatasetSchema

__all__ = ["Annotator"]


class Annotator:
    """Finds the annotations of the datasets of one file; what several of them share is looked at once.

    Args:
        fid: the open file.
        values: what reads attributes and text.
        same: paths of datasets of which a digest is made.
        constants: paths of datasets without a sample axis.
    """

    def __init__(
        self,
        fid: h5f.FileID,
        values: ValueReader,
        same: tuple[str, ...] = (),
        constants: tuple[str, ...] = (),
    ) -> None:
        self._fid = fid
        self._values = values
        self._same = same
        self._labels = LabelFinder(fid, values, constants)

    def annotate(self, opened: OpenedDataset, path: str) -> Annotations:
        """What the file says around a dataset that can be a field.

        Args:
            opened: the dataset.
            path: its path, without a leading slash.

        Raises:
            OSError: values that it looks at are damaged.
        """
        labels, remarks = self._labels.find(opened, path)
        return Annotations(labels=labels, remarks=remarks) if labels or remarks else NOTHING

    def with_digest(self, said: Annotations, found: OpenedDataset | DatasetSchema, path: str) -> Annotations:
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
            digest = dataset_digest(found, self._values)
        return dataclasses.replace(said, digest=digest or f"? {_refusal(found)}")


def _refusal(found: OpenedDataset | DatasetSchema) -> str:
    return found.refusal if isinstance(found, DatasetSchema) else "cannot be read"
