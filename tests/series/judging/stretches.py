"""How an index divides a dataset into rows of unequal length."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from judging.divisions import RefusedError
from judging.options import FieldOption
from judging.places import Array

__all__ = ["entries_of", "stretches"]


def entries_of(index: Array) -> int:
    """How many rows an index has if nothing else says it: one that begins with 0 holds offsets."""
    if index.ndim != 1:
        raise RefusedError("an index has one axis")
    return len(index) - 1 if len(index) and index[0] == 0 else len(index)


def stretches(
    get: Callable[[str], Array], field: FieldOption, rows: int | None = None
) -> list[tuple[int, int]]:
    """The first entry of each row in the dataset, and one past its last one.

    Args:
        get: reads a dataset.
        field: the field with the index.
        rows: how many rows the series of the field have; None if nothing says it.
    """
    index = get(field.index or "")
    count = entries_of(index) if rows is None else rows
    borders = [int(border) for border in index]
    if len(borders) == count:
        borders = [0, *borders]
    if len(borders) != count + 1:
        raise RefusedError("an index has ends or offsets for all rows")
    lengths = {len(get(path)) for path in field.paths}
    if borders != sorted(borders) or borders[0] != 0 or {borders[-1]} != lengths:
        raise RefusedError("an index ascends from 0 to the length of its dataset")
    return list(itertools.pairwise(borders))
