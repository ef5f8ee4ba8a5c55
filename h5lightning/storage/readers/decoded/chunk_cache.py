"""Decoded slabs, kept between batches: the rows of neighbouring batches of a shuffled epoch share their chunks.

A slab is a range of rows of one dataset: one chunk, or all the chunks that its rows are spread over. All slabs of a
cache have the same size and lie in one array, so that the rows of a batch, of however many files, are gathered from
it in one call. What is known of them lies in arrays too: a batch may touch hundreds of slabs.

Where the slabs of a dataset lie is known for one store, the array and its books, and means nothing in another one. A
cache that is closed gets a new store when it is used again; whoever still reads goes on with the old one, which nobody
changes any more. So does a cache whose books a thread left half written, by a `KeyboardInterrupt`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray, Bytes, Int64Array
from h5lightning.core.formatting import bytes_text
from h5lightning.core.monitor import Monitor
from h5lightning.errors import ResourceError

__all__ = ["ChunkRowCache", "Missing", "SlabPlaces"]

Int32Array = npt.NDArray[np.int32]

_ENTRY_BYTES = 64  # what is known of a slab
_NOWHERE = -1
_FILLED_AT_ONCE = 8  # slabs: about as many as a batch needs anew


class Missing(NamedTuple):
    """A slab to be filled.

    Args:
        dataset: which of the wanted datasets it belongs to.
        slab: its number there.
        buffer: its bytes, ``(slab_bytes,)``.
    """

    dataset: int
    slab: int
    buffer: Bytes


Fill = Callable[[Sequence[Missing]], None]
Deliver = Callable[[Bytes, Int64Array], None]


class SlabPlaces:
    """Where the slabs of one dataset lie in the store of a cache.

    Args:
        number: of the slabs.
    """

    __slots__ = ("_bound",)

    def __init__(self, number: int) -> None:
        # The key of a store and the slots in it, always together: two caches may ask for the same dataset.
        self._bound: tuple[object, Int32Array] = None, np.full(number, _NOWHERE, np.int32)

    def __len__(self) -> int:
        return len(self._bound[1])

    def slots_in(self, store: _Store) -> Int32Array:
        """The slot of each slab, ``(slabs,)``, -1 where it is not in this store."""
        key, slots = self._bound
        if key is not store.key:
            slots = np.full(len(slots), _NOWHERE, np.int32)
            self._bound = store.key, slots
        return slots

    def is_lacking(self, slabs: Int64Array) -> BoolArray:
        """Which of some slabs were probably not decoded yet, ``(N,)``."""
        return self._bound[1][slabs] < 0


Wanted: TypeAlias = tuple[
    SlabPlaces, Int64Array
]  # of a dataset, and its different slabs that are wanted, ``(n,)``


class _Store:
    """The memory of a cache, and what is known of it.

    Args:
        slots: how many slabs fit.
        slab_rows: rows of a slab.
        row_bytes: bytes of a row.
    """

    def __init__(self, slots: int, slab_rows: int, row_bytes: int) -> None:
        self.key = object()  # names it, without keeping its memory
        self.capacity = slots
        # The system gives memory page by page, when a slab is first written.
        try:
            self.rows = np.empty((slots * slab_rows, row_bytes), np.uint8)
        except MemoryError as error:
            raise ResourceError(
                f"there is no memory for {bytes_text(slots * slab_rows * row_bytes)} of decoded chunks: set "
                "access.cache_bytes and shuffle.window_bytes to less, or use fewer worker processes"
            ) from error
        self.slabs = self.rows.reshape(slots, slab_rows * row_bytes)
        self.slots = _Slots(slots)
        self.is_torn = False  # while the books are changed; left so, nobody can rely on them


class _Claim:
    """What a thread has reserved, so that whoever leaves knows what to release.

    Args:
        wanted: the slabs of each dataset.
    """

    __slots__ = ("missing", "slots", "store", "wanted")

    def __init__(self, wanted: Sequence[Wanted]) -> None:
        self.wanted = wanted
        self.store: _Store | None = None
        self.slots: Int64Array | None = None  # of all slabs
        self.missing: list[tuple[int, Missing]] = []  # those that this thread has to fill, with their slots


class ChunkRowCache:
    """Slabs of one size; any number of threads.

    Args:
        slab_rows: rows of a slab.
        row_bytes: bytes of a row.
        limit_bytes: bytes of all slabs; one slab is kept in any case.
    """

    def __init__(self, slab_rows: int, row_bytes: int, limit_bytes: int) -> None:
        self.row_bytes = row_bytes
        self.slab_rows = slab_rows
        self.slab_bytes = slab_rows * row_bytes
        self.capacity = self._fitting(limit_bytes)
        self.filled = 0
        self._store: _Store | None = None
        self._monitor = Monitor()

    def __len__(self) -> int:
        """Slabs that are there."""
        store = self._store
        return 0 if store is None else store.slots.taken

    def limit(self, limit_bytes: int) -> None:
        """Keep less than before from now on."""
        self.capacity = min(self.capacity, self._fitting(limit_bytes))

    def clear(self) -> None:
        """Forget the slabs and give back their memory; who reads some of them goes on."""
        self._monitor.run(self._drop)

    def _fitting(self, limit_bytes: int) -> int:
        return max(1, limit_bytes // (self.slab_bytes + _ENTRY_BYTES))

    def use(self, wanted: Sequence[Wanted], fill: Fill, deliver: Deliver) -> None:
        """Call ``deliver`` with the rows of a store and the slots of all wanted slabs, which stay there meanwhile.

        A slab begins at the row of its slot times `slab_rows`.

        Args:
            wanted: the places of a dataset's slabs, and the different slabs that are wanted of it, ``(n,)``;
                `capacity` of them over all datasets, or not many more.
            fill: writes those that are not there yet, or raises.
            deliver: takes the rows, ``(rows, row_bytes)``, and the slots in the order of the wanted slabs, ``(n,)``.
        """
        while not self._use(wanted, fill, deliver):
            pass  # another thread failed to fill one of them, or the cache was closed: it is ours to try

    def _use(self, wanted: Sequence[Wanted], fill: Fill, deliver: Deliver) -> bool:
        claim = _Claim(wanted)
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
            # Some at a time: threads that wait for the first need not wait for the last.
            some = claim.missing[:_FILLED_AT_ONCE]
            fill([slab for _, slab in some])
            self._monitor.run(self._settle, claim, store, len(some))
        is_filled = store.slots.is_ready[slots].all() or self._monitor.until(self._waited, store, slots)
        if is_filled:
            deliver(store.rows, slots)
        return bool(is_filled)

    # ── under the monitor ────────────────────────────────────────────────────────────────────────────

    def _take(self, claim: _Claim) -> tuple[_Store, Int64Array] | None:
        """Reserve a slot for each slab; None while there is no room for the new ones."""
        number = sum(len(slabs) for _, slabs in claim.wanted)
        store = self._usable(number)
        places = [(places.slots_in(store), slabs) for places, slabs in claim.wanted]
        found = np.concatenate([slots[slabs] for slots, slabs in places])
        new = int((found < 0).sum())
        excess = store.slots.taken + new - max(min(self.capacity, store.capacity), number) if new else 0
        oldest = store.slots.oldest_idle(found, excess) if excess > 0 else None
        if excess > 0 and oldest is None:
            return None
        claim.store = store
        store.is_torn = True
        if oldest is not None:
            store.slots.forget(oldest)
        store.slots.use(found[found >= 0])
        if new:
            claim.missing = self._add(store, places)
        slots = np.concatenate([slots[slabs] for slots, slabs in places]).astype(np.int64)
        claim.slots = slots
        store.is_torn = False
        return store, slots

    @staticmethod
    def _add(store: _Store, wanted: Sequence[tuple[Int32Array, Int64Array]]) -> list[tuple[int, Missing]]:
        added: list[tuple[int, Missing]] = []
        for dataset, (places, slabs) in enumerate(wanted):
            absent = slabs[places[slabs] < 0]
            slots = store.slots.add(places, absent)
            added += [
                (slot, Missing(dataset, slab, store.slabs[slot]))
                for slot, slab in zip(slots, absent.tolist(), strict=True)
            ]
        return added

    def _usable(self, slabs: int) -> _Store:
        """The store; a new one if there is none, or it is torn, or too small."""
        store = self._store
        if store is None or store.is_torn or store.capacity < slabs:
            self._drop()
            store = self._store = _Store(max(self.capacity, slabs), self.slab_rows, self.row_bytes)
        return store

    def _drop(self) -> None:
        self._store = None
        self._monitor.tell()

    def _settle(self, claim: _Claim, store: _Store, number: int) -> None:
        """The first of the missing slabs were filled."""
        self._monitor.tell()
        self.filled += number
        store.slots.is_ready[[slot for slot, _ in claim.missing[:number]]] = True
        claim.missing = claim.missing[number:]

    def _waited(self, store: _Store, slots: Int64Array) -> bool | None:
        """Whether all slots were filled, by whomever; None while somebody may still do so."""
        if store.slots.is_ready[slots].all():
            return True
        is_over = store is not self._store or store.is_torn or store.slots.is_lost[slots].any()
        return False if is_over else None

    def _release(self, claim: _Claim) -> None:
        """Let go of what a thread has reserved; once more does no harm."""
        store, slots = claim.store, claim.slots
        if store is not None and store.is_torn:
            # This thread was interrupted while it wrote the books.
            if store is self._store:
                self._drop()
        elif store is not None and slots is not None:
            self._monitor.tell()
            store.is_torn = True
            store.slots.release(slots, [slot for slot, _ in claim.missing])
            claim.slots = None
            store.is_torn = False


class _Slots:
    """What is known of each slot of a cache; all changes by one thread at a time.

    Args:
        number: of the slots.
    """

    def __init__(self, number: int) -> None:
        self.is_ready = np.zeros(number, np.bool_)
        self.is_lost = np.zeros(number, np.bool_)
        self._users = np.zeros(number, np.int32)
        self._last_use = np.zeros(number, np.int64)
        self._uses = 0
        self._owners: list[tuple[Int32Array, int] | None] = []  # of those that were ever used
        self._free: list[int] = []  # those among them that are free

    @property
    def taken(self) -> int:
        """Slots that hold a slab."""
        return len(self._owners) - len(self._free)

    def oldest_idle(self, found: Int32Array, number: int) -> Int64Array | None:
        """As many slots that nobody uses, least recently used ones; None if there are fewer.

        Args:
            found: slots that are wanted too; negative ones mean nothing.
            number: slots needed.
        """
        is_idle = (self._users[: len(self._owners)] == 0) & self.is_ready[: len(self._owners)]
        is_idle[found[found >= 0]] = False
        idle = np.flatnonzero(is_idle)
        if len(idle) <= number:
            return idle if len(idle) == number else None
        return idle[np.argpartition(self._last_use[idle], number)[:number]]

    def forget(self, slots: Int64Array) -> None:
        """They hold nothing, and are free."""
        for slot in slots.tolist():
            self._forget(slot)

    def use(self, slots: Int32Array) -> None:
        """They have one user more, and were used last."""
        self._uses += 1
        self._users[slots] += 1
        self._last_use[slots] = self._uses

    def add(self, places: Int32Array, slabs: Int64Array) -> list[int]:
        """Slots for some slabs, in use by the caller, who has to fill them."""
        slots = [self._free.pop() for _ in range(min(len(slabs), len(self._free)))]
        fresh = range(len(self._owners), len(self._owners) + len(slabs) - len(slots))
        slots += fresh
        self._owners += [None] * len(fresh)
        for slot, slab in zip(slots, slabs.tolist(), strict=True):
            self._owners[slot] = places, slab
        places[slabs] = slots
        self._users[slots], self._last_use[slots] = 1, self._uses
        return slots

    def release(self, slots: Int64Array, unfilled: Sequence[int]) -> None:
        """They have one user less; those that were not filled are lost to all who wait for them."""
        for slot in unfilled:
            self.is_lost[slot] = True
            self._disown(slot)
        self._users[slots] -= 1
        if self.is_lost[slots].any():
            self.forget(slots[self.is_lost[slots] & (self._users[slots] == 0)])

    def _forget(self, slot: int) -> None:
        self._disown(slot)
        self.is_ready[slot] = self.is_lost[slot] = False
        self._free.append(slot)

    def _disown(self, slot: int) -> None:
        owner, self._owners[slot] = self._owners[slot], None
        if owner is not None:
            places, slab = owner
            places[slab] = _NOWHERE
