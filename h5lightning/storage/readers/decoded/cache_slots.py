"""Which chunk row each slot of a cache holds, which slots are in use, and which are free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array

__all__ = ["NO_SLOT", "CacheSlots", "Int32Array"]

Int32Array: TypeAlias = npt.NDArray[np.int32]

NO_SLOT = -1


class CacheSlots:
    """The state of the ``capacity`` slots of a cache; one thread at a time may change it."""

    def __init__(self, capacity: int) -> None:
        self.is_ready = np.zeros(capacity, np.bool_)
        self.is_lost = np.zeros(capacity, np.bool_)
        self._users = np.zeros(capacity, np.int32)
        self._last_use = np.zeros(capacity, np.int64)
        self._uses = 0
        # Of slots that were ever used: the slots of a dataset, and the number of its chunk row.
        self._owners: list[tuple[Int32Array, int] | None] = []
        self._free: list[int] = []  # those of `_owners` that are None

    @property
    def taken(self) -> int:
        """Slots that hold a chunk row."""
        return len(self._owners) - len(self._free)

    def oldest_idle(self, requested: Int32Array, count: int) -> Int64Array | None:
        """The least recently used slots that no thread uses; None if there are too few.

        Args:
            requested: slots that must stay; negative entries are ignored.
            count: number of slots needed.
        """
        is_idle = (self._users[: len(self._owners)] == 0) & self.is_ready[: len(self._owners)]
        is_idle[requested[requested >= 0]] = False
        idle = np.flatnonzero(is_idle)
        if len(idle) <= count:
            return idle if len(idle) == count else None
        return idle[np.argpartition(self._last_use[idle], count)[:count]]

    def forget(self, slots: Int64Array) -> None:
        """Free some slots."""
        for slot in slots.tolist():
            self._disown(slot)
            self.is_ready[slot] = self.is_lost[slot] = False
            self._free.append(slot)

    def use(self, slots: Int32Array) -> None:
        """Add a user to some slots, and note that they were used last."""
        self._uses += 1
        self._users[slots] += 1
        self._last_use[slots] = self._uses

    def keep(self, slots: Int64Array, uses: int) -> None:
        """Count some slots as used last until there were so many other uses."""
        self._last_use[slots] += uses

    def add(self, slots_of: Int32Array, numbers: Int64Array) -> list[int]:
        """Reserve slots for chunk rows; the caller uses them, and has to fill them.

        Args:
            slots_of: the slot of each chunk row of the dataset, which is updated.
            numbers: the new chunk rows, ``(n,)``.
        """
        slots = [self._free.pop() for _ in range(min(len(numbers), len(self._free)))]
        fresh = range(len(self._owners), len(self._owners) + len(numbers) - len(slots))
        slots += fresh
        self._owners += [None] * len(fresh)
        for slot, number in zip(slots, numbers.tolist(), strict=True):
            self._owners[slot] = slots_of, number
        slots_of[numbers] = slots
        self._users[slots], self._last_use[slots] = 1, self._uses
        return slots

    def release(self, slots: Int64Array, unfilled: Sequence[int]) -> None:
        """Remove a user from some slots; unfilled ones are lost to all threads that wait for them."""
        for slot in unfilled:
            self.is_lost[slot] = True
            self._disown(slot)
        self._users[slots] -= 1
        if self.is_lost[slots].any():
            self.forget(slots[self.is_lost[slots] & (self._users[slots] == 0)])

    def _disown(self, slot: int) -> None:
        owner, self._owners[slot] = self._owners[slot], None
        if owner is not None:
            slots_of, number = owner
            slots_of[number] = NO_SLOT
