"""Immutable values: a copy is the value itself, and arrays are compared by content."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import numpy as np
from typing_extensions import Self

__all__ = ["EqualByValue", "Frozen"]


class Frozen:
    """Base of values that copies of a DataModule, a dataset or a reader share: the index, the catalog, the split.

    A subclass never changes its fields or their arrays. It makes values late only by `h5lightning.core.once`.
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
