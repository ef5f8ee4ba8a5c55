"""Which chunk row each slot of a cache holds, which slots are in use, and which are free.

All of it lies in one array, which may be memory of this process or shared by several.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array

__all__ = ["NO_SLOT", "CacheSlots", "DatasetSlots", "Int32Array", "ListedOwners", "Owners", "slots_type"]

Int32Array: TypeAlias = npt.NDArray[np.int32]

NO_SLOT = -1

_USED, _FREE, _CLOCK = range(
    3
)  # of `state`: slots that were ever used, those of them that are free, uses so far


def slots_type(capacity: int, members: int = 1) -> np.dtype[Any]:
    """The type of the bookkeeping of a cache; zeros are an empty cache.

    Args:
        capacity: slots of the cache.
        members: processes that use it.
    """
    columns: list[Any] = [
        ("state", np.int64, 3),
        ("last_use", np.int64, (capacity,)),
        ("owner", np.int64, (capacity,)),
        ("users", np.int32, (members, capacity)),
        ("free", np.int32, (capacity,)),
        ("filler", np.int32, (capacity,)),  # the member that has to fill it, counted from 1; 0 for none
        ("is_ready", np.bool_, (capacity,)),
        ("is_lost", np.bool_, (capacity,)),
    ]
    return np.dtype(columns, align=True)


class DatasetSlots(NamedTuple):
    """The slots of the chunk rows of a dataset in a store.

    Args:
        key: identifies the store.
        slots: the slot of each chunk row, `NO_SLOT` where it has none, ``(chunk rows,)``.
        first: the number of its first chunk row among those of all datasets of the store; 0 if they have none.
    """

    key: object
    slots: Int32Array
    first: int = 0


class Owners(Protocol):
    """Knows the dataset and the chunk row of each slot."""

    def note(self, slots: Sequence[int], dataset: DatasetSlots, numbers: Int64Array) -> None:
        """Some slots belong to these chunk rows of a dataset from now on."""

    def drop(self, slot: int) -> None:
        """The chunk row of a slot, if there is one, has no slot any more."""


class ListedOwners:
    """The owners of slots of one process; see `Owners`."""

    def __init__(self) -> None:
        self._owners: dict[int, tuple[Int32Array, int]] = {}

    def note(self, slots: Sequence[int], dataset: DatasetSlots, numbers: Int64Array) -> None:
        """See `Owners.note`."""
        for slot, number in zip(slots, numbers.tolist(), strict=True):
            self._owners[slot] = dataset.slots, number

    def drop(self, slot: int) -> None:
        """See `Owners.drop`."""
        owner = self._owners.pop(slot, None)
        if owner is not None:
            slots, number = owner
            slots[number] = NO_SLOT


class CacheSlots:
    """The state of the slots of a cache; one thread at a time may change it.

    Args:
        books: the bookkeeping, an array of `slots_type` without axes.
        owners: whose the slots are.
        member: the number of this process among those that use the cache.
    """

    def __init__(self, books: npt.NDArray[Any], owners: Owners, member: int = 0) -> None:
        self.is_ready, self.is_lost = books["is_ready"], books["is_lost"]
        self._state, self._free, self._last_use = books["state"], books["free"], books["last_use"]
        self._users, self._filler = books["users"], books["filler"]
        self._own_uses = self._users[member]
        self._member = member
        self._owners = owners

    @property
    def taken(self) -> int:
        """Slots that hold a chunk row."""
        return int(self._state[_USED] - self._state[_FREE])

    def oldest_idle(self, requested: Int32Array, count: int) -> Int64Array | None:
        """The least recently used slots that no thread uses; None if there are too few.

        Args:
            requested: slots that must stay; negative entries are ignored.
            count: number of slots needed.
        """
        used = int(self._state[_USED])
        is_idle = self.is_ready[:used] & ~self._users[:, :used].any(axis=0)
        is_idle[requested[requested >= 0]] = False
        idle = np.flatnonzero(is_idle)
        if len(idle) <= count:
            return idle if len(idle) == count else None
        return idle[np.argpartition(self._last_use[idle], count)[:count]]

    def forget(self, slots: Int64Array) -> None:
        """Free some slots."""
        for slot in slots.tolist():
            self._owners.drop(slot)
        self.is_ready[slots] = self.is_lost[slots] = False
        free = int(self._state[_FREE])
        self._free[free : free + len(slots)] = slots
        self._state[_FREE] = free + len(slots)

    def use(self, slots: Int32Array) -> None:
        """Add a user to some slots, and note that they were used last."""
        self._state[_CLOCK] += 1
        self._own_uses[slots] += 1
        self._last_use[slots] = self._state[_CLOCK]

    def keep(self, slots: Int64Array, uses: int) -> None:
        """Count some slots as used last until there were so many other uses."""
        self._last_use[slots] += uses

    def add(self, dataset: DatasetSlots, numbers: Int64Array) -> list[int]:
        """Reserve slots for chunk rows; the caller uses them, and has to fill them.

        Args:
            dataset: the slots of the dataset, which are updated.
            numbers: the new chunk rows, ``(n,)``.
        """
        used, free = self._state[:2].tolist()
        again = min(len(numbers), free)
        slots: list[int] = self._free[free - again : free].tolist()[::-1]
        slots += range(used, used + len(numbers) - again)
        self._state[_USED], self._state[_FREE] = used + len(numbers) - again, free - again
        self._owners.note(slots, dataset, numbers)
        dataset.slots[numbers] = slots
        self._own_uses[slots], self._last_use[slots] = 1, self._state[_CLOCK]
        self._filler[slots] = self._member + 1
        return slots

    def settle(self, slots: Sequence[int]) -> None:
        """Some slots were filled."""
        self.is_ready[slots] = True
        self._filler[slots] = 0

    def release(self, slots: Int64Array, unfilled: Sequence[int]) -> None:
        """Remove a user from some slots; unfilled ones are lost to all threads that wait for them."""
        self._lose(unfilled)
        self._own_uses[slots] -= 1
        if self.is_lost[slots].any():
            self._forget_lost(slots)

    def bury(self, member: int) -> None:
        """Release what a process that died had reserved; a second call changes nothing."""
        self._lose(np.flatnonzero(self._filler == member + 1).tolist())
        self._users[member] = 0
        self._forget_lost(np.arange(int(self._state[_USED])))

    def _lose(self, unfilled: Sequence[int]) -> None:
        for slot in unfilled:
            self.is_lost[slot] = True
            self._filler[slot] = 0
            self._owners.drop(slot)

    def _forget_lost(self, slots: Int64Array) -> None:
        self.forget(slots[self.is_lost[slots] & ~self._users[:, slots].any(axis=0)])
