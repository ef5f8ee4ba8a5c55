"""What belongs to one process: made there once, and left behind by a fork, a pickle and a copy."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from h5lightning.core.monitor import Guard

__all__ = ["ProcessLocal", "ProcessLocalRef", "ProcessLocalSet", "remade"]

T = TypeVar("T")


class ProcessLocal(Generic[T]):
    """A value of each process, made when it is first asked for; any number of threads.

    In a forked child the value of the parent is dropped without being used. Pickled or copied, it is empty.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: tuple[int, T] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()

    def get(self, make: Callable[[], T]) -> T:
        """The value of this process; ``make`` is called once, and must not wait for any other lock."""
        held = self._held
        if held is not None and held[0] == os.getpid():
            return held[1]
        made: T = _guard.run(self._get, make)
        # What a fork left here is dropped now, outside of the lock: that closes files.
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
        """Let the next one who asks make a new value."""
        _guard.run(self._forget)

    def _forget(self) -> None:
        self._held = None


class ProcessLocalSet(Generic[T]):
    """Weak references to things at work in this process; any number of threads. Pickled or copied, it is empty."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._members: dict[int, weakref.ref[T]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()

    def __iter__(self) -> Iterator[T]:
        """Those that live."""
        references = list(self._members.values()) if self._pid == os.getpid() else []
        return (member for reference in references if (member := reference()) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def add(self, member: T) -> None:
        """Keep a reference as long as the member lives."""
        if self._pid != os.getpid():
            self._pid, self._members = os.getpid(), {}
        members, key = self._members, id(member)
        members[key] = weakref.ref(member, lambda _: members.pop(key, None))


class ProcessLocalRef(Generic[T]):
    """A weak reference to a thing at work in this process; pickled or copied, it is empty."""

    def __init__(self) -> None:
        self._found: weakref.ref[Any] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), ())

    def set(self, thing: T) -> None:
        """Refer to another one."""
        self._found = weakref.ref(thing)

    def get(self) -> T | None:
        """The thing; None if it is gone, or there was none."""
        return None if self._found is None else self._found()


def remade(kind: Callable[..., T], named: dict[str, Any]) -> T:
    """For ``__reduce__``: an object that is made from its arguments again; `copy.deepcopy` copies these too.

    It does not copy what a `functools.partial` holds: two copies would share it.
    """
    return kind(**named)


_guard = Guard()


def _renew() -> None:
    # Another thread may have held it when this process was forked.
    global _guard  # noqa: PLW0603 - there is one for each process
    _guard = Guard()


os.register_at_fork(after_in_child=_renew)
