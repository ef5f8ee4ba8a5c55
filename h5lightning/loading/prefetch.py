"""An iterator that works ahead of its consumer, in threads.

Reading and decoding release the GIL, so that the next batches are made while the model works on this one. Each
thread makes whole items, since passing parts between threads takes longer than most items. Items are read in parallel
and finished in order, one at a time, because finishing calls the user's functions. The threads end after the last item,
with an exception (which the consumer gets), or when the consumer is gone.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from h5lightning.errors import ResourceError
from h5lightning.loading.prefetch_queue import BoundedQueue, TaskQueue

__all__ = ["PrefetchPipeline", "ReadAhead"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class PrefetchPipeline(Generic[T]):
    """How items are made.

    Args:
        tasks: what to read, in order; called by one thread at a time.
        read: a task → what was read; called by several threads at the same time.
        finish: what was read → items; called in order, by one thread at a time.
    """

    tasks: Callable[[], Iterator[Any]]
    read: Callable[[Any], Any]
    finish: Callable[[Any], Iterable[T]]

    @classmethod
    def of(cls, items: Callable[[], Iterator[T]]) -> PrefetchPipeline[T]:
        """Items of one iterator."""
        return cls(items, lambda item: item, lambda item: (item,))

    def __iter__(self) -> Iterator[T]:
        """The items, each made when it is requested."""
        for task in self.tasks():
            yield from self.finish(self.read(task))


class ReadAhead(Iterator[T]):
    """Items that are made ahead.

    Args:
        pipeline: makes them.
        size_bytes: memory that an item holds.
        threads: that make them.
        most_items: items that are ready and not yet taken, at most; each thread may have one more.
        most_bytes: their memory, at most; one item may be larger.
    """

    def __init__(
        self,
        pipeline: PrefetchPipeline[T],
        size_bytes: Callable[[T], int],
        *,
        threads: int = 1,
        most_items: int,
        most_bytes: int,
    ) -> None:
        # The threads refer to the queue and not to its consumer, so that they end when the consumer is gone.
        self._items: BoundedQueue[T] = BoundedQueue(most_items, most_bytes, weakref.ref(self))
        arguments = (TaskQueue(pipeline.tasks), pipeline, size_bytes, self._items)
        self._threads = [
            threading.Thread(target=_fill, args=arguments, name="h5lightning-read-ahead", daemon=True)
            for _ in range(threads)
        ]
        self._finalizer: weakref.finalize[..., ReadAhead[T]] = weakref.finalize(
            self, _stop, self._items, self._threads, os.getpid()
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
        """The next item; `make_room` must follow, so that no thread wakes and takes the GIL before that."""
        try:
            return self._items.take(self._threads)
        except BaseException:
            # The traceback of the error refers to all callers; the finalizer must not keep it alive.
            if self._items.is_at_end:
                self._forget_error()
            else:
                self._items.break_off()  # an interrupt, which may have lost an item on the way
            raise

    def make_room(self) -> None:
        """Let the threads make another item for each one that was taken."""
        self._items.make_room()

    def close(self) -> None:
        """End the threads and wait for them; items that were made ahead are dropped."""
        self._finalizer()

    def _forget_error(self) -> None:
        """From now on, closing only waits for the threads: after an error, some may still read."""
        self._finalizer.detach()
        self._finalizer = weakref.finalize(self, _wait_for, self._threads, os.getpid())


def _fill(
    tasks: TaskQueue, pipeline: PrefetchPipeline[T], size_bytes: Callable[[T], int], items: BoundedQueue[T]
) -> None:
    try:
        while _make(*tasks.draw(), pipeline, size_bytes, items):
            items.pass_turn()
    except BaseException as error:  # noqa: BLE001 - the consumer would wait for a thread that ended silently
        items.end(error)


def _make(
    number: int,
    task: Callable[[], Any],
    pipeline: PrefetchPipeline[T],
    size_bytes: Callable[[T], int],
    items: BoundedQueue[T],
) -> bool:
    """Make the items of one task; True if more are needed."""
    try:
        read, failure = pipeline.read(task()), None
    except BaseException as error:  # noqa: BLE001 - whatever it is, the consumer must get it, in turn
        read, failure = None, error
    if not items.wait_for_turn(number):
        return False
    if failure is not None:
        items.end(StopIteration if isinstance(failure, StopIteration) else failure)
        return False
    try:
        return all(items.put(item, size_bytes(item)) for item in pipeline.finish(read))
    except BaseException as error:  # noqa: BLE001 - as above
        items.end(error)
        return False


def _stop(items: BoundedQueue[T], threads: Iterable[threading.Thread], pid: int) -> None:
    if os.getpid() == pid:  # a forked child inherits locks, but none of the threads
        items.end(StopIteration, is_dropped=True)
        _wait_for(threads, pid)


def _wait_for(threads: Iterable[threading.Thread], pid: int) -> None:
    for thread in threads if os.getpid() == pid else ():
        # A transform that drops the last reference would wait for itself; not all may have been started.
        if thread is not threading.current_thread() and thread.ident is not None:
            thread.join()
