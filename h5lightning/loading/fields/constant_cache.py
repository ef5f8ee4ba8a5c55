"""Keeps datasets without a sample axis while they fit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import numpy.typing as npt

from h5lightning.core.monitor import Guard
from h5lightning.core.process_local import ProcessLocal

__all__ = ["ConstantCache"]

Array = npt.NDArray[Any]


class ConstantCache:
    """Keeps arrays; any number of threads may use it. A copy, or the cache in another process, begins empty.

    Args:
        limit_bytes: memory of all arrays, at most; one array may be larger.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._local: ProcessLocal[_Arrays] = ProcessLocal()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._limit_bytes,)

    def get(self, key: Hashable, make: Callable[[], Array]) -> Array:
        """An array; made unless it is kept."""
        arrays = self._local.get(partial(_Arrays, self._limit_bytes))
        values = arrays.guard.run(arrays.find, key)
        if values is None:
            values = make()
            arrays.guard.run(arrays.add, key, values)
        return values


class _Arrays:
    """The arrays of one process, least recently used first; threads use it inside of its guard."""

    def __init__(self, limit_bytes: int) -> None:
        self.guard = Guard()
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._values: OrderedDict[Hashable, Array] = OrderedDict()

    def find(self, key: Hashable) -> Array | None:
        values = self._values.get(key)
        if values is not None:
            self._values.move_to_end(key)
        return values

    def add(self, key: Hashable, values: Array) -> None:
        if key in self._values:  # another thread read them too
            return
        # In one line, so that no interrupt comes between the two.
        self._values[key], self._bytes = values, self._bytes + values.nbytes
        while self._bytes > self._limit_bytes and len(self._values) > 1:
            self._bytes -= self._values.popitem(last=False)[1].nbytes
