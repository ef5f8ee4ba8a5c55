"""What one file says around its datasets → `Annotations`, found by those that know each convention."""

from __future__ import annotations

from h5py import h5f

from h5lightning.annotations import NOTHING, Annotations
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

    def annotate(self, opened: OpenedDataset, path: str) -> Annotations:
        """What the file says around a dataset that can be a field.

        Args:
            opened: the dataset.
            path: its path, without a leading slash.

        Raises:
            OSError: values that it looks at are damaged.
        """
        del opened, path
        return NOTHING
