"""Boxes of one request that are read in the same way."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.storage.readers.box_request import BoxRequest
from h5lightning.storage.readers.box_writer import BoxWriter

__all__ = ["Boxes"]


class Boxes(NamedTuple):
    """Boxes of one request.

    Args:
        request: what is read.
        field: the name of its column in the records that are read; empty if it is no column.
        files: the file of each box, ascending, ``(N,)``.
        starts: the first element of each, ``(N, ndim)``.
        slots: the slot of each, ``(N,)``.
    """

    request: BoxRequest
    field: str
    files: Int64Array
    starts: Int64Array
    slots: Int64Array

    @classmethod
    def of(cls, request: BoxRequest, field: str) -> Boxes:
        """All boxes of a request."""
        files = np.arange(len(request.borders) - 1).repeat(request.counts)
        return cls(request, field, files, request.starts, request.slots)

    def part(self, which: Any) -> Boxes:
        """Some of the boxes."""
        return Boxes(self.request, self.field, self.files[which], self.starts[which], self.slots[which])

    @property
    def writer(self) -> BoxWriter:
        """What writes them into their buffer."""
        return BoxWriter(self.request.out, self.request.source.ndim)
