"""Values that never change, of which a copy is the value itself."""

from __future__ import annotations

from typing import Any, TypeVar

from typing_extensions import Self

__all__ = ["Frozen"]

T = TypeVar("T")


class Frozen:
    """What copies of a DataModule, a dataset or a reader share: the index, the catalog, the split.

    Whoever inherits from this writes to none of its fields, and to none of their arrays. What it makes late is made
    once (`h5lightning.core.once`).
    """

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self
