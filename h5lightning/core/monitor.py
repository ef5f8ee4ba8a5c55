"""Locks that a thread gives back however it leaves, and waits that look again.

A `KeyboardInterrupt` may strike the main thread between any two instructions: after a lock was taken and before the
``try``, or while a ``with`` statement is left, and the lock would stay locked. Here the lock is taken inside of what
gives it back. It is given back in two nested ``finally``, so that an interrupt of the inner one costs nothing, and only
by the thread that owns it, so that twice does no harm. Whoever reserves anything else follows the same pattern: what is
reserved is written into an object, and two nested ``finally`` around the reservation release what that object says. The
inner ``try`` holds one call: Python 3.11 leaves the line of a plain ``return True`` outside of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec, TypeVar

__all__ = ["Guard", "Monitor"]

P = ParamSpec("P")
T = TypeVar("T")

_LOOK_AGAIN_S = 0.5  # a thread that is told of each change needs it only after an interrupt


class Guard:
    """Lets one thread at a time change what threads share; the same thread may come in again."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock: Any = (
            threading.RLock()
        )  # typeshed does not know `_is_owned`, which threading.Condition uses

    def run(self, change: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What ``change`` returns, called while no other thread is in here."""
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
        """As `run`; None if another thread is in here for so many seconds."""
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


class Monitor(Guard):
    """A guard whose threads can wait for what others change."""

    __slots__ = ("_changed",)

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition(self._lock)

    def until(self, change: Callable[P, T | None], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``change`` as `run` does, again after each change of others, until it returns anything but None."""
        asked = partial(change, *args, **kwargs)
        while True:
            (found,) = self.run(self._look, asked)
            if found is not None:
                return found

    def tell(self) -> None:
        """Let all who wait look again; called by what `run` calls."""
        self._changed.notify_all()

    def _look(self, change: Callable[[], T | None]) -> tuple[T | None]:
        found = change()
        if found is None:
            self._changed.wait(_LOOK_AGAIN_S)
        return (found,)
