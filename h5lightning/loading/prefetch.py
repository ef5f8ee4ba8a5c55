"""An iterator that works ahead of its consumer, in threads.

Reading and decoding release the GIL, so that the next batches are made while the model works on this one. Each
thread makes whole items: handing parts of one from thread to thread takes longer than most of them. What is read at
the same time is finished in turn, by one thread at a time, since that is where the user's functions are called. The
threads end with the items, with an exception (which the consumer gets), or when the consumer is gone.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from h5lightning.core.monitor import Guard, Monitor
from h5lightning.errors import ResourceError, WorkerError

__all__ = ["Pipeline", "ReadAhead"]

T = TypeVar("T")


_LOOK_AGAIN_S = 0.5  # who waits is told of each change; after an interrupt, maybe nobody does


@dataclass(frozen=True, slots=True, eq=False)
class Pipeline(Generic[T]):
    """How items are made.

    Args:
        tasks: what is to be read, in order; asked by one thread at a time.
        read: a task → what was read; called by several threads at the same time.
        finish: what was read → items; called in order, by one thread at a time.
    """

    tasks: Callable[[], Iterator[Any]]
    read: Callable[[Any], Any]
    finish: Callable[[Any], Iterable[T]]

    @classmethod
    def of(cls, items: Callable[[], Iterator[T]]) -> Pipeline[T]:
        """Items that an iterator makes alone."""
        return cls(items, lambda item: item, lambda item: (item,))

    def __iter__(self) -> Iterator[T]:
        """The items, made when they are asked for."""
        for task in self.tasks():
            yield from self.finish(self.read(task))


class ReadAhead(Iterator[T]):
    """Items that are made ahead.

    Args:
        stages: makes them.
        size_bytes: memory that an item holds.
        threads: that make them.
        most_items: items that are ready and not yet taken, at most; each thread may hold what it has just read.
        most_bytes: their memory, at most; one item may be larger.
    """

    def __init__(
        self,
        stages: Pipeline[T],
        size_bytes: Callable[[T], int],
        *,
        threads: int = 1,
        most_items: int,
        most_bytes: int,
    ) -> None:
        # The threads know the shelf, not its consumer: a consumer that is dropped ends them.
        self._shelf: _BoundedQueue[T] = _BoundedQueue(most_items, most_bytes, weakref.ref(self))
        arguments = (_Queue(stages.tasks), stages, size_bytes, self._shelf)
        self._threads = [
            threading.Thread(target=_fill, args=arguments, name="h5lightning-read-ahead", daemon=True)
            for _ in range(threads)
        ]
        self._finalizer: weakref.finalize[..., ReadAhead[T]] = weakref.finalize(
            self, _stop, self._shelf, self._threads, os.getpid()
        )
        self._start()

    def _start(self) -> None:
        try:
            for thread in self._threads:
                thread.start()
        except RuntimeError as error:
            self._finalizer()
            raise ResourceError(
                f"{len(self._threads)} threads that read ahead cannot be started ({error}): this process has no memory "
                "or no threads left. Raise the limit of the job, or set threads=0"
            ) from error

    def __next__(self) -> T:
        item = self.take()
        self.make_room()
        return item

    def take(self) -> T:
        """The next item, whose room nobody fills before `make_room` was called: a thread that wakes wants the GIL."""
        try:
            return self._shelf.take(self._threads)
        except BaseException:
            # The error keeps, through its traceback, all who asked; kept by the finalizer, it would stay for ever.
            if self._shelf.is_at_end:
                self._forget_error()
            else:
                self._shelf.break_off()  # an interrupt, which may have lost an item on the way
            raise

    def make_room(self) -> None:
        """Let the threads make another item for each that was taken."""
        self._shelf.make_room()

    def close(self) -> None:
        """End the threads and wait for them; what was made ahead is dropped."""
        self._finalizer()

    def _forget_error(self) -> None:
        """Of what came to its end, only the threads are to be waited for: behind an error, others may still read."""
        self._finalizer.detach()
        self._finalizer = weakref.finalize(self, _wait_for, self._threads, os.getpid())


class _Queue:
    """Tasks in order, for any number of threads."""

    def __init__(self, start: Callable[[], Iterator[Any]]) -> None:
        self._start = start
        self._tasks: Iterator[Any] | None = None
        self._next = 0
        self._guard = Guard()

    def draw(self) -> tuple[int, Callable[[], Any]]:
        """Number of the next task, and what returns it, or raises what prevented it."""
        return self._guard.run(self._draw)

    def _draw(self) -> tuple[int, Callable[[], Any]]:
        number = self._next
        self._next += 1
        try:
            if self._tasks is None:
                self._tasks = self._start()
            task = next(self._tasks)
        except BaseException as error:  # noqa: BLE001 - it is raised when it is this task's turn
            return number, _Raise(error)
        return number, lambda: task


class _Raise:
    """A task that could not be drawn."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __call__(self) -> Any:
        raise self._error


