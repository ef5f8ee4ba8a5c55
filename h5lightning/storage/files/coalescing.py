"""Joins rows into runs that are worth one read each. Pure: it opens no file.

A read through HDF5 takes 5 µs before the first byte; 16 KiB more take 1.2 µs from the page cache, and a few µs from a
disk that reads ahead. So skipping less than that costs more than reading it. Decoding a filtered chunk of 128 KiB takes
300 µs, so each chunk is decoded once, and only if one of its rows is requested.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import BoolArray, Int64Array

__all__ = ["MAX_GAP_BYTES", "MAX_RUN_BYTES", "Runs", "coalesce", "merge_byte_ranges"]


MAX_GAP_BYTES = 16 * 1024
MAX_RUN_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Reads that together hold all requested rows; run ``i`` holds ``rows[first[i]:first[i + 1]]``.

    Args:
        starts: first row of each run, ``(runs,)`` int64, ascending.
        stops: one past the last row of each run, ``(runs,)`` int64.
        first: index of each run's first row among the requested rows, ``(runs + 1,)`` int64; the last entry is the
            number of requested rows.
    """

    starts: Int64Array
    stops: Int64Array
    first: Int64Array

    def __post_init__(self) -> None:
        starts, stops, first = self.starts, self.stops, self.first
        if not len(starts) == len(stops) == len(first) - 1:
            sizes = f"{len(starts)} starts, {len(stops)} stops, {len(first)} borders"
            raise ValueError(f"runs need as many stops as starts and one more border, found {sizes}")
        if (starts >= stops).any() or (stops[:-1] > starts[1:]).any():
            raise ValueError(f"runs must ascend and be disjoint, found starts {starts}, stops {stops}")
        if first[0] != 0 or (first[1:] <= first[:-1]).any():
            raise ValueError(f"each run must hold at least one row, found borders {first}")

    def __len__(self) -> int:
        return len(self.starts)


def coalesce(
    rows: Int64Array,
    *,
    row_bytes: int,
    chunk_rows: int | None = None,
    max_gap_bytes: int = MAX_GAP_BYTES,
    max_run_bytes: int = MAX_RUN_BYTES,
) -> Runs:
    """Runs that hold ``rows``; each begins and ends with a requested row.

    Args:
        rows: rows of one dataset, ``(N,)`` int64, ascending, with repetitions.
        row_bytes: decoded bytes of a row.
        chunk_rows: rows of a chunk that must be decoded whole, so that one run holds all its requested rows; None
            where any row can be read alone.
        max_gap_bytes: bytes between requested rows that are read rather than skipped, where any row can be read alone.
        max_run_bytes: most bytes of one run, unless a single chunk (or row) has more.

    Raises:
        ValueError: the rows do not ascend.

    Example:
        >>> coalesce(np.array([3, 4, 40, 41]), row_bytes=4096).starts
        array([ 3, 40])
        >>> coalesce(np.array([3, 4, 40, 70]), row_bytes=4096, chunk_rows=32).stops
        array([71])
    """
    if not rows.size:
        return Runs(rows, rows, np.zeros(1, dtype=np.int64))
    if (rows[1:] < rows[:-1]).any():
        raise ValueError("rows must ascend to be coalesced")
    cells = rows // chunk_rows if chunk_rows else rows
    gap_cells = 0 if chunk_rows else max_gap_bytes // max(1, row_bytes)
    most_cells = max(1, max_run_bytes // max(1, row_bytes * (chunk_rows or 1)))
    return _cut(rows, _opens(cells, gap_cells, most_cells))


def _opens(cells: Int64Array, gap_cells: int, most_cells: int) -> BoolArray:
    """Where a new run begins: after a gap, and after every ``most_cells`` cells of a run."""
    opens = np.empty(cells.size, dtype=np.bool_)
    opens[0] = True
    np.greater(cells[1:] - cells[:-1], gap_cells + 1, out=opens[1:])
    if cells[-1] - cells[0] < most_cells:
        return opens
    began = cells[opens][np.cumsum(opens) - 1]
    piece = (cells - began) // most_cells
    opens[1:] |= piece[1:] != piece[:-1]
    return opens


def _cut(rows: Int64Array, opens: BoolArray) -> Runs:
    begins = np.flatnonzero(opens)
    first = np.empty(begins.size + 1, dtype=np.int64)
    first[:-1], first[-1] = begins, rows.size
    return Runs(starts=rows[begins], stops=rows[first[1:] - 1] + 1, first=first)


def merge_byte_ranges(
    starts: Int64Array, sizes: Int64Array, *, max_gap_bytes: int = MAX_GAP_BYTES
) -> tuple[Int64Array, Int64Array]:
    """Join byte ranges that lie close together.

    Args:
        starts: first byte of each range, in any order, ``(N,)``.
        sizes: bytes of each range, ``(N,)``.
        max_gap_bytes: most bytes between two ranges that become one.

    Returns:
        Starts, ascending, and sizes, ``(n,)`` each.

    Example:
        >>> merge_byte_ranges(np.array([9_000, 0, 40_000]), np.array([10, 10, 10]))
        (array([    0, 40000]), array([9010,   10]))
    """
    order = np.argsort(starts, kind="stable")
    starts, stops = starts[order], np.maximum.accumulate((starts + sizes)[order])
    opens = np.ones(len(starts), np.bool_)
    np.greater(starts[1:] - stops[:-1], max_gap_bytes, out=opens[1:])
    first = np.flatnonzero(opens)
    last = np.append(first[1:], len(starts))[: len(first)] - 1
    return starts[first], stops[last] - starts[first]
