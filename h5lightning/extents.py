"""Where the values of one dataset lie in its file: what libhdf5 is asked for once, when the file is scanned.

Pure data: opens no file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from h5lightning.filters import DEFLATE, FLETCHER32, SHUFFLE

__all__ = ["Extents", "FilterValues", "find_damage"]

Int64Array = npt.NDArray[np.int64]
FilterValues: TypeAlias = tuple[tuple[int, tuple[int, ...]], ...]

_CHECKSUM_BYTES = 4
_MOST_DEFLATED = 1032  # deflate cannot make more of a byte: https://www.zlib.net/zlib_tech.html
_HEADER_BYTES = 4096  # more than any compressor adds to what it cannot make smaller

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


def find_damage(extents: Extents, chunk_bytes: int, file_bytes: int) -> str:
    """What makes no sense about the extents of a dataset; empty if nothing does.

    That each chunk lies inside of the file, overlaps no other and is of a size that its filters can make tells most
    damaged files from whole ones. HDF5 promises no alignment.

    Args:
        extents: where the chunks lie.
        chunk_bytes: bytes of a decoded chunk.
        file_bytes: bytes of the file.
    """
    if extents.reason:
        return ""
    if extents.numbers.size == 1:
        start = int(extents.numbers[0, 0])
        return "" if 0 <= start <= file_bytes - chunk_bytes else _past_the_end(file_bytes)
    order = np.argsort(extents.offsets)
    starts, sizes = extents.offsets[order], extents.sizes(chunk_bytes)[order]
    stops = starts + sizes
    if (starts < 0).any() or (sizes <= 0).any() or (stops > file_bytes).any():
        return _past_the_end(file_bytes)
    if (starts[1:] < stops[:-1]).any():
        return "two of its chunks overlap"
    if extents.filters:
        return _find_wrong_size(extents, chunk_bytes)
    others = sizes[sizes != chunk_bytes]
    return f"a chunk has {others[0]} bytes, expected {chunk_bytes}" if others.size else ""


def _find_wrong_size(extents: Extents, chunk_bytes: int) -> str:
    """A chunk that its filters cannot have made of what they were given; empty if there is none."""
    sizes = extents.sizes(chunk_bytes)[extents.masks == 0]
    numbers = [number for number, _ in extents.filters]
    added = _CHECKSUM_BYTES * numbers.count(FLETCHER32)
    compressors = [number for number in numbers if number not in (SHUFFLE, FLETCHER32)]
    if not compressors:
        # At the edges of a dataset, chunks may be stored without filters.
        others = sizes[(sizes != chunk_bytes + added) & (sizes != chunk_bytes)]
        return f"a chunk has {others[0]} bytes, expected {chunk_bytes + added}" if others.size else ""
    least = added + (chunk_bytes // _MOST_DEFLATED if compressors == [DEFLATE] else 1)
    most = added + chunk_bytes + chunk_bytes // 8 + _HEADER_BYTES
    others = sizes[(sizes < least) | (sizes > most)]
    if not others.size:
        return ""
    return f"a chunk of {chunk_bytes} bytes is stored in {others[0]}, expected {least} to {most} after its filters"


def _past_the_end(file_bytes: int) -> str:
    return f"its values lie past the end of the file, at byte {file_bytes}"
