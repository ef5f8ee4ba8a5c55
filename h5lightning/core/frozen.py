"""Immutable values: a copy is the value itself."""

from __future__ import annotations

from typing import Any

from typing_extensions import Self

__all__ = ["Frozen"]


class Frozen:
    """Base of values that copies of a DataModule, a dataset or a reader share: the index, the catalog, the split.

    A subclass never changes its fields or their arrays. It makes values late only by `h5lightning.core.once`.
    """

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self
