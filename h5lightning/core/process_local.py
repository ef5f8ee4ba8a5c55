"""What belongs to one process: its cores, and values that a forked child, a pickle or a copy does not take along."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from h5lightning.core.monitor import ProcessGuard

__all__ = ["ProcessLocal", "ProcessLocalRef", "ProcessLocalSet", "remade", "usable_cores"]

T = TypeVar("T")


class ProcessLocal(Generic[T]):
    """A value that each process makes for itself at first use, safe for threads.

    A forked child drops the value of its parent without using it. A pickle or a copy is empty.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: tuple[int, T] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()

    def get(self, make: Callable[[], T]) -> T:
        """The value of this process; ``make`` is called once, and must not wait for another lock."""
        held = self._held
        if held is not None and held[0] == os.getpid():
            return held[1]
        made: T = _guard.run(self._get, make)
        # The value of a parent process is dropped here, outside of the lock, because that closes files.
        del held
        return made

    def _get(self, make: Callable[[], T]) -> T:
        held, pid = self._held, os.getpid()
        if held is None or held[0] != pid:
            held = self._held = (pid, make())
        return held[1]

    def peek(self) -> T | None:
        """The value of this process; None if there is none yet."""
        held = self._held
        return held[1] if held is not None and held[0] == os.getpid() else None

    def forget(self) -> None:
        """Drop the value: the next `get` makes a new one."""
        _guard.run(self._forget)

    def _forget(self) -> None:
        self._held = None


class ProcessLocalSet(Generic[T]):
    """Weak references to objects of this process, safe for threads; a pickle or a copy is empty."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._members: dict[int, weakref.ref[T]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()

    def __iter__(self) -> Iterator[T]:
        """The objects that still exist."""
        references = list(self._members.values()) if self._pid == os.getpid() else []
        return (member for reference in references if (member := reference()) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def add(self, member: T) -> None:
        """Keep a reference as long as the object exists."""
        if self._pid != os.getpid():
            self._pid, self._members = os.getpid(), {}
        members, key = self._members, id(member)
        members[key] = weakref.ref(member, lambda _: members.pop(key, None))


class ProcessLocalRef(Generic[T]):
    """A weak reference to an object of this process; a pickle or a copy is empty."""

    def __init__(self) -> None:
        self._reference: weakref.ref[Any] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), ())

    def set(self, thing: T) -> None:
        """Refer to this object from now on."""
        self._reference = weakref.ref(thing)

    def get(self) -> T | None:
        """The object; None if it no longer exists, or was never set."""
        return None if self._reference is None else self._reference()


def remade(kind: Callable[..., T], named: dict[str, Any]) -> T:
    """Make an object again from its arguments, for ``__reduce__``.

    `copy.deepcopy` copies the arguments of this function, but not those inside of a `functools.partial`.
    """
    return kind(**named)


def usable_cores() -> int:
    """Number of cores that this process may use; a batch system may grant fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_guard = ProcessGuard()
