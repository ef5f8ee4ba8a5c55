"""The directory of a file of shared chunk rows: its processes, its parts, and the slots of each dataset."""

from __future__ import annotations

import mmap
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from h5lightning.storage.readers.decoded.cache_slots import NO_SLOT, Int32Array, slots_type
from h5lightning.storage.readers.decoded.chunk_store import fitting, shares

__all__ = ["DIRECTORY_BYTES", "SharedDirectory", "SharedPart"]

# The system gives memory only for what is used of these.
_MOST_PARTS = 64
_MOST_DATASETS = 2**19
_MOST_CHUNK_ROWS = 2**28

_PART = np.dtype([(name, np.int64) for name in ("height", "row_bytes", "capacity", "offset", "limit")])
_DIRECTORY = np.dtype(
    [
        ("is_torn", np.bool_),
        ("members", np.int64),
        ("end", np.int64),  # of the file; 0 before the first part
        ("parts", np.int64),
        ("datasets", np.int64),
        ("chunk_rows", np.int64),
        ("part", _PART, (_MOST_PARTS,)),
        # A hash table: a dataset lies at the first free place from the one that its digest names.
        ("digest", np.uint64, (_MOST_DATASETS, 4)),
        ("first", np.int64, (_MOST_DATASETS,)),  # its first chunk row, counted from 1; 0 is a free place
    ],
    align=True,
)


def _whole_pages(size: int) -> int:
    return -(-size // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY


_SLOTS_AT = _whole_pages(_DIRECTORY.itemsize)
DIRECTORY_BYTES = _SLOTS_AT + 4 * _MOST_CHUNK_ROWS


class SharedPart(NamedTuple):
    """The part of the file for chunk rows of one size: the bookkeeping, and behind it the chunk rows.

    Args:
        height: rows of a chunk row.
        row_bytes: bytes of a row.
        capacity: its slots.
        members: processes that use it.
    """

    height: int
    row_bytes: int
    capacity: int
    members: int

    @property
    def rows_at(self) -> int:
        """Where the chunk rows begin."""
        return _whole_pages(slots_type(self.capacity, self.members).itemsize)

    @property
    def size(self) -> int:
        """Its bytes, whole pages."""
        return _whole_pages(self.rows_at + self.capacity * self.height * self.row_bytes)


class SharedDirectory:
    """The directory as one process sees it; zeros are an empty one. Its methods need the lock of all processes.

    Args:
        descriptor: the file.
        members: processes that may use it.
        cache_bytes: decoded bytes that all of them keep together.
    """

    def __init__(self, descriptor: int, members: int, cache_bytes: int) -> None:
        memory = mmap.mmap(descriptor, DIRECTORY_BYTES)
        self.entries: npt.NDArray[Any] = np.frombuffer(memory, _DIRECTORY, 1).reshape(())
        self.slots: Int32Array = np.frombuffer(memory, np.int32, _MOST_CHUNK_ROWS, _SLOTS_AT)
        self._members = members
        self._cache_bytes = cache_bytes

    def find(self, height: int, row_bytes: int) -> int | None:
        """The number of the part for chunk rows of this size; None if there is none."""
        parts = self.entries["part"][: self.entries["parts"]]
        found = np.flatnonzero((parts["height"] == height) & (parts["row_bytes"] == row_bytes))
        return int(found[0]) if found.size else None

    def part(self, number: int) -> tuple[SharedPart, int]:
        """A part, and where it begins."""
        height, row_bytes, capacity, offset, _ = self.entries["part"][number].tolist()
        return SharedPart(height, row_bytes, capacity, self._members), offset

    def limit(self, number: int) -> int:
        """Chunk rows that a part may hold by now."""
        return int(self.entries["part"]["limit"][number])

    def next_part(self, height: int, row_bytes: int) -> tuple[SharedPart, int] | None:
        """A part to add, and where it begins; None if there are enough."""
        if self.entries["parts"] == _MOST_PARTS:
            return None
        part = SharedPart(
            height, row_bytes, self._fitting(self._cache_bytes, height, row_bytes), self._members
        )
        return part, max(DIRECTORY_BYTES, int(self.entries["end"]))

    def add(self, part: SharedPart, offset: int) -> int:
        """Add a part, and divide the memory among all of them; see `shares`."""
        entries, number = self.entries, int(self.entries["parts"])
        entries["end"] = offset + part.size
        parts = entries["part"][: number + 1]
        parts[number] = part.height, part.row_bytes, part.capacity, offset, part.capacity
        heights, row_bytes = parts["height"].tolist(), parts["row_bytes"].tolist()
        limits = shares(self._cache_bytes, row_bytes)
        parts["limit"] = [self._fitting(*each) for each in zip(limits, heights, row_bytes, strict=True)]
        entries["parts"] = number + 1
        return number

    def _fitting(self, limit_bytes: int, height: int, row_bytes: int) -> int:
        """How many chunk rows fit into some memory; at least one for each process."""
        return max(self._members, fitting(limit_bytes, height, row_bytes))

    def first(self, digest: npt.NDArray[np.uint64], count: int) -> int | None:
        """The number of the first chunk row of a dataset, which is added if it is new; None if it has no room.

        Args:
            digest: identifies the dataset, ``(4,)``.
            count: its chunk rows.
        """
        digests, firsts = self.entries["digest"], self.entries["first"]
        place = int(digest[0]) % _MOST_DATASETS
        while firsts[place]:
            if (digests[place] == digest).all():
                return int(firsts[place]) - 1
            place = (place + 1) % _MOST_DATASETS
        first, datasets = int(self.entries["chunk_rows"]), int(self.entries["datasets"])
        if datasets >= _MOST_DATASETS * 3 // 4 or first + count > _MOST_CHUNK_ROWS:
            return None
        self.slots[first : first + count] = NO_SLOT
        self.entries["chunk_rows"], self.entries["datasets"] = first + count, datasets + 1
        digests[place], firsts[place] = digest, first + 1
        return first
