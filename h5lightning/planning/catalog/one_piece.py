"""Rows that lie one after the other in their files, found for many files at once."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.schema import DatasetSchema

__all__ = ["OnePiece", "StoredPieces"]

_NOT = -1
_NONE = _NOT, 0, 0
_CONTIGUOUS = np.iinfo(np.int64).max  # as the rows of a chunk: it holds any number of rows


class StoredPieces(NamedTuple):
    """The rows of a dataset in some units: files, or parts of them.

    Args:
        places: the units in which all rows lie in one piece, unfiltered and inside of the file, by their index among
            the requested ones, ``(N,)``, ascending.
        starts: first byte of the first row in each of them, ``(N,)``.
        rows: rows in each of them, at least 1, ``(N,)``.
    """

    places: Int64Array
    starts: Int64Array
    rows: Int64Array

    @classmethod
    def none(cls) -> StoredPieces:
        """No file has its rows in one piece."""
        nothing = np.zeros(0, np.int64)
        return cls(nothing, nothing, nothing)


class OnePiece:
    """One dataset in the units of a catalog.

    Args:
        catalog: the files.
        path: the dataset.
        dtype: NumPy's type string of an element; in files where the dataset has another type, it is not found.
        row_shape: shape of a row, as above.
        leading: how many leading axes make the rows.
    """

    def __init__(
        self, catalog: Catalog, path: str, dtype: str, row_shape: tuple[int, ...], leading: int = 1
    ) -> None:
        self._catalog = catalog
        self._row_bytes = math.prod(row_shape) * np.dtype(dtype).itemsize
        found = [_position(layout, path, dtype, row_shape, leading) for layout in catalog.layouts]
        if not self._row_bytes:
            found = [_NONE] * len(found)
        self._position, self._chunk_rows, self._rows = np.asarray(found, np.int64).reshape(-1, 3).T
        # The last entry is that of datasets whose place is not known.
        extents = (
            filters == () and not reason and parts == 1 and record is None
            for filters, reason, parts, record in catalog.extents.layouts
        )
        self._is_plain = np.asarray([*extents, False])

    def of(self, units: Int64Array) -> StoredPieces:
        """Where the rows lie in some units.

        Args:
            units: their numbers in the catalog, -1 for those that it does not describe, ``(units,)``.
        """
        places = np.flatnonzero(units >= 0)
        places = places[self._position[self._catalog.layout_of[units[places]]] != _NOT]
        units = units[places]
        layouts = self._catalog.layout_of[units]
        facts, extents = self._catalog.first_fact[units] + self._position[layouts], self._catalog.extents
        begins = np.where(facts > 0, extents.ends[facts - 1], 0)
        is_one = self._is_plain[extents.layout_of[facts]] & (extents.ends[facts] - begins == 1)
        rows, chunk_rows = self._catalog.facts[facts, 0] * self._rows[layouts], self._chunk_rows[layouts]
        is_one &= (rows > 0) & (rows <= chunk_rows)
        one = np.flatnonzero(is_one)
        starts = extents.numbers[begins[one]]
        # Of a chunk, all of it is inside of the file, also where it has room for more rows.
        held = np.where(chunk_rows == _CONTIGUOUS, rows, chunk_rows)[one]
        room = self._catalog.stamps[self._catalog.unit_files[units[one]], 0] - starts
        inside = np.flatnonzero((starts >= 0) & (room >= 0) & (held <= room // self._row_bytes))
        return StoredPieces(places[one[inside]], starts[inside], rows[one[inside]])


def _position(
    layout: tuple[DatasetSchema, ...], path: str, dtype: str, row_shape: tuple[int, ...], leading: int
) -> tuple[int, int, int]:
    """The position of a dataset in a layout, the rows of a chunk, and those of one entry along the first axis.

    The position is -1 if its rows cannot lie in one piece: also if a chunk holds only some rows of such an entry.
    """
    for position, dataset in enumerate(layout):
        if dataset.path == path:
            whole = dataset.shape[1:leading] + row_shape
            rows = math.prod(dataset.shape[1:leading])
            chunks = dataset.chunks or (_CONTIGUOUS, *whole)
            if (dataset.dtype, dataset.shape[1:], chunks[1:]) != (dtype, whole, whole):
                return _NONE
            return position, chunks[0] if dataset.chunks is None else chunks[0] * rows, rows
    return _NONE
