"""Locks that are always released, even by a thread that is interrupted, and waits that poll.

A `KeyboardInterrupt` can strike the main thread between any two instructions: after a lock was acquired and before the
``try``, or at the end of a ``with`` statement. The lock would then stay locked. So the lock is acquired inside the
``try``, and released in two nested ``finally`` blocks: the outer one still runs if an interrupt strikes in the inner
one. Only the owner releases the lock, so that releasing twice does no harm.

Code that reserves another resource follows the same pattern: it notes the reservation in an object, and two nested
``finally`` blocks release what the object notes. The inner ``try`` holds a single call, because Python 3.11 leaves the
line of a plain ``return True`` outside of the ``try``.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec, TypeVar

__all__ = ["Guard", "Monitor", "ProcessGuard"]

P = ParamSpec("P")
T = TypeVar("T")

_POLL_S = 0.5  # every change notifies the waiting threads, so polling matters only after an interrupt


class Guard:
    """A reentrant lock: one thread at a time changes what threads share."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        # Any: typeshed does not know `_is_owned`, which threading.Condition uses.
        self._lock: Any = threading.RLock()

    @property
    def is_held(self) -> bool:
        """Whether the calling thread holds the lock."""
        return bool(self._lock._is_owned())  # noqa: SLF001 - as threading.Condition asks it

    def run(self, change: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``change`` while no other thread holds the lock, and return its result."""
        lock = self._lock
        if lock._is_owned():  # noqa: SLF001 - as threading.Condition asks it
            return change(*args, **kwargs)
        try:
            try:
                lock.acquire()
                return change(*args, **kwargs)
            finally:
                if lock._is_owned():  # noqa: SLF001
                    lock.release()
        finally:
            if lock._is_owned():  # noqa: SLF001
                lock.release()

    def attempt(
        self, timeout_s: float, change: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T | None:
        """As `run`, but return None if another thread holds the lock for ``timeout_s`` seconds."""
        lock = self._lock
        if lock._is_owned():  # noqa: SLF001
            return change(*args, **kwargs)
        try:
            try:
                return change(*args, **kwargs) if lock.acquire(timeout=timeout_s) else None
            finally:
                if lock._is_owned():  # noqa: SLF001
                    lock.release()
        finally:
            if lock._is_owned():  # noqa: SLF001
                lock.release()


class ProcessGuard(Guard):
    """A guard for a module: in a forked child it is free, even if a thread held it at the fork."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.RLock()


class Monitor(Guard):
    """A guard whose threads can wait for changes that others make."""

    __slots__ = ("_changed",)

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition(self._lock)

    def until(self, change: Callable[P, T | None], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``change`` as `run` does, again after each change of others, until it returns anything but None."""
        attempt = partial(change, *args, **kwargs)
        while True:
            (result,) = self.run(self._try_or_wait, attempt)
            if result is not None:
                return result

    def tell(self) -> None:
        """Wake all waiting threads; called inside of `run`."""
        self._changed.notify_all()

    def _try_or_wait(self, change: Callable[[], T | None]) -> tuple[T | None]:
        result = change()
        if result is None:
            self._changed.wait(_POLL_S)
        return (result,)
