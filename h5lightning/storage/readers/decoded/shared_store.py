"""A store of decoded chunk rows that several processes share."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Hashable, Sequence

import numpy as np

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.core.process_monitor import ProcessMonitor
from h5lightning.storage.readers.decoded.cache_slots import (
    NO_SLOT,
    CacheSlots,
    DatasetSlots,
    Int32Array,
    slots_type,
)
from h5lightning.storage.readers.decoded.shared_directory import SharedDirectory

__all__ = ["SharedOwners", "SharedStore"]


class SharedStore:
    """The chunk rows of one size; see `ChunkStore`.

    Args:
        descriptor: the file.
        directory: of the file.
        number: which part of the file it is.
        monitor: the lock of everything in the file.
        member: the number of this process.
    """

    def __init__(
        self, descriptor: int, directory: SharedDirectory, number: int, monitor: ProcessMonitor, member: int
    ) -> None:
        self._directory, self._number, self._member = directory, number, member
        self._part, offset = directory.part(number)
        self.monitor = monitor
        self.key: object = directory.slots
        height, row_bytes, self.capacity, self.members = self._part
        memory = mmap.mmap(descriptor, self._part.size, offset=offset)
        size = self.capacity * height * row_bytes
        every: Bytes = np.frombuffer(memory, np.uint8, size, self._part.rows_at)
        self.rows = every.reshape(self.capacity * height, row_bytes)
        self.chunk_rows = every.reshape(self.capacity, height * row_bytes)
        books = np.frombuffer(memory, slots_type(self.capacity, self.members), 1).reshape(())
        self.slots = CacheSlots(books, SharedOwners(books["owner"], directory.slots), member)

    @property
    def limit(self) -> int:
        """Chunk rows that the store may hold by now."""
        return self._directory.limit(self._number)

    @property
    def is_torn(self) -> bool:
        """See `ChunkStore`; true for the whole file."""
        return bool(self._directory.entries["is_torn"])

    @is_torn.setter
    def is_torn(self, is_torn: bool) -> None:
        self._directory.entries["is_torn"] = is_torn

    def bind(self, count: int, identity: Hashable) -> DatasetSlots:
        """See `ChunkStore.bind`; a dataset for which there is no room leaves the store torn."""
        text = ascii((identity, count, self._part)).encode()
        digest = np.frombuffer(hashlib.blake2b(text, digest_size=32).digest(), np.uint64)
        was_torn = self.is_torn
        self.is_torn = True
        first = self._directory.first(digest, count)
        if first is None:
            return DatasetSlots(self.key, np.full(count, NO_SLOT, np.int32))
        self.is_torn = was_torn
        return DatasetSlots(self.key, self._directory.slots[first : first + count], first)

    def bury_dead(self) -> None:
        """See `ChunkStore.bury_dead`."""
        for other in range(int(self._directory.entries["members"])):
            if other != self._member and not self.monitor.is_alive(other):
                self.is_torn = True
                self.slots.bury(other)
                self.is_torn = False


class SharedOwners:
    """The owner of each slot, as the number of its chunk row among those of all datasets; see `Owners`.

    Args:
        owners: the owner of each slot, counted from 1; 0 for none.
        slots: the slots of all chunk rows of all datasets.
    """

    def __init__(self, owners: Int64Array, slots: Int32Array) -> None:
        self._owners = owners
        self._slots = slots

    def note(self, slots: Sequence[int], dataset: DatasetSlots, numbers: Int64Array) -> None:
        """See `Owners.note`."""
        self._owners[slots] = numbers + (dataset.first + 1)

    def drop(self, slot: int) -> None:
        """See `Owners.drop`."""
        owner = int(self._owners[slot])
        if owner:
            self._slots[owner - 1] = NO_SLOT
            self._owners[slot] = 0
