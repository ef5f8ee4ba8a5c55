"""How the numbers of a field are normalised, by statistics of the rows of the train split."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from h5lightning.options.checks import check_choice, check_text, make_plain

__all__ = ["Normalize"]


@dataclasses.dataclass(frozen=True)
class Normalize:
    """How the numbers of a field are normalised, by statistics of the rows of the train split.

    Integers of up to 16 bits become float32; of wider ones, `Field.dtype` must say the type. Where all numbers of the
    train split are equal, they become 0, and others are divided by 1: the summary says so.

    Args:
        kind: ``standard`` for mean 0 and standard deviation 1 (divided by the number of values); ``minmax`` for
            −1 to 1; ``quantile`` for the 1 % quantile at −1 and the 99 % quantile at 1, without clipping.
        per: what has statistics of its own: ``last`` for each entry of the last axis of a row, ``first`` for each entry
            of its first axis, ``element`` for each element of a row, ``all`` for one of all numbers.
        where: the key of a field that says which elements count: bool, or numbers other than 0, of the shape of a row
            or of its leading axes; None for all.
    """

    later: ClassVar[tuple[str, ...]] = ()

    kind: str = "standard"
    per: str = "last"
    where: str | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        check_choice("normalize.kind", self.kind, ("standard", "minmax", "quantile"))
        check_choice("normalize.per", self.per, ("last", "first", "element", "all"))
        check_text("normalize.where", self.where)
