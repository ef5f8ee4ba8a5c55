"""Caches decoded chunk rows between batches: neighbouring batches of a shuffled epoch share their chunks.

A chunk row is a range of rows of one dataset: one chunk, or all the chunks side by side that hold parts of these rows.
All chunk rows of a cache have the same size and lie in one array, so that one call gathers the rows of a batch from it,
however many files they come from. Its bookkeeping lies in arrays as well: a batch may touch hundreds of chunk rows.

A dataset keeps the slots of its chunk rows for one store: the array and its bookkeeping. They mean nothing in another
store. A cache that was closed gets a new store when it is used again; threads that still read keep the old one, which
does not change any more. A cache also gets a new store if a `KeyboardInterrupt` left its bookkeeping half written.

Worker processes share a store. If one of them leaves it half written, each goes on with a store of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from h5lightning.core.arrays import BoolArray, Bytes, Int64Array
from h5lightning.core.monitor import Monitor
from h5lightning.core.process_monitor import ProcessMonitor
from h5lightning.storage.readers.decoded.cache_slots import NO_SLOT, DatasetSlots
from h5lightning.storage.readers.decoded.chunk_store import ChunkStore, OwnStore, fitting
from h5lightning.storage.readers.decoded.shared_store import SharedStore

__all__ = ["ChunkRowCache", "ChunkRowSlots", "MissingChunkRow"]

_FILLED_AT_ONCE = 8  # chunk rows: about as many as a batch lacks


class MissingChunkRow(NamedTuple):
    """A chunk row to fill.

    Args:
        dataset: index of its dataset among the requested ones.
        number: its number in the dataset.
        buffer: its bytes, ``(chunk row bytes,)``.
    """

    dataset: int
    number: int
    buffer: Bytes


Fill = Callable[[Sequence[MissingChunkRow]], None]
Deliver = Callable[[Bytes, Int64Array], None]


class ChunkRowSlots:
    """The slots of the ``count`` chunk rows of one dataset in the store of a cache.

    Args:
        count: chunk rows of the dataset.
        identity: what tells its chunk rows from all others, in any process.
    """

    __slots__ = ("_bound", "_identity")

    def __init__(self, count: int, identity: Hashable) -> None:
        self._identity = identity
        # The key of a store and the slots in it, always together: two caches may ask for the same dataset.
        self._bound = DatasetSlots(None, np.full(count, NO_SLOT, np.int32))

    def __len__(self) -> int:
        return len(self._bound.slots)

    def in_store(self, store: ChunkStore) -> DatasetSlots:
        """The slots of its chunk rows in a store; under the lock of the store."""
        bound = self._bound
        if bound.key is not store.key:
            bound = self._bound = store.bind(len(bound.slots), self._identity)
        return bound

    def is_lacking(self, numbers: Int64Array) -> BoolArray:
        """Which of some chunk rows were probably not decoded yet, ``(N,)``."""
        return self._bound.slots[numbers] < 0


# The slots of a dataset, and the distinct chunk rows of it to read, ``(n,)``.
ChunkRows: TypeAlias = tuple[ChunkRowSlots, Int64Array]


class _Claim:
    """What a thread has reserved for the requested chunk rows, and has to release."""

    __slots__ = ("is_filled", "kept_for", "missing", "requested", "slots", "store")

    def __init__(self, requested: Sequence[ChunkRows], kept_for: int) -> None:
        self.requested = requested
        self.kept_for = kept_for
        self.store: ChunkStore | None = None
        self.slots: Int64Array | None = None  # of all chunk rows
        self.is_filled = False  # all of them
        self.missing: list[
            tuple[int, MissingChunkRow]
        ] = []  # those that this thread has to fill, with their slots


class ChunkRowCache:
    """Chunk rows of one size; any number of threads may use it.

    Args:
        height: rows of a chunk row.
        row_bytes: bytes of a row.
        limit_bytes: bytes of all chunk rows together; one is kept in any case.
        shared: the store that this process shares with others; None for a store of its own.
    """

    def __init__(
        self, height: int, row_bytes: int, limit_bytes: int, shared: SharedStore | None = None
    ) -> None:
        self.row_bytes = row_bytes
        self.height = height
        self.filled = 0
        self._own_capacity = fitting(limit_bytes, height, row_bytes)
        self._shared = shared
        self._store: ChunkStore | None = None
        self._monitor: Monitor | ProcessMonitor = Monitor() if shared is None else shared.monitor

    @property
    def capacity(self) -> int:
        """Chunk rows that the cache may hold, for all processes that share it."""
        shared = self._shared
        return self._own_capacity if shared is None else shared.limit

    @property
    def at_once(self) -> int:
        """Chunk rows to ask for at once, so that there is always room for those of each process."""
        shared = self._shared
        return self._own_capacity if shared is None else max(1, shared.limit // shared.members)

    def __len__(self) -> int:
        """Chunk rows in the cache."""
        store = self._store
        return 0 if store is None else store.slots.taken

    def limit(self, limit_bytes: int) -> None:
        """Keep less than before from now on."""
        self._own_capacity = min(self._own_capacity, fitting(limit_bytes, self.height, self.row_bytes))

    def clear(self) -> None:
        """Forget all chunk rows and give back their memory; threads that read some, and other processes, go on."""
        self._monitor.run(self._drop)

    def use(self, requested: Sequence[ChunkRows], fill: Fill, deliver: Deliver, *, kept_for: int = 0) -> None:
        """Call ``deliver`` with the rows of a store and the slots of all requested chunk rows.

        The chunk rows stay in their slots until it returns. A chunk row begins at the row of its slot times `height`.

        Args:
            requested: the slots of a dataset's chunk rows, and the distinct chunk rows of it to read, ``(n,)``; over
                all datasets about `at_once` of them at most.
            fill: writes those that are missing, or raises.
            deliver: called with the rows, ``(rows, row_bytes)``, and the slots in the order of the requested chunk
                rows, ``(n,)``.
            kept_for: calls during which they count as used just now: they are needed only later.
        """
        while not self._use(_Claim(requested, kept_for), fill, deliver):
            pass  # another thread failed to fill one of them, or the cache was closed: this thread tries now

    def _use(self, claim: _Claim, fill: Fill, deliver: Deliver) -> bool:
        try:
            try:
                # All in a call: Python 3.11 leaves the line of a plain ``return True`` outside of the ``try``.
                return self._serve(claim, fill, deliver)
            finally:
                self._monitor.run(self._release, claim)
        finally:
            self._monitor.run(self._release, claim)

    def _serve(self, claim: _Claim, fill: Fill, deliver: Deliver) -> bool:
        store, slots = self._monitor.until(self._take, claim)
        while claim.missing:
            # A few at a time: threads that wait for the first need not wait for the last.
            batch = claim.missing[:_FILLED_AT_ONCE]
            fill([missing for _, missing in batch])
            self._monitor.run(self._settle, claim, store, len(batch))
        is_filled = claim.is_filled or self._monitor.until(self._waited, store, slots)
        if is_filled:
            deliver(store.rows, slots)
        return bool(is_filled)

    # ── under the monitor ────────────────────────────────────────────────────────────────────────────

    def _take(self, claim: _Claim) -> tuple[ChunkStore, Int64Array] | None:
        """Reserve a slot for each chunk row; None while there is no room for the new ones."""
        count = sum(len(numbers) for _, numbers in claim.requested)
        store = claim.store = self._usable(count)
        requested = [(slots.in_store(store), numbers) for slots, numbers in claim.requested]
        if store.is_torn:
            return self._take(claim)  # one of the datasets had no room in it
        present = np.concatenate([dataset.slots[numbers] for dataset, numbers in requested])
        new = int((present < 0).sum())
        excess = store.slots.taken + new - max(min(self.capacity, store.capacity), count) if new else 0
        oldest = store.slots.oldest_idle(present, excess) if excess > 0 else None
        if excess > 0 and oldest is None:
            store.bury_dead()
            return None
        store.is_torn = True
        if oldest is not None:
            store.slots.forget(oldest)
        store.slots.use(present[present >= 0])
        if new:
            claim.missing = self._add(store, requested)
            present = np.concatenate([dataset.slots[numbers] for dataset, numbers in requested])
        claim.slots = present.astype(np.int64)
        claim.is_filled = bool(store.slots.is_ready[present].all())
        store.slots.keep(claim.slots, claim.kept_for)
        store.is_torn = False
        return store, claim.slots

    @staticmethod
    def _add(
        store: ChunkStore, requested: Sequence[tuple[DatasetSlots, Int64Array]]
    ) -> list[tuple[int, MissingChunkRow]]:
        added: list[tuple[int, MissingChunkRow]] = []
        for index, (dataset, numbers) in enumerate(requested):
            absent = numbers[dataset.slots[numbers] < 0]
            slots = store.slots.add(dataset, absent)
            added += [
                (slot, MissingChunkRow(index, number, store.chunk_rows[slot]))
                for slot, number in zip(slots, absent.tolist(), strict=True)
            ]
        return added

    def _usable(self, count: int) -> ChunkStore:
        """The store; a new one if there is none, or if it is torn or too small."""
        store = self._store
        if store is None or store.is_torn or store.capacity < count:
            self._drop()
            store = self._store = self._next_store(count)
        return store

    def _next_store(self, count: int) -> ChunkStore:
        shared = self._shared
        if shared is not None and not shared.is_torn and count <= shared.capacity:
            return shared
        self._shared = None
        return OwnStore(max(self._own_capacity, count), self.height, self.row_bytes)

    def _drop(self) -> None:
        self._store = None
        self._monitor.tell()

    def _settle(self, claim: _Claim, store: ChunkStore, count: int) -> None:
        """Note that the first of the missing chunk rows were filled."""
        self._monitor.tell()
        self.filled += count
        store.slots.settle([slot for slot, _ in claim.missing[:count]])
        claim.missing = claim.missing[count:]

    def _waited(self, store: ChunkStore, slots: Int64Array) -> bool | None:
        """Whether all slots were filled, by any thread; None while a thread may still fill them."""
        if store.slots.is_ready[slots].all():
            return True
        store.bury_dead()
        is_over = store is not self._store or store.is_torn or store.slots.is_lost[slots].any()
        return False if is_over else None

    def _release(self, claim: _Claim) -> None:
        """Release what a thread has reserved; a second call changes nothing."""
        store, slots = claim.store, claim.slots
        if store is not None and store.is_torn:
            # This thread was interrupted while it changed the bookkeeping.
            if store is self._store:
                self._drop()
        elif store is not None and slots is not None:
            self._monitor.tell()
            store.is_torn = True
            store.slots.release(slots, [slot for slot, _ in claim.missing])
            claim.slots = None
            store.is_torn = False
