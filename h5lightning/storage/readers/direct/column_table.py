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
from h5lightning.planning.catalog.one_piece import StoredPieces
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

    def of(self, numbers: Int64Array | slice) -> ColumnFacts:
        """What is known of the files with these numbers, ``(N,)``."""
        return ColumnFacts(self.kinds[numbers], self.starts[numbers], self.rows[numbers])

    def note_pieces(self, pieces: StoredPieces, numbers: Int64Array | None = None) -> None:
        """Note where rows lie in one piece.

        Args:
            pieces: the files, and where the rows lie.
            numbers: the numbers of the files that ``pieces`` were found among, ``(files,)``; None for all of them.
        """
        found = pieces.places if numbers is None else numbers[pieces.places]
        self.starts[found], self.rows[found] = pieces.starts, pieces.rows
        self.kinds[found] = PLAIN  # last, as below

    def note(self, number: int, known: KnownSource | None) -> None:
        """Note what was found in a file; None if only HDF5 can read it."""
        if known is not None:
            self.rows[number] = known.rows
            self.starts[number] = known.chunk_map.offsets[0] if known.is_plain else 0
        # Last: other threads use the other numbers of a file whose kind is known.
        self.kinds[number] = NEEDS_HDF5 if known is None else PLAIN if known.is_plain else OTHER


class ColumnTable:
    """One column in all known files; any number of threads may use it.

    Args:
        in_one_piece: finds the files in which its rows lie in one piece, among those with some numbers in the catalog;
            see `OnePiece.of`.
        find: finds where its values lie in another file; None if only HDF5 can read it.
    """

    def __init__(
        self,
        in_one_piece: Callable[[Int64Array], StoredPieces],
        find: Callable[[RawFile], KnownSource | None],
    ) -> None:
        self._in_one_piece = in_one_piece
        self._find = find
        # The number of the first file that has an entry, and the entries.
        self._held = 0, ColumnFacts.unknown(_FEWEST)
        self._guard = Guard()

    def of(self, batch: FileBatch) -> ColumnFacts:
        """What is known of the files of a batch; what is not known yet is found."""
        first, facts = self._held
        if batch.stop > first + len(facts.kinds):
            first, facts = self._guard.run(self._grow, batch)
        if batch.first >= first:
            numbers = batch.numbers - first
        else:  # a file of it was forgotten while it is read
            numbers, facts = np.arange(len(batch.files)), ColumnFacts.unknown(len(batch.files))
        found = facts.of(numbers)
        if found.kinds.all():
            return found
        unknown = numbers[found.kinds == _UNKNOWN]
        pieces = self._in_one_piece(batch.scan_numbers[found.kinds == _UNKNOWN])
        facts.note_pieces(pieces, unknown)
        for place in np.flatnonzero(facts.kinds[numbers] == _UNKNOWN).tolist():
            facts.note(int(numbers[place]), self._find(batch.files[place]))
        return facts.of(numbers)

    def _grow(self, batch: FileBatch) -> tuple[int, ColumnFacts]:
        """Make room for the files of a batch; those that were forgotten lose their entries."""
        first, old = self._held
        if batch.stop > first + len(old.kinds):
            new_first = max(first, batch.known.first)
            new = ColumnFacts.unknown(max(_FEWEST, 2 * (batch.stop - new_first)))
            kept = old.of(slice(new_first - first, None))
            size = len(kept.kinds)
            new.kinds[:size], new.starts[:size], new.rows[:size] = kept
            self._held = new_first, new
        return self._held
