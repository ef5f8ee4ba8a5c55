"""The memory of a cache of chunk rows, with its bookkeeping: here that of one process."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Protocol

import numpy as np

from h5lightning.core.arrays import Bytes
from h5lightning.core.formatting import bytes_text
from h5lightning.errors import ResourceError
from h5lightning.storage.readers.decoded.cache_slots import (
    NO_SLOT,
    CacheSlots,
    DatasetSlots,
    ListedOwners,
    slots_type,
)

__all__ = ["ChunkStore", "OwnStore", "fitting", "shares"]

_ENTRY_BYTES = 64  # bookkeeping of a chunk row
_EQUAL_SHARE = 8  # one part in so many of the memory is divided equally


def fitting(limit_bytes: int, height: int, row_bytes: int) -> int:
    """How many chunk rows of this size take ``limit_bytes``; at least one."""
    return max(1, limit_bytes // (height * row_bytes + _ENTRY_BYTES))


def shares(cache_bytes: int, row_bytes: Sequence[int]) -> list[int]:
    """How caches share memory: most of it in proportion to the bytes of their rows, the rest in equal parts.

    A batch takes as many rows of one dataset as of another. But chunks of short rows, such as labels, hold many more of
    them than a window needs: with a share in proportion, few of these chunks would fit.

    Args:
        cache_bytes: decoded bytes of all caches.
        row_bytes: bytes of a row in each cache.
    """
    equal, total = cache_bytes // _EQUAL_SHARE, sum(row_bytes)
    return [(cache_bytes - equal) * own // total + equal // len(row_bytes) for own in row_bytes]


class ChunkStore(Protocol):
    """Memory for ``capacity`` chunk rows, and its bookkeeping.

    Attributes:
        key: identifies the memory of the store, without keeping it.
        rows: the rows of all chunk rows, ``(capacity * height, row_bytes)``.
        chunk_rows: the same memory, ``(capacity, height * row_bytes)``.
        is_torn: True while the bookkeeping changes; left so, it cannot be relied on.
    """

    key: object
    capacity: int
    rows: Bytes
    chunk_rows: Bytes
    slots: CacheSlots

    @property
    def is_torn(self) -> bool:
        """See above."""

    @is_torn.setter
    def is_torn(self, is_torn: bool) -> None: ...

    def bind(self, count: int, identity: Hashable) -> DatasetSlots:
        """The slots of the ``count`` chunk rows of a dataset.

        Args:
            count: its chunk rows.
            identity: what tells it from all other datasets, in any process.
        """

    def bury_dead(self) -> None:
        """Release what other processes had reserved and can release no more."""


class OwnStore:
    """The store of one process; see `ChunkStore`.

    Raises:
        ResourceError: there is not enough memory.
    """

    def __init__(self, capacity: int, height: int, row_bytes: int) -> None:
        self.key: object = object()
        self.capacity = capacity
        # The system gives memory page by page, when a chunk row is first written.
        try:
            self.rows = np.empty((capacity * height, row_bytes), np.uint8)
        except MemoryError as error:
            raise ResourceError(
                f"there is no memory for {bytes_text(capacity * height * row_bytes)} of decoded chunks: set "
                "access.cache_bytes and shuffle.window_bytes to less, or use fewer worker processes"
            ) from error
        self.chunk_rows = self.rows.reshape(capacity, height * row_bytes)
        self.slots = CacheSlots(np.zeros((), slots_type(capacity)), ListedOwners())
        self.is_torn = False

    def bind(self, count: int, identity: Hashable) -> DatasetSlots:  # noqa: ARG002 - it gets an array of its own
        """See `ChunkStore.bind`."""
        return DatasetSlots(self.key, np.full(count, NO_SLOT, np.int32))

    def bury_dead(self) -> None:
        """See `ChunkStore.bury_dead`: threads always release what they reserved."""
