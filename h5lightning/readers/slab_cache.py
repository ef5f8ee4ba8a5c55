"""Decoded slabs, kept between batches: the rows of neighbouring batches of a shuffled epoch share their chunks.

A slab is a range of rows of one dataset: one chunk, or all the chunks that its rows are spread over. All slabs of a
cache have the same size and lie in one array, so that the rows of a batch, of however many files, are gathered from
it in one call. What is known of them lies in arrays too: a batch may touch hundreds of slabs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from h5lightning.errors import ResourceError
from h5lightning.quantities import bytes_text

__all__ = ["Missing", "SlabCache", "SlabPlaces"]

Bytes = npt.NDArray[np.uint8]
Int64Array = npt.NDArray[np.int64]
SlabPlaces = npt.NDArray[np.int32]  # the slot of each slab of a dataset, -1 where it is not in the cache

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


class SlabCache:
    """Slabs of many datasets, least recently used first; for any number of threads of one process.

    A slab that two threads want at the same time is filled by one of them.

    Args:
        slab_rows: rows of a slab.
        row_bytes: bytes of a row.
        limit_bytes: bytes of all slabs; one slab is kept in any case.
    """

    def __init__(self, slab_rows: int, row_bytes: int, limit_bytes: int) -> None:
        self.row_bytes = row_bytes
        self.slab_rows = slab_rows
        self.slab_bytes = slab_rows * row_bytes
        self.capacity = slots = self._fitting(limit_bytes)
        # The system gives memory page by page, when a slab is first written.
        try:
            self.rows = np.empty((slots * slab_rows, row_bytes), np.uint8)
        except MemoryError as error:
            raise ResourceError(
                f"there is no memory for {bytes_text(slots * self.slab_bytes)} of decoded chunks: set "
                "access.cache_bytes and shuffle.window_bytes to less, or use fewer worker processes"
            ) from error
        self._slabs = self.rows.reshape(slots, self.slab_bytes)
        self.filled = 0
        self._slots = _Slots(slots)
        self._changed = threading.Condition()

    def __len__(self) -> int:
        """Slabs that are there."""
        return self._slots.taken

    def limit(self, limit_bytes: int) -> None:
        """Keep less than before from now on."""
        with self._changed:
            self.capacity = min(self.capacity, self._fitting(limit_bytes))

    def _fitting(self, limit_bytes: int) -> int:
        return max(1, limit_bytes // (self.slab_bytes + _ENTRY_BYTES))

    @contextmanager
    def hold(self, wanted: Sequence[tuple[SlabPlaces, Int64Array]], fill: Fill) -> Iterator[None]:
        """Inside the ``with`` block, the slabs lie at their places in `rows`: slot times `slab_rows`.

        Args:
            wanted: places of a dataset's slabs, which are kept up to date here, and the different slabs that are
                wanted of it, ``(n,)``; `capacity` of them at most over all datasets.
            fill: writes those that are not there yet; what it raises ends the block.
        """
        while (slots := self._claim(wanted, fill)) is None:
            pass  # another thread failed to fill one of them: it is ours to try
        try:
            yield
        finally:
            self._release(slots)

    def _claim(self, wanted: Sequence[tuple[SlabPlaces, Int64Array]], fill: Fill) -> Int64Array | None:
        """The slots of all slabs, filled; None if another thread failed to fill one of them."""
        slots, missing = self._take(wanted)
        try:
            if missing:
                self._fill(missing, fill)
            if not self._slots.is_ready[slots].all():
                with self._changed:
                    self._changed.wait_for(lambda: self._slots.is_settled(slots))
        except BaseException:
            self._release(slots)
            raise
        if self._slots.is_lost[slots].any():
            self._release(slots)
            return None
        return slots

    def _take(
        self, wanted: Sequence[tuple[SlabPlaces, Int64Array]]
    ) -> tuple[Int64Array, list[tuple[int, Missing]]]:
        """The slots of all slabs, in use from now on, and the slabs that the caller has to fill, by slot."""
        number = sum(len(slabs) for _, slabs in wanted)
        with self._changed:
            while True:
                found = np.concatenate([places[slabs] for places, slabs in wanted])
                new = int((found < 0).sum())
                if not new or self._slots.make_room(found, new, max(self.capacity, number)):
                    break
                self._changed.wait()
            self._slots.use(found[found >= 0])
            missing = self._add(wanted) if new else []
            return np.concatenate([places[slabs] for places, slabs in wanted]).astype(np.int64), missing

    def _add(self, wanted: Sequence[tuple[SlabPlaces, Int64Array]]) -> list[tuple[int, Missing]]:
        added: list[tuple[int, Missing]] = []
        for dataset, (places, slabs) in enumerate(wanted):
            absent = slabs[places[slabs] < 0]
            slots = self._slots.add(places, absent)
            added += [
                (slot, Missing(dataset, slab, self._slabs[slot]))
                for slot, slab in zip(slots, absent.tolist(), strict=True)
            ]
        return added

    def _fill(self, missing: Sequence[tuple[int, Missing]], fill: Fill) -> None:
        """Fill slabs some at a time, so that threads that wait for the first need not wait for the last."""
        first = 0
        try:
            for first in range(0, len(missing), _FILLED_AT_ONCE):
                some = missing[first : first + _FILLED_AT_ONCE]
                fill([slab for _, slab in some])
                self._settle(some, is_filled=True)
        except BaseException:
            self._settle(missing[first:], is_filled=False)
            raise

    def _settle(self, missing: Sequence[tuple[int, Missing]], *, is_filled: bool) -> None:
        with self._changed:
            self.filled += len(missing)
            self._slots.settle(np.asarray([slot for slot, _ in missing]), is_filled=is_filled)
            self._changed.notify_all()

    def _release(self, slots: Int64Array) -> None:
        with self._changed:
            self._slots.release(slots)
            self._changed.notify_all()


class _Slots:
    """What is known of each slot of a cache; all calls but `is_settled` under its lock.

    Args:
        number: of the slots.
    """

    def __init__(self, number: int) -> None:
        self.is_ready = np.zeros(number, np.bool_)
        self.is_lost = np.zeros(number, np.bool_)
        self._users = np.zeros(number, np.int32)
        self._last_use = np.zeros(number, np.int64)
        self._uses = 0
        self._owners: list[tuple[SlabPlaces, int] | None] = []  # of those that were ever used
        self._free: list[int] = []  # those among them that are free

    @property
    def taken(self) -> int:
        """Slots that hold a slab."""
        return len(self._owners) - len(self._free)

    def is_settled(self, slots: Int64Array) -> bool:
        """Whether nobody is filling one of them any more."""
        return bool((self.is_ready[slots] | self.is_lost[slots]).all())

    def make_room(self, found: npt.NDArray[np.int32], new: int, most: int) -> bool:
        """Free slots for new slabs, if enough of the others are idle.

        Args:
            found: slots that are wanted too; negative ones mean nothing.
            new: slots needed.
            most: slots that may be taken, about.
        """
        excess = self.taken + new - most
        if excess <= 0:
            return True
        is_idle = (self._users[: len(self._owners)] == 0) & self.is_ready[: len(self._owners)]
        is_idle[found[found >= 0]] = False
        idle = np.flatnonzero(is_idle)
        if len(idle) < excess:
            return False
        oldest = idle if len(idle) == excess else idle[np.argpartition(self._last_use[idle], excess)[:excess]]
        for slot in oldest.tolist():
            self._forget(slot)
        return True

    def use(self, slots: npt.NDArray[np.int32]) -> None:
        """They have one user more, and were used last."""
        self._uses += 1
        self._users[slots] += 1
        self._last_use[slots] = self._uses

    def add(self, places: SlabPlaces, slabs: Int64Array) -> list[int]:
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

    def settle(self, slots: Int64Array, *, is_filled: bool) -> None:
        """They were filled, or could not be: then they are lost to all who wait for them."""
        self.is_ready[slots], self.is_lost[slots] = is_filled, not is_filled
        if not is_filled:
            for slot in slots.tolist():
                self._disown(slot)

    def release(self, slots: Int64Array) -> None:
        """They have one user less."""
        self._users[slots] -= 1
        if self.is_lost[slots].any():
            for slot in slots[self.is_lost[slots] & (self._users[slots] == 0)].tolist():
                self._forget(slot)

    def _forget(self, slot: int) -> None:
        self._disown(slot)
        self.is_ready[slot] = self.is_lost[slot] = False
        self._free.append(slot)

    def _disown(self, slot: int) -> None:
        owner, self._owners[slot] = self._owners[slot], None
        if owner is not None:
            places, slab = owner
            places[slab] = _NOWHERE
