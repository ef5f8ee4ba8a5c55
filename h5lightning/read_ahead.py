"""An iterator that works ahead of its consumer, in a thread.

Reading and decoding release the GIL, so that the next batches are made while the model works on this one. The
thread ends with the items, with an exception (which the consumer gets), or when the consumer is gone.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

__all__ = ["ProcessLocalSet", "ReadAhead"]

T = TypeVar("T")


class ProcessLocalSet(weakref.WeakSet[T]):
    """Weak references to things at work, which stay in their process: pickled, it is empty."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), ())


class ReadAhead(Iterator[T]):
    """Items of another iterator, made ahead by one thread.

    Args:
        start: makes the iterator; called in the thread.
        size_bytes: memory that an item holds.
        most_items: items that are ready and not yet taken, at most.
        most_bytes: their memory, at most; one item may be larger.
    """

    def __init__(
        self,
        start: Callable[[], Iterator[T]],
        size_bytes: Callable[[T], int],
        *,
        most_items: int,
        most_bytes: int,
    ) -> None:
        self._shelf: _Shelf[T] = _Shelf(most_items, most_bytes)
        # The thread knows the shelf, not its consumer: a consumer that is dropped ends the thread.
        self._thread = threading.Thread(
            target=_fill, args=(start, size_bytes, self._shelf), name="h5lightning-read-ahead", daemon=True
        )
        self._thread.start()
        self._finalizer = weakref.finalize(self, _stop, self._shelf, self._thread)

    def __next__(self) -> T:
        try:
            return self._shelf.take()
        except BaseException:
            # The error keeps, through its traceback, all who asked; kept by the finalizer, it would stay for ever.
            if self._shelf.is_at_end:
                self._finalizer.detach()
            raise

    def close(self) -> None:
        """End the thread and wait for it; what was made ahead is dropped."""
        self._finalizer()


class _Shelf(Generic[T]):
    """Items between one thread that puts and one that takes."""

    def __init__(self, most_items: int, most_bytes: int) -> None:
        self._most_items = most_items
        self._most_bytes = most_bytes
        self._items: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._end: BaseException | type[StopIteration] | None = None
        self._changed = threading.Condition()

    @property
    def is_at_end(self) -> bool:
        """Whether nothing is left, and nothing will be put."""
        return self._end is not None and not self._items

    def put(self, item: T, size_bytes: int) -> bool:
        """Wait for room; False if nobody wants more."""
        with self._changed:
            self._changed.wait_for(lambda: self._end is not None or self._has_room(size_bytes))
            if self._end is not None:
                return False
            self._items.append((item, size_bytes))
            self._bytes += size_bytes
            self._changed.notify_all()
            return True

    def take(self) -> T:
        """Wait for an item; what `end` was told, once there are no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._end is not None)
            if not self._items:
                raise self._end or StopIteration
            item, size_bytes = self._items.popleft()
            self._bytes -= size_bytes
            self._changed.notify_all()
            return item

    def end(self, reason: BaseException | type[StopIteration], *, is_final: bool = False) -> None:
        """No more items; the ready ones are still given out, unless this is final."""
        with self._changed:
            if is_final:
                self._items.clear()
            self._end = self._end or reason
            self._changed.notify_all()

    def _has_room(self, size_bytes: int) -> bool:
        fits = self._bytes + size_bytes <= self._most_bytes and len(self._items) < self._most_items
        return fits or not self._items


def _fill(start: Callable[[], Iterator[T]], size_bytes: Callable[[T], int], shelf: _Shelf[T]) -> None:
    try:
        for item in start():
            if not shelf.put(item, size_bytes(item)):
                return
    except BaseException as error:  # noqa: BLE001 - whatever it is, the consumer must get it
        shelf.end(error)
    else:
        shelf.end(StopIteration)


def _stop(shelf: _Shelf[T], thread: threading.Thread) -> None:
    shelf.end(StopIteration, is_final=True)
    # A transform that drops the last reference would wait for itself.
    if thread is not threading.current_thread():
        thread.join()
