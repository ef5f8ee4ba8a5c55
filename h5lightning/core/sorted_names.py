"""Finds names in a large sorted table without a dict of them, which would take 150 bytes for each name."""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right

from h5lightning.core.string_table import StringTable

__all__ = ["SortedNames"]

_STEP = 32


class SortedNames:
    """Names in ascending order, each once.

    A list of every 32nd name says in which block a name lies. A block is searched as bytes, without decoding its names.

    Args:
        names: the names.
    """

    def __init__(self, names: StringTable) -> None:
        self._names = names
        self._firsts = [names[number] for number in range(0, len(names), _STEP)]

    def find(self, name: str) -> int | None:
        """The number of a name; None if it is not in the table."""
        first = (bisect_right(self._firsts, name) - 1) * _STEP
        if first < 0:
            return None
        ends = self._names.ends[first : first + _STEP].tolist()
        start = int(self._names.ends[first - 1]) if first else 0
        block, wanted = self._names.blob[start : ends[-1]].tobytes(), os.fsencode(name)
        found = block.find(wanted)
        while found >= 0:
            number = bisect_left(ends, start + found + len(wanted))
            begin = ends[number - 1] if number else start
            if (begin, ends[number]) == (start + found, start + found + len(wanted)):
                return first + number
            found = block.find(wanted, found + 1)
        return None
