"""Values that an object makes when they are first asked for, and only once, whatever threads ask.

`functools.cached_property` has no lock since Python 3.12: two threads may both make the value, and one of them goes on
with another value than all who come later. Where that is a memory map, its address outlives it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

from h5lightning.core.monitor import Guard

__all__ = ["once"]

T = TypeVar("T")
_NOTHING = object()


class once(Generic[T]):  # noqa: N801 - a decorator, as `property` is
    """Turns a method into a value of the object, which is made once and kept in its ``__dict__``.

    The lock is that of all such values, in each process another one, so that no object carries one to a pickle, a copy
    or a forked child. What makes a value must not wait for anybody else.

    Args:
        make: the method.

    Example:
        >>> class Circle:
        ...     radius = 2
        ...
        ...     @once
        ...     def area(self) -> float:
        ...         return 3.14 * self.radius**2
        >>> Circle().area
        12.56
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self._name = make.__name__
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> once[T]: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> T: ...
    def __get__(self, instance: object | None, owner: type | None = None) -> once[T] | T:
        # Python looks into `__dict__` first: nobody comes here for a value that was made.
        return self if instance is None else _guard.run(self._made, instance)

    def _made(self, instance: object) -> T:
        values = instance.__dict__
        found = values.get(self._name, _NOTHING)
        if found is _NOTHING:
            found = values[self._name] = self._make(instance)
        return found  # type: ignore[no-any-return]


_guard = Guard()


def _renew() -> None:
    # Another thread may have held it when this process was forked.
    global _guard  # noqa: PLW0603 - there is one for each process
    _guard = Guard()


os.register_at_fork(after_in_child=_renew)
