"""Decoded slabs, kept between batches: the rows of neighbouring batches of a shuffled epoch share their chunks.

A slab is a range of rows: one chunk, or all the chunks that its rows are spread over. All slabs of a cache
have the same size and lie in one array, so that the rows of a batch are gathered from it in one call.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["SlabCache"]

Bytes = npt.NDArray[np.uint8]
_ENTRY_BYTES = 256  # what an entry takes beside the slab
Fill = Callable[[Sequence[tuple[int, Bytes]]], None]  # numbers of slabs, and the buffer of each


@dataclass(slots=True, eq=False)
class _Slab:
    slot: int
    users: int = 0
    is_ready: bool = False
    is_lost: bool = False


class SlabCache:
    """Slabs by number, least recently used first; for any number of threads of one process.

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
        self.capacity = self._fitting(limit_bytes)
        # The system gives memory page by page, when a slab is first written.
        self.rows = np.empty((self.capacity * slab_rows, row_bytes), np.uint8)
        self.filled = 0
        self._slots = self.capacity
        self._used_slots = 0  # that were ever used
        self._free: list[int] = []  # those among them that are free
        self._slabs: OrderedDict[int, _Slab] = OrderedDict()
        self._idle = 0  # slabs without users
        self._changed = threading.Condition()

    def __len__(self) -> int:
        """Slabs that are there."""
        return len(self._slabs)

    def limit(self, limit_bytes: int) -> None:
        """Keep less than before from now on."""
        with self._changed:
            self.capacity = min(self._slots, self._fitting(limit_bytes))

    def _fitting(self, limit_bytes: int) -> int:
        return max(1, limit_bytes // (self.slab_bytes + _ENTRY_BYTES))

    @contextmanager
    def hold(self, numbers: Sequence[int], fill: Fill) -> Iterator[dict[int, int]]:
        """The first row in `rows` of each slab; the slabs stay there inside the ``with`` block.

        Args:
            numbers: different slabs, `capacity` at most.
            fill: writes those that are not there yet; what it raises ends the block.
        """
        slabs: dict[int, _Slab] = {}
        try:
            while not slabs:
                slabs = self._claim(numbers, fill)
            yield {number: slab.slot * self.slab_rows for number, slab in slabs.items()}
        finally:
            self._release(slabs.values())

    def _claim(self, numbers: Sequence[int], fill: Fill) -> dict[int, _Slab]:
        """The slabs, filled; none if another thread failed to fill one of them."""
        slabs, new = self._take(numbers)
        try:
            if new:
                self._fill(new, fill)
            if not all(slab.is_ready for slab in slabs.values()):
                with self._changed:
                    self._changed.wait_for(
                        lambda: all(slab.is_ready or slab.is_lost for slab in slabs.values())
                    )
        except BaseException:
            self._release(slabs.values())
            raise
        if any(slab.is_lost for slab in slabs.values()):
            self._release(slabs.values())
            return {}
        return slabs

    def _fill(self, new: dict[int, _Slab], fill: Fill) -> None:
        is_filled = False
        try:
            fill([(number, self._buffer(slab)) for number, slab in new.items()])
            is_filled = True
        finally:
            with self._changed:
                self.filled += len(new)
                for number, slab in new.items():
                    slab.is_ready, slab.is_lost = is_filled, not is_filled
                    if slab.is_lost:
                        del self._slabs[number]
                self._changed.notify_all()

    def _buffer(self, slab: _Slab) -> Bytes:
        start = slab.slot * self.slab_rows
        return self.rows[start : start + self.slab_rows].reshape(-1)

    # ── under the lock ───────────────────────────────────────────────────────────────────────────────

    def _take(self, numbers: Sequence[int]) -> tuple[dict[int, _Slab], dict[int, _Slab]]:
        """All slabs, in use from now on, and those among them that the caller has to fill."""
        with self._changed:
            there = self._there(numbers)
            if len(there) < len(numbers):
                self._changed.wait_for(lambda: self._has_room(numbers))
                there = self._there(numbers)
            for number, slab in there.items():
                self._idle -= not slab.users
                slab.users += 1
                self._slabs.move_to_end(number)
            # After those that are there, so that they do not make room for the others.
            new = {number: self._add(number) for number in numbers if number not in there}
            return {**there, **new}, new

    def _there(self, numbers: Sequence[int]) -> dict[int, _Slab]:
        return {number: self._slabs[number] for number in numbers if number in self._slabs}

    def _has_room(self, numbers: Sequence[int]) -> bool:
        there = self._there(numbers)
        others_idle = self._idle - sum(not slab.users for slab in there.values())
        in_use = self._used_slots - len(self._free) - others_idle
        return in_use + len(numbers) - len(there) <= max(self.capacity, len(numbers))

    def _add(self, number: int) -> _Slab:
        while self._idle and self._used_slots - len(self._free) >= self.capacity:
            oldest = next(other for other, slab in self._slabs.items() if not slab.users)
            self._free.append(self._slabs.pop(oldest).slot)
            self._idle -= 1
        if not self._free:
            self._free.append(self._used_slots)
            self._used_slots += 1
        slab = self._slabs[number] = _Slab(self._free.pop(), users=1)
        return slab

    def _release(self, slabs: Iterable[_Slab]) -> None:
        with self._changed:
            for slab in slabs:
                slab.users -= 1
                if not slab.users and slab.is_lost:
                    self._free.append(slab.slot)
                elif not slab.users:
                    self._idle += 1
            self._changed.notify_all()
