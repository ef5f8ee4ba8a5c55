"""The positions of the values of one dataset in its file, which the scan asks from libhdf5 once.

Pure data: opens no file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import EqualByValue

__all__ = ["Extents", "FilterValues"]

FilterValues: TypeAlias = tuple[tuple[int, tuple[int, ...]], ...]

_NOTHING = np.zeros((1, 0), dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Extents(EqualByValue):
    """The stored chunks of one dataset.

    A contiguous dataset has one chunk; a dataset without values, or that only HDF5 can read, has none.

    Args:
        numbers: ``(1, 2 or 3, chunks)``: the first byte of each chunk, in the order of the grid; its stored bytes,
            unless each chunk has full size; its mask of skipped filters, unless none was skipped.
        filters: number and client values of each filter, in the order of writing.
        reason: the reason why only HDF5 can read it, to follow the name of the dataset; empty if it can be read
            without HDF5.
    """

    numbers: Int64Array
    filters: FilterValues = ()
    reason: str = ""

    @classmethod
    def of(
        cls,
        offsets: Int64Array,
        sizes: Int64Array,
        masks: Int64Array,
        chunk_bytes: int,
        filters: FilterValues,
    ) -> Extents:
        """The extents of chunks, ``(chunks,)`` each; sizes and masks are left out if they are all the default."""
        if masks.any():
            return cls(np.stack([offsets, sizes, masks]), filters)
        if (sizes != chunk_bytes).any():
            return cls(np.stack([offsets, sizes]), filters)
        return cls(offsets[None], filters)

    @classmethod
    def unreadable(cls, reason: str) -> Extents:
        """A dataset that only HDF5 can read."""
        return cls(_NOTHING, (), reason)

    @classmethod
    def nothing(cls) -> Extents:
        """A dataset without values: none of its chunks is ever read."""
        return cls(_NOTHING)

    @property
    def offsets(self) -> Int64Array:
        """First byte of each chunk, ``(chunks,)``."""
        first: Int64Array = self.numbers[0]
        return first

    def sizes(self, chunk_bytes: int) -> Int64Array:
        """Stored bytes of each chunk, ``(chunks,)``; ``chunk_bytes`` are the bytes of a chunk without filters."""
        return self._row(1, chunk_bytes)

    @property
    def masks(self) -> Int64Array:
        """Mask of skipped filters of each chunk, ``(chunks,)``."""
        return self._row(2, 0)

    def _row(self, row: int, default: int) -> Int64Array:
        if len(self.numbers) > row:
            stored: Int64Array = self.numbers[row]
            return stored
        return np.broadcast_to(np.int64(default), self.numbers.shape[1:])
