"""Attributes that are computed at first use, and only once, even if several threads ask at the same time.

Since Python 3.12, `functools.cached_property` has no lock: two threads may both compute the value, and one of them
keeps a value that no later caller gets. If the value is a memory map, its address is used after it was closed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

from h5lightning.core.monitor import ProcessGuard

__all__ = ["once"]

T = TypeVar("T")


class once(Generic[T]):  # noqa: N801 - a decorator, as `property` is
    """Turns a method into an attribute that is computed once and kept in the object's ``__dict__``.

    All such attributes of a process share one lock, so that no object carries a lock into a pickle or a copy. The
    method must not wait for another thread.

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
        # Python looks into `__dict__` first: this runs only if the value is not there yet.
        return self if instance is None else _guard.run(self._computed, instance)

    def _computed(self, instance: object) -> T:
        values = instance.__dict__
        if self._name not in values:
            values[self._name] = self._make(instance)
        return values[self._name]  # type: ignore[no-any-return]


_guard = ProcessGuard()