class _BoundedQueue(Generic[T]):
    """Items between threads that put them, in turn, and one that takes.

    Waiting for each other happens in two queues written in C: waking a thread by a `threading.Condition` takes as
    long as making a small batch.

    Args:
        most_items: that are ready and not yet taken, at most.
        most_bytes: their memory, at most.
        consumer: who takes; when it is gone, nobody wants more.
    """

    def __init__(self, most_items: int, most_bytes: int, consumer: weakref.ref[Any]) -> None:
        self._most_items = most_items
        self._most_bytes = most_bytes
        self._ready: SimpleQueue[tuple[T, int] | None] = SimpleQueue()  # None: there are no more
        self._taken: SimpleQueue[int] = SimpleQueue()  # the bytes of each item that was taken
        self._given: list[
            int
        ] = []  # the bytes of items that were taken, of which those who put have not been told
        self._items = 0  # put and, as far as those who put have heard, not taken
        self._bytes = 0
        self._turn = 0
        self._turned = Monitor()
        self._consumer = consumer
        self._end: BaseException | type[StopIteration] | None = None
        self._is_dropped = False
        self._is_empty = False

    @property
    def is_at_end(self) -> bool:
        """Whether nothing is left, and nothing will be put."""
        return self._is_empty

    def wait_for_turn(self, number: int) -> bool:
        """Wait until all tasks before this one are done; False if nobody wants more."""
        return self._turned.until(self._may_go, number)

    def _may_go(self, number: int) -> bool | None:
        if self._end is not None or self._consumer() is None:
            return False
        return True if self._turn == number else None

    def pass_turn(self) -> None:
        """The task whose turn it is is done."""
        self._turned.run(self._pass_turn)

    def _pass_turn(self) -> None:
        self._turn += 1
        self._turned.tell()

    def put(self, item: T, size_bytes: int) -> bool:
        """Wait for room; False if nobody wants more. By the thread whose turn it is."""
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
        """Wait for an item; what `end` was told, once there are no more.

        Args:
            makers: the threads that put.
        """
        found = None if self._is_dropped else self._get(makers)
        if found is None or self._is_dropped:  # who drops items takes the first ones: this may be a later one
            self._is_empty = True
            self._ready.put(None)  # for whoever asks again
            raise self._end or StopIteration
        item, size_bytes = found
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
        """Tell those who wait for room of what was taken; by the thread that took it."""
        while self._given:
            self._taken.put(self._given.pop())

    def end(self, reason: BaseException | type[StopIteration], *, is_dropped: bool = False) -> None:
        """No more items; the ready ones are still given out, unless they are dropped."""
        self._turned.run(self._set_end, self._end or reason)
        if is_dropped:
            self._is_dropped = True
            with suppress(Empty):
                while True:
                    self._ready.get_nowait()
        self._ready.put(None)
        self._taken.put(0)  # who waits for room looks again

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


def _fill(
    queue: _Queue, stages: Pipeline[T], size_bytes: Callable[[T], int], shelf: _BoundedQueue[T]
) -> None:
    try:
        while _make(*queue.draw(), stages, size_bytes, shelf):
            shelf.pass_turn()
    except BaseException as error:  # noqa: BLE001 - a thread that ends without a word would be waited for
        shelf.end(error)


def _make(
    number: int,
    task: Callable[[], Any],
    stages: Pipeline[T],
    size_bytes: Callable[[T], int],
    shelf: _BoundedQueue[T],
) -> bool:
    """Make the items of one task; whether more are wanted."""
    try:
        read, failure = stages.read(task()), None
    except BaseException as error:  # noqa: BLE001 - whatever it is, the consumer must get it, in turn
        read, failure = None, error
    if not shelf.wait_for_turn(number):
        return False
    if failure is not None:
        shelf.end(StopIteration if isinstance(failure, StopIteration) else failure)
        return False
    try:
        return all(shelf.put(item, size_bytes(item)) for item in stages.finish(read))
    except BaseException as error:  # noqa: BLE001 - likewise
        shelf.end(error)
        return False


def _stop(shelf: _BoundedQueue[T], threads: Iterable[threading.Thread], pid: int) -> None:
    if os.getpid() == pid:  # a forked child inherits locks, but none of the threads
        shelf.end(StopIteration, is_dropped=True)
        _wait_for(threads, pid)


def _wait_for(threads: Iterable[threading.Thread], pid: int) -> None:
    for thread in threads if os.getpid() == pid else ():
        # A transform that drops the last reference would wait for itself; not all may have been started.
        if thread is not threading.current_thread() and thread.ident is not None:
            thread.join()
