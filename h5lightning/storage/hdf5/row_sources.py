"""The other files that rows of a dataset lie in: reading a row depends on these files only."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from h5py import h5d, h5i, h5s

from h5lightning.core.arrays import Int64Array
from h5lightning.storage.hdf5.external import Sources, beside

__all__ = ["RowSources"]


_MOST_ROWS = 2**63 - 1


@dataclass(frozen=True, slots=True, eq=False)
class RowSources:
    """The other files that rows of an opened dataset lie in.

    Args:
        always: files that every row needs: targets of links, external storage.
        paths: the source file of each part of a virtual dataset.
        starts: first row of each part, ``(parts,)``.
        stops: one past the last row of each part, ``(parts,)``.
    """

    always: tuple[str, ...]
    paths: tuple[str, ...]
    starts: Int64Array
    stops: Int64Array

    @classmethod
    def of(cls, did: h5d.DatasetID, sources: Sources) -> RowSources:
        """Describe a dataset that may be read, given all files that were checked for it."""
        plist, file = did.get_create_plist(), os.fsdecode(h5i.get_file_id(did).name)
        paths: list[str] = []
        bounds: list[tuple[int, int]] = []
        for number in range(plist.get_virtual_count() if plist.get_layout() == h5d.VIRTUAL else 0):
            name = plist.get_virtual_filename(number)
            if name != "." and beside(file, name) in sources.stamps:
                paths.append(beside(file, name))
                bounds.append(_rows_of(plist.get_virtual_vspace(number)))
        parts = np.asarray(bounds, dtype=np.int64).reshape(-1, 2)
        always = tuple(path for path in sources.stamps if path not in set(paths))
        return cls(always, tuple(paths), parts[:, 0], parts[:, 1])

    def touched(self, rows: Int64Array) -> list[str]:
        """The files that hold any of the rows, ``(N,)``, ascending."""
        if not self.paths:
            return [*self.always]
        has_some = np.searchsorted(rows, self.starts) < np.searchsorted(rows, self.stops)
        return [*self.always, *{self.paths[part]: None for part in np.flatnonzero(has_some).tolist()}]


def _rows_of(space: h5s.SpaceID) -> tuple[int, int]:
    """The first row of a selection, and one past its last row."""
    if not space.get_select_npoints():
        return 0, 0
    if space.get_select_type() == h5s.SEL_ALL or not space.get_simple_extent_ndims():
        return 0, _MOST_ROWS
    first, last = space.get_select_bounds()
    return int(first[0]), int(last[0]) + 1
