"""A dataset of one unit with the positions of its values, for a reader."""

from __future__ import annotations

import dataclasses

from h5lightning.planning.catalog.extents import Extents
from h5lightning.planning.catalog.schema import DatasetSchema

__all__ = ["StoredDataset"]


@dataclasses.dataclass(frozen=True, slots=True)
class StoredDataset:
    """A dataset of one file, and the positions of its values.

    Args:
        layout: its schema without what differs between files, shared with other files.
        shape: its shape.
        extents: the positions of its values.
    """

    layout: DatasetSchema
    shape: tuple[int, ...]
    extents: Extents
