"""What reading a column needs to know of each file, in arrays that are indexed by the numbers of the files.

A batch over thousands of files takes what it needs with a few calls of NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.core.monitor import Guard
from h5lightning.storage.files.raw_file import RawFile
from h5lightning.storage.files.raw_files import FileBatch
from h5lightning.storage.readers.direct.known_source import KnownSource

__all__ = ["NEEDS_HDF5", "OTHER", "PLAIN", "ColumnFacts", "ColumnTable"]

_UNKNOWN, PLAIN, OTHER, NEEDS_HDF5 = range(4)
_FEWEST = 64


class ColumnFacts(NamedTuple):
    """What is known of a column in some files.

    Args:
        kinds: `PLAIN` where the rows lie one after the other and nothing else must be known; `OTHER`, `NEEDS_HDF5`;
            0 where nothing is known yet, ``(files,)`` int8.
        starts: first byte of the first row in the file, where it is plain, ``(files,)``.
        rows: rows of the column, ``(files,)``.
    """

    kinds: npt.NDArray[np.int8]
    starts: Int64Array
    rows: Int64Array

    @classmethod
    def unknown(cls, files: int) -> ColumnFacts:
        """Nothing is known of some files."""
        return cls(np.zeros(files, np.int8), np.zeros(files, np.int64), np.zeros(files, np.int64))

    def of(self, numbers: Int64Array) -> ColumnFacts:
        """What is known of the files with these numbers, ``(N,)``."""
        return ColumnFacts(self.kinds[numbers], self.starts[numbers], self.rows[numbers])


class ColumnTable:
    """One column in all known files; any number of threads may use it."""

    def __init__(self) -> None:
        self._facts = ColumnFacts.unknown(_FEWEST)
        self._guard = Guard()

    def of(self, batch: FileBatch, find: Callable[[RawFile], KnownSource | None]) -> ColumnFacts:
        """What is known of the files of a batch.

        Args:
            batch: the files.
            find: finds where the values lie in a file of which nothing is known yet; None if only HDF5 can read it.
        """
        if batch.end > len(self._facts.kinds):
            self._guard.run(self._grow, batch.end)
        facts = self._facts.of(batch.numbers)
        if facts.kinds.all():
            return facts
        for place in np.flatnonzero(facts.kinds == _UNKNOWN).tolist():
            file = batch.files[place]
            self._guard.run(self._note, file.number, find(file))
        return self._facts.of(batch.numbers)

    def _grow(self, files: int) -> None:
        old = self._facts
        if files > len(old.kinds):
            new, size = ColumnFacts.unknown(2 * files), len(old.kinds)
            new.kinds[:size], new.starts[:size], new.rows[:size] = old
            self._facts = new

    def _note(self, number: int, known: KnownSource | None) -> None:
        facts = self._facts
        if known is not None:
            facts.rows[number] = known.rows
            facts.starts[number] = known.chunk_map.offsets[0] if known.is_plain else 0
        # Last: other threads use the other numbers of a file whose kind is known.
        facts.kinds[number] = NEEDS_HDF5 if known is None else PLAIN if known.is_plain else OTHER
