"""How tables divide the rows of a file into series, row by row."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["RefusedError", "divide"]

Get = Callable[[str], npt.NDArray[Any]]
Border = tuple[str, int, int]  # the name of a series, its first row, and one past its last one


class RefusedError(Exception):
    """The contract says that this is an error."""


def divide(options: Mapping[str, Any], get: Get, rows: int) -> list[Border] | None:
    """The series of so many rows; None where nothing divides them.

    Args:
        options: of `Series`.
        get: reads a dataset.
        rows: how many there are.
    """
    for name, division in _DIVISIONS.items():
        if options.get(name):
            return division(options, get, rows)
    return None


def _numbered(pairs: list[tuple[int, int]]) -> list[Border]:
    return [(str(number), start, stop) for number, (start, stop) in enumerate(pairs)]


def _ends(options: Mapping[str, Any], get: Get, rows: int) -> list[Border]:
    ends = [0, *(int(end) for end in get(options["ends"]))]
    return _between(ends, rows)


def _offsets(options: Mapping[str, Any], get: Get, rows: int) -> list[Border]:
    return _between([int(offset) for offset in get(options["offsets"])], rows)


def _between(borders: list[int], rows: int) -> list[Border]:
    if not borders or borders != sorted(borders) or borders[0] != 0 or borders[-1] != rows:
        raise RefusedError("the borders do not ascend from 0 to the number of rows")
    return _numbered(list(itertools.pairwise(borders)))


def _starts(options: Mapping[str, Any], get: Get, rows: int) -> list[Border]:
    starts = [int(start) for start in get(options["starts"])]
    if "stops" in options:
        stops = [int(stop) for stop in get(options["stops"])]
    else:
        lengths = [int(length) for length in get(options["lengths"])]
        stops = [start + length for start, length in zip(starts, lengths, strict=False)]
    if len(stops) != len(starts):
        raise RefusedError("as many stops as starts")
    last = 0
    for start, stop in zip(starts, stops, strict=True):
        is_empty = start == stop  # it lies nowhere
        if not 0 <= start <= stop or not (is_empty or last <= start <= stop <= rows):
            raise RefusedError("series overlap, or lie outside of the rows")
        last = last if is_empty else stop
    return _numbered(list(zip(starts, stops, strict=True)))


def _flags(options: Mapping[str, Any], get: Get, rows: int) -> list[Border]:
    paths = options["flags"]
    found = np.zeros(rows, bool)
    for path in [paths] if isinstance(paths, str) else paths:
        flags = get(path)
        if flags.shape != (rows,):
            raise RefusedError("one flag for each row")
        if not np.isin(flags, (0, 1)).all():
            raise RefusedError("flags are 0 or 1")
        found |= flags.astype(bool)
    pairs, start = [], 0
    for row in range(rows):
        if found[row] or row == rows - 1:
            pairs.append((start, row + 1))
            start = row + 1
    return _numbered(pairs)


def _runs(options: Mapping[str, Any], get: Get, rows: int) -> list[Border]:
    values = get(options["runs"])
    if values.shape != (rows,):
        raise RefusedError("one value for each row")
    borders, start = [], 0
    for row in range(rows):
        if row == rows - 1 or values[row] != values[row + 1]:
            borders.append((str(values[row]), start, row + 1))
            start = row + 1
    return borders


_DIVISIONS = {"ends": _ends, "offsets": _offsets, "starts": _starts, "flags": _flags, "runs": _runs}
