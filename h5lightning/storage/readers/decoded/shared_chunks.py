"""Decoded chunk rows that the worker processes of one loader share: each is decoded once, not once in each worker.

They lie in a file in memory (`AnonymousFile`) which the training process makes and the workers inherit:

- a directory, with the datasets that any worker has read, and the slot of each of their chunk rows;
- for each size of chunk rows a part with the bookkeeping of `CacheSlots` and the chunk rows.

All of it changes under the lock of a `ProcessMonitor`. If a worker ends while it changes something, or if the directory
is full, the sharing is given up for good: each process goes on with a cache of its own.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from h5lightning.core.anonymous_file import AnonymousFile
from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.core.process_local import ProcessLocal
from h5lightning.core.process_monitor import ProcessMonitor
from h5lightning.storage.readers.decoded.cache_slots import (
    NO_SLOT,
    CacheSlots,
    DatasetSlots,
    Int32Array,
    slots_type,
)
from h5lightning.storage.readers.decoded.chunk_store import fitting

__all__ = ["SharedChunks", "SharedStore"]

_MOST_CACHES = 64
_MOST_DATASETS = 2**19  # memory is taken for those that are read
_MOST_CHUNK_ROWS = 2**28

_Cache = np.dtype(
    [(name, np.int64) for name in ("height", "row_bytes", "offset", "capacity", "limit")], align=True
)
_Directory = np.dtype(
    [
        ("is_torn", np.bool_),
        ("members", np.int64),
        ("end", np.int64),  # of the file
        ("caches", np.int64),
        ("datasets", np.int64),
        ("chunk_rows", np.int64),
        ("cache", _Cache, (_MOST_CACHES,)),
        # A hash table: a dataset lies at the first free place from the one that its digest names.
        ("digest", np.uint64, (_MOST_DATASETS, 4)),
        ("first", np.int64, (_MOST_DATASETS,)),  # of its chunk rows; counted from 1, 0 is a free place
    ],
    align=True,
)


def _whole_pages(size: int) -> int:
    return -(-size // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY


_SLOTS_AT = _whole_pages(_Directory.itemsize)
_DIRECTORY_BYTES = _SLOTS_AT + 4 * _MOST_CHUNK_ROWS


class SharedChunks:
    """What workers share. The training process makes it and hands it to them; it uses none of it itself.

    Args:
        members: processes that share.
        cache_bytes: decoded bytes that all of them keep together.
        data: the file with directory and chunk rows.
        lock: the file of the lock.
        made_by: the process that made it.
    """

    def __init__(
        self, members: int, cache_bytes: int, data: AnonymousFile, lock: AnonymousFile, made_by: int
    ) -> None:
        self.members = members
        self.cache_bytes = cache_bytes
        self.data = data
        self.lock = lock
        self.made_by = made_by
        self._local: ProcessLocal[_Member] = ProcessLocal()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.members, self.cache_bytes, self.data, self.lock, self.made_by)

    @classmethod
    def make(cls, members: int, cache_bytes: int) -> SharedChunks:
        """Make the files, which are empty.

        Raises:
            OSError: the system gives none.
        """
        data, lock = AnonymousFile.make("h5lightning-chunks"), AnonymousFile.make("h5lightning-lock")
        os.ftruncate(data.descriptor, _DIRECTORY_BYTES)
        return cls(members, cache_bytes, data, lock, os.getpid())

    def store(self, height: int, row_bytes: int) -> SharedStore | None:
        """The store of all chunk rows of this size; None if this process cannot take part.

        Args:
            height: rows of a chunk row.
            row_bytes: bytes of a row.
        """
        if os.getpid() == self.made_by:
            return None
        try:
            member = self._local.get(lambda: _Member(self))
            return member.monitor.run(member.store, height, row_bytes)
        except (OSError, ValueError):
            return None  # there is no address space for it, or the size of files is limited


class _Part(NamedTuple):
    """The part of the file that holds the chunk rows of one size."""

    height: int
    row_bytes: int
    capacity: int
    members: int

    @property
    def rows_at(self) -> int:
        """Where the rows begin, after the bookkeeping."""
        return _whole_pages(slots_type(self.capacity, self.members).itemsize)

    @property
    def size(self) -> int:
        """Its bytes, whole pages."""
        return _whole_pages(self.rows_at + self.capacity * self.height * self.row_bytes)


class _Member:
    """One process that takes part; its methods are called under its monitor."""

    def __init__(self, shared: SharedChunks) -> None:
        self.shared = shared
        self.monitor = ProcessMonitor(shared.lock)
        whole = mmap.mmap(shared.data.descriptor, _DIRECTORY_BYTES)
        self.directory: npt.NDArray[Any] = np.frombuffer(whole, _Directory, 1).reshape(())
        self.slots: Int32Array = np.frombuffer(whole, np.int32, _MOST_CHUNK_ROWS, _SLOTS_AT)
        self._number: int | None = None

    def store(self, height: int, row_bytes: int) -> SharedStore | None:
        """See `SharedChunks.store`."""
        number, directory = self._enter(), self.directory
        if number is None or directory["is_torn"]:
            return None
        caches = directory["cache"][: directory["caches"]]
        found = np.flatnonzero((caches["height"] == height) & (caches["row_bytes"] == row_bytes))
        if not found.size and len(caches) == _MOST_CACHES:
            return None
        at = int(found[0]) if found.size else self._add(height, row_bytes)
        return SharedStore(self, number, directory["cache"][at : at + 1])

    def _enter(self) -> int | None:
        """The number of this process; None if there are enough others."""
        number = int(self.directory["members"])
        if self._number is None and number < self.shared.members:
            self.monitor.enter(number)
            self.directory["members"] = number + 1
            self._number = number
        return self._number

    def _add(self, height: int, row_bytes: int) -> int:
        """Add a part for chunk rows of another size, and divide the memory again, by the bytes of their rows."""
        directory, shared = self.directory, self.shared
        count = int(directory["caches"])
        capacity = max(shared.members, fitting(shared.cache_bytes, height, row_bytes))
        size = _Part(height, row_bytes, capacity, shared.members).size
        offset = int(directory["end"]) or _DIRECTORY_BYTES
        os.ftruncate(shared.data.descriptor, offset + size)
        directory["end"] = offset + size
        caches = directory["cache"][: count + 1]
        caches[count] = height, row_bytes, offset, capacity, capacity
        total = int(caches["row_bytes"].sum())
        for cache in caches:
            share = shared.cache_bytes * int(cache["row_bytes"]) // total
            cache["limit"] = max(
                shared.members, fitting(share, int(cache["height"]), int(cache["row_bytes"]))
            )
        directory["caches"] = count + 1
        return count

    def first(self, digest: Int64Array, count: int) -> int | None:
        """The number of the first chunk row of a dataset; None if there is no room for it."""
        directory = self.directory
        digests, firsts = directory["digest"], directory["first"]
        place = int(digest[0]) % _MOST_DATASETS
        while firsts[place]:
            if (digests[place] == digest).all():
                return int(firsts[place]) - 1
            place = (place + 1) % _MOST_DATASETS
        first = int(directory["chunk_rows"])
        if directory["datasets"] >= _MOST_DATASETS * 3 // 4 or first + count > _MOST_CHUNK_ROWS:
            return None
        self.slots[first : first + count] = NO_SLOT
        directory["chunk_rows"], directory["datasets"] = first + count, directory["datasets"] + 1
        digests[place], firsts[place] = digest, first + 1
        return first


class SharedStore:
    """The store that processes share; see `ChunkStore`.

    Args:
        member: this process.
        number: its number.
        cache: the entry of the store in the directory, ``(1,)``.
    """

    def __init__(self, member: _Member, number: int, cache: npt.NDArray[Any]) -> None:
        self._member, self._number, self._cache = member, number, cache
        self.members = member.shared.members
        height, row_bytes, offset, self.capacity, _ = cache[0].tolist()
        self._size = height, row_bytes
        part = _Part(height, row_bytes, self.capacity, self.members)
        memory = mmap.mmap(member.shared.data.descriptor, part.size, offset=offset)
        self.key: object = member.slots
        size = self.capacity * height * row_bytes
        self.chunk_rows: Bytes = np.frombuffer(memory, np.uint8, size, part.rows_at).reshape(
            self.capacity, height * row_bytes
        )
        self.rows: Bytes = self.chunk_rows.reshape(self.capacity * height, row_bytes)
        books = np.frombuffer(memory, slots_type(self.capacity, self.members), 1).reshape(())
        self._owners = _SharedOwners(books["owner"], member.slots)
        self.slots = CacheSlots(books, self._owners, number)

    @property
    def monitor(self) -> ProcessMonitor:
        """The lock of everything that is shared."""
        return self._member.monitor

    @property
    def limit(self) -> int:
        """Chunk rows that the store may hold by now."""
        return int(self._cache["limit"][0])

    @property
    def is_torn(self) -> bool:
        """See `ChunkStore`; true for all that is shared."""
        return bool(self._member.directory["is_torn"])

    @is_torn.setter
    def is_torn(self, is_torn: bool) -> None:
        self._member.directory["is_torn"] = is_torn

    def bind(self, count: int, identity: Hashable) -> DatasetSlots:
        """See `ChunkStore.bind`; a dataset for which there is no room leaves the store torn."""
        digest = hashlib.blake2b(ascii((identity, count, self._size)).encode(), digest_size=32).digest()
        was_torn = self.is_torn
        self.is_torn = True
        first = self._member.first(np.frombuffer(digest, np.uint64), count)
        if first is None:
            return DatasetSlots(self.key, np.full(count, NO_SLOT, np.int32))
        self.is_torn = was_torn
        return DatasetSlots(self.key, self._member.slots[first : first + count], first)

    def bury_dead(self) -> None:
        """See `ChunkStore.bury_dead`."""
        for other in range(int(self._member.directory["members"])):
            if other != self._number and not self.monitor.is_alive(other):
                self.is_torn = True
                self.slots.bury(other)
                self.is_torn = False


class _SharedOwners:
    """The owner of each slot, as the number of its chunk row among those of all datasets; see `Owners`."""

    def __init__(self, owners: Int64Array, slots: Int32Array) -> None:
        self._owners = owners  # counted from 1; 0 for none
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
