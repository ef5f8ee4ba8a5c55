"""Immutable values: copied as themselves, compared by content, with attributes that are computed once.

Since Python 3.12, `functools.cached_property` has no lock: two threads may both compute the value, and one of them
keeps a value that no later caller gets. If the value is a memory map, its address is used after it was closed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast, overload

import numpy as np
from typing_extensions import Self

from h5lightning.core.monitor import ProcessGuard

__all__ = ["EqualByValue", "Frozen", "once"]

T = TypeVar("T")


class Frozen:
    """Base of values that copies of a DataModule, a dataset or a reader share: the index, the catalog, the split.

    A subclass never changes its fields or their arrays. It makes values late only by `once`.
    """

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class EqualByValue:
    """Equality of dataclasses that hold arrays; fields with ``compare=False`` do not count."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        names = [field.name for field in dataclasses.fields(cast("Any", self)) if field.compare]
        return all(_is_equal(getattr(self, name), getattr(other, name)) for name in names)

    __hash__ = None  # type: ignore[assignment]  # the arrays could be changed


def _is_equal(first: object, second: object) -> bool:
    return np.array_equal(first, cast("Any", second)) if isinstance(first, np.ndarray) else first == second


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
