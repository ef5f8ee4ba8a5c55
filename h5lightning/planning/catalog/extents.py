"""Where the values of one dataset lie in its file: what libhdf5 is asked for once, when the file is scanned.

Pure data: opens no file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from h5lightning.core.arrays import Int64Array

__all__ = ["Extents", "FilterValues"]

FilterValues: TypeAlias = tuple[tuple[int, tuple[int, ...]], ...]

_NOTHING = np.zeros((1, 0), dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Extents:
    """The stored chunks of one dataset.

    One where it is contiguous; none where it has no values, or only HDF5 can read it.

    Args:
        numbers: ``(1, 2 or 3, chunks)``: the first byte of each chunk in the order of the grid; its stored bytes,
            left out where they are those of a chunk; the filters that were skipped, left out where there are none.
        filters: number and client values of each filter, in the order of writing.
        reason: why only HDF5 can read it, as what a sentence says of it; empty if it can be read without.
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
        """The extents of chunks, ``(chunks,)`` each, without what goes without saying."""
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
        """A dataset of no values: no chunk of it is ever read."""
        return cls(_NOTHING)

    @property
    def offsets(self) -> Int64Array:
        """First byte of each chunk, ``(chunks,)``."""
        first: Int64Array = self.numbers[0]
        return first

    def sizes(self, chunk_bytes: int) -> Int64Array:
        """Stored bytes of each chunk, ``(chunks,)``, given those of a chunk without filters."""
        return self._part(1, chunk_bytes)

    @property
    def masks(self) -> Int64Array:
        """Filters that were skipped, of each chunk, ``(chunks,)``."""
        return self._part(2, 0)

    def _part(self, part: int, otherwise: int) -> Int64Array:
        if len(self.numbers) > part:
            stored: Int64Array = self.numbers[part]
            return stored
        return np.broadcast_to(np.int64(otherwise), self.numbers.shape[1:])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Extents):
            return NotImplemented
        is_same_form = (self.filters, self.reason) == (other.filters, other.reason)
        return is_same_form and np.array_equal(self.numbers, other.numbers)

    __hash__ = None  # type: ignore[assignment]  # compared by value, and the array could be changed
