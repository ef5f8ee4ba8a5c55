"""Check whether numbers divide the rows of a dataset into series, without gap or overlap. Reads no file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "are_ends",
    "are_lengths",
    "are_offsets",
    "are_runs",
    "are_starts",
    "has_flag_inside",
    "tile",
]

Numbers: TypeAlias = npt.NDArray[Any]


def are_ends(ends: Numbers, rows: int) -> bool:
    """Whether these are the rows after the last row of each series, ``(series,)``.

    Example:
        >>> are_ends(np.array([3, 7, 10]), 10), are_ends(np.array([3, 7, 9]), 10)
        (True, False)
    """
    return _fits(ends, rows) and int(ends[-1]) == rows and _tiles(np.concatenate([[0], ends]), rows)


def are_offsets(offsets: Numbers, rows: int) -> bool:
    """Whether these are the first rows of each series and then the number of rows, ``(series + 1,)``.

    Example:
        >>> are_offsets(np.array([0, 3, 7, 10]), 10), are_offsets(np.array([0, 10]), 10)
        (True, False)
    """
    return len(offsets) > 2 and int(offsets[0]) == 0 and int(offsets[-1]) == rows and _tiles(offsets, rows)


def are_starts(starts: Numbers, rows: int) -> bool:
    """Whether these are the first rows of each series, ``(series,)``.

    Example:
        >>> are_starts(np.array([0, 3, 7]), 10), are_starts(np.array([1, 3, 7]), 10)
        (True, False)
    """
    is_inside = _fits(starts, rows) and int(starts[0]) == 0 and int(starts[-1]) < rows
    return is_inside and bool((starts[1:] > starts[:-1]).all())


def are_lengths(lengths: Numbers, rows: int) -> bool:
    """Whether these are the numbers of rows of each series, ``(series,)``.

    Example:
        >>> are_lengths(np.array([3, 4, 3]), 10), are_lengths(np.array([3, 4, 4]), 10)
        (True, False)
    """
    if not _fits(lengths, rows) or int(lengths.min()) < 0 or int(lengths.max()) > rows:
        return False
    return int(lengths.sum(dtype=np.float64)) == rows and _has_border(lengths)


def tile(starts: Numbers, stops: Numbers, rows: int) -> bool:
    """Whether each series begins where another one ends; series without rows may lie anywhere.

    Args:
        starts: first row of each series, ``(series,)``.
        stops: the row after the last row of each series, ``(series,)``.
        rows: rows of the dataset.

    Example:
        >>> tile(np.array([3, 0, 0, 7]), np.array([7, 3, 0, 10]), 10)
        True
    """
    if not _fits(starts, rows) or len(starts) != len(stops):
        return False
    filled = stops > starts
    first, last = starts[filled], stops[filled]
    if len(first) < 2 or int(first.min()) != 0 or int(last.max()) != rows:
        return False
    order = np.argsort(first, kind="stable")
    return bool((first[order][1:] == last[order][:-1]).all())


def has_flag_inside(blocks: Iterable[tuple[int, Numbers]], rows: int, *, at_start: bool = False) -> bool:
    """Whether a flag of some row marks a border between two series: before the last row, or after the first.

    Args:
        blocks: the flags in blocks, each with the number of its first row; read up to the first border.
        rows: rows of the dataset.
        at_start: flags are true at the first row of a series, not at its last.

    Example:
        >>> has_flag_inside([(0, np.array([0, 1])), (2, np.array([0, 1]))], 4)
        True
        >>> has_flag_inside([(0, np.array([0, 0])), (2, np.array([0, 1]))], 4)
        False
    """
    for start, flags in blocks:
        if not ((flags == 0) | (flags == 1)).all():
            return False
        inside = flags[max(0, 1 - start) :] if at_start else flags[: rows - 1 - start]
        if (inside != 0).any():
            return True
    return False


def are_runs(blocks: Iterable[tuple[int, Numbers]], rows: int) -> bool:
    """Whether these number the series of each row: runs of equal values, two rows or longer on average.

    Each number has one run. Blocks are read up to the first that contradicts this.

    Example:
        >>> are_runs([(0, np.array([0, 0, 0])), (3, np.array([1, 1]))], 5), are_runs([(0, np.arange(5))], 5)
        (True, False)
    """
    seen: set[Any] = set()
    previous = None
    for _, values in blocks:
        first = values[np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))].tolist()
        begun = first[1:] if first[0] == previous else first
        # Also in each block, so that a column that numbers its rows is rejected by its first block.
        is_dense = 2 * len(begun) > len(values) + 2 or 2 * (len(seen) + len(begun)) > rows
        if is_dense or len(set(begun)) < len(begun) or seen.intersection(begun):
            return False
        seen.update(begun)
        previous = values[-1].item()
    return len(seen) > 1


def _fits(numbers: Numbers, rows: int) -> bool:
    """Whether there are at least two series, and fewer than rows."""
    return 2 <= len(numbers) < rows


def _tiles(borders: Numbers, rows: int) -> bool:
    """Whether borders, from 0 to the number of rows, ascend; series may be empty."""
    if len(borders) - 1 >= rows or not (borders[1:] >= borders[:-1]).all():
        return False
    return _has_border(borders[1:] - borders[:-1])


def _has_border(lengths: Numbers) -> bool:
    """Whether two series have rows, and one of them more than one row."""
    return int((lengths > 0).sum()) > 1 and bool((lengths > 1).any())
