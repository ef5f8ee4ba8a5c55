"""From the entries of tables to the series that they divide rows into. Reads no file."""

from __future__ import annotations

import numpy as np

from h5lightning.core.arrays import BoolArray, Int64Array

__all__ = [
    "BadTableError",
    "Bounds",
    "check_ascending",
    "check_not_negative",
    "from_ends",
    "from_lengths",
    "from_lengths_alone",
    "from_offsets",
    "from_stops",
]

_ENDS = "ends are one past the last row of each series. A table with the number of rows of each is Series(lengths=…)"

# First row and number of rows of each series, and the end of the last one.
Bounds = tuple[Int64Array, Int64Array, int]


class BadTableError(Exception):
    """Why tables divide no rows, as a sentence about a file."""


def from_ends(ends: Int64Array, table: str) -> Bounds:
    """Series from one past the last row of each, ``(series,)``.

    Args:
        ends: the entries of the table.
        table: its name, for messages.

    Raises:
        BadTableError: negative or descending entries.

    Example:
        >>> from_ends(np.array([3, 3, 7]), "ends")
        (array([0, 3, 3]), array([3, 0, 4]), 7)
    """
    check_not_negative(ends, table)
    check_ascending(ends, table, _ENDS)
    starts = np.concatenate([np.zeros(min(1, len(ends)), np.int64), ends[:-1]])
    return starts, ends - starts, int(ends[-1]) if len(ends) else 0


def from_offsets(offsets: Int64Array, table: str) -> Bounds:
    """Series from the first row of each and the number of rows, ``(series + 1,)``.

    Raises:
        BadTableError: no entries, a first entry that is not 0, or descending entries.

    Example:
        >>> from_offsets(np.array([0, 3, 3, 7]), "indptr")
        (array([0, 3, 3]), array([3, 0, 4]), 7)
    """
    if not len(offsets):
        raise BadTableError(
            f"{table} is empty: offsets have one entry more than there are series, 0 for no series"
        )
    if offsets[0]:
        raise BadTableError(
            f"{table} begins with {offsets[0]}, expected 0: offsets are the first row of each series, and then the "
            "number of rows. A table with one past the last row of each series is Series(ends=…)"
        )
    check_ascending(offsets, table, "offsets are the first row of each series, and then the number of rows")
    return offsets[:-1], np.diff(offsets), int(offsets[-1])


def from_lengths_alone(lengths: Int64Array, table: str) -> Bounds:
    """Series that follow each other, from the number of rows of each, ``(series,)``.

    Raises:
        BadTableError: negative entries, or more rows than can be counted.

    Example:
        >>> from_lengths_alone(np.array([3, 0, 4]), "ep_len")
        (array([0, 3, 3]), array([3, 0, 4]), 7)
    """
    check_not_negative(lengths, table)
    if lengths.sum(dtype=np.float64) >= 2**62:
        raise BadTableError(f"the entries of {table} sum up to {lengths.sum(dtype=np.float64):.3g} rows")
    stops = np.cumsum(lengths)
    return stops - lengths, lengths, int(stops[-1]) if len(stops) else 0


def from_lengths(starts: Int64Array, lengths: Int64Array, tables: tuple[str, str]) -> Bounds:
    """Series from the first row and the number of rows of each, ``(series,)`` each.

    Raises:
        BadTableError: different numbers of entries, negative entries, or series that overlap or descend.

    Example:
        >>> from_lengths(np.array([0, 9, 4]), np.array([3, 0, 3]), ("first", "count"))
        (array([0, 3, 4]), array([3, 0, 3]), 7)
    """
    _check_same_length(starts, lengths, tables)
    check_not_negative(lengths, tables[1])
    return _from_first(starts, lengths, tables[0])


def from_stops(starts: Int64Array, stops: Int64Array, tables: tuple[str, str]) -> Bounds:
    """Series from the first row of each, and one past the last, ``(series,)`` each.

    Raises:
        BadTableError: different numbers of entries, negative entries, a stop before its start, or series that overlap
            or descend.

    Example:
        >>> from_stops(np.array([1, 4]), np.array([3, 7]), ("start", "stop"))
        (array([1, 4]), array([2, 3]), 7)
    """
    _check_same_length(starts, stops, tables)
    if (entry := _first(stops < starts)) is not None:
        raise BadTableError(
            f"entry {entry} of {tables[1]} is {stops[entry]}, before the start {starts[entry]} in {tables[0]}: "
            "stops are one past the last row of each series"
        )
    return _from_first(starts, stops - starts, tables[0])


def _from_first(starts: Int64Array, rows: Int64Array, table: str) -> Bounds:
    """Series that ascend, with gaps; those without rows may say any start, and get the end of the one before them."""
    filled = np.flatnonzero(rows)
    first = starts[filled]
    if (entry := _first(first < 0)) is not None:
        raise BadTableError(f"entry {filled[entry]} of {table} is {first[entry]}, expected a row, 0 or above")
    stops = first + rows[filled]
    if (entry := _first(stops < first)) is not None:
        raise BadTableError(f"series {filled[entry]} would end beyond 2**63, with {rows[filled[entry]]} rows")
    if (entry := _first(first[1:] < stops[:-1])) is not None:
        this, other = filled[entry], filled[entry + 1]
        raise BadTableError(
            f"series {other} begins at row {starts[other]} ({table}), but series {this} before it has the rows "
            f"{starts[this]} to {stops[entry] - 1}: series must ascend and not overlap"
        )
    before = np.concatenate([np.zeros(1, np.int64), stops])[np.cumsum(rows > 0) - (rows > 0)]
    return np.where(rows > 0, starts, before), rows, int(stops[-1]) if len(stops) else 0


def _check_same_length(first: Int64Array, second: Int64Array, tables: tuple[str, str]) -> None:
    if len(first) != len(second):
        raise BadTableError(
            f"{tables[0]} has {len(first)} entries and {tables[1]} has {len(second)}: each series has one entry in both"
        )


def check_not_negative(numbers: Int64Array, table: str) -> None:
    """Raise `BadTableError` that names the first negative entry of a table."""
    if (entry := _first(numbers < 0)) is not None:
        raise BadTableError(f"entry {entry} of {table} is {numbers[entry]}, expected 0 or above")


def check_ascending(numbers: Int64Array, table: str, what: str) -> None:
    """Raise `BadTableError` that names the first entry below the one before it, and says what entries are."""
    if (entry := _first(numbers[1:] < numbers[:-1])) is not None:
        raise BadTableError(
            f"{table} does not ascend: entry {entry + 1} is {numbers[entry + 1]}, after {numbers[entry]}: {what}"
        )


def _first(is_bad: BoolArray) -> int | None:
    """The first true entry; None if there is none."""
    return int(is_bad.argmax()) if is_bad.any() else None
