"""The two queues of threads that work ahead: tasks for them, and the items that they have made."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Generic, NoReturn, TypeVar

from h5lightning.core.monitor import Guard, Monitor
from h5lightning.errors import WorkerError

__all__ = ["BoundedQueue", "TaskQueue"]

T = TypeVar("T")

_LOOK_AGAIN_S = 0.5  # each change wakes the waiting thread; but an interrupt may prevent that


class TaskQueue:
    """Tasks in order, for any number of threads."""

    def __init__(self, start: Callable[[], Iterator[Any]]) -> None:
        self._start = start
        self._tasks: Iterator[Any] | None = None
        self._next = 0
        self._guard = Guard()

    def draw(self) -> tuple[int, Callable[[], Any]]:
        """Number of the next task, and a function that returns the task, or raises the error of drawing it."""
        return self._guard.run(self._draw)

    def _draw(self) -> tuple[int, Callable[[], Any]]:
        number = self._next
        self._next += 1
        try:
            if self._tasks is None:
                self._tasks = self._start()
            task = next(self._tasks)
        except BaseException as error:  # noqa: BLE001 - it is raised when it is this task's turn
            return number, partial(_fail, error)
        return number, lambda: task


def _fail(error: BaseException) -> NoReturn:
    raise error


class BoundedQueue(Generic[T]):
    """Items from threads that put them, in turn, to one thread that takes them.

    The threads wait in two queues written in C: waking a thread by a `threading.Condition` takes as long as making a
    small batch.

    Args:
        most_items: that are ready and not yet taken, at most.
        most_bytes: their memory, at most.
        consumer: takes the items; no more are needed when it is gone.
    """

    def __init__(self, most_items: int, most_bytes: int, consumer: weakref.ref[Any]) -> None:
        self._most_items = most_items
        self._most_bytes = most_bytes
        self._ready: SimpleQueue[tuple[T, int] | None] = SimpleQueue()  # None: there are no more
        self._taken: SimpleQueue[int] = SimpleQueue()  # the bytes of each item that was taken
        # The bytes of items that were taken, before `make_room`.
        self._given: list[int] = []
        self._items = 0  # put and not taken, as far as the threads that put know
        self._bytes = 0
        self._turn = 0
        self._turned = Monitor()
        self._consumer = consumer
        self._end: BaseException | type[StopIteration] | None = None
        self._is_dropped = False
        self.is_at_end = False  # nothing is left, and nothing will be put

    def wait_for_turn(self, number: int) -> bool:
        """Wait until all tasks before this one are done; False if no more items are needed."""
        return self._turned.until(self._may_go, number)

    def _may_go(self, number: int) -> bool | None:
        if self._end is not None or self._consumer() is None:
            return False
        return True if self._turn == number else None

    def pass_turn(self) -> None:
        """The task whose turn it was is done."""
        self._turned.run(self._pass_turn)

    def _pass_turn(self) -> None:
        self._turn += 1
        self._turned.tell()

    def put(self, item: T, size_bytes: int) -> bool:
        """Wait for room; False if no more items are needed. Called by the thread whose turn it is."""
        while not self._has_room(size_bytes) and self._end is None:
            try:
                self._bytes -= self._taken.get(timeout=_LOOK_AGAIN_S)
                self._items -= 1
            except Empty:  # noqa: PERF203 - twice in a second
                if self._consumer() is None:
                    return False
        if self._end is not None:
            return False
        self._items += 1
        self._bytes += size_bytes
        self._ready.put((item, size_bytes))
        return True

    def take(self, makers: Sequence[threading.Thread]) -> T:
        """Wait for an item of the threads that put them; raises the reason that `end` got, once there are no more."""
        entry = None if self._is_dropped else self._get(makers)
        if entry is None or self._is_dropped:  # the first items were dropped: this may be a later one
            self.is_at_end = True
            self._ready.put(None)  # for the next call
            raise self._end or StopIteration
        item, size_bytes = entry
        self._given.append(size_bytes)
        return item

    def _get(self, makers: Sequence[threading.Thread]) -> tuple[T, int] | None:
        while True:
            try:
                return self._ready.get(timeout=_LOOK_AGAIN_S)
            except Empty:  # noqa: PERF203 - twice in a second
                if not any(thread.is_alive() for thread in makers) and self._ready.empty():
                    self.end(WorkerError("the threads that read ahead are gone: start the pass again"))

    def make_room(self) -> None:
        """Make room for new items in place of the taken ones; called by the thread that took them."""
        while self._given:
            self._taken.put(self._given.pop())

    def end(self, reason: BaseException | type[StopIteration], *, is_dropped: bool = False) -> None:
        """No more items; the ready ones can still be taken, unless they are dropped."""
        self._turned.run(self._set_end, self._end or reason)
        if is_dropped:
            self._is_dropped = True
            with suppress(Empty):
                while True:
                    self._ready.get_nowait()
        self._ready.put(None)
        self._taken.put(0)  # wakes a thread that waits for room

    def break_off(self) -> None:
        """End with an error: one item may be lost."""
        self._turned.run(self._set_end, WorkerError("the pass was interrupted: start it again"))
        self.end(StopIteration, is_dropped=True)

    def _set_end(self, reason: BaseException | type[StopIteration]) -> None:
        self._end = reason
        self._turned.tell()

    def _has_room(self, size_bytes: int) -> bool:
        fits = self._bytes + size_bytes <= self._most_bytes and self._items < self._most_items
        return fits or not self._items
