"""Which part of large data is measured: some rows of some files, which a turn reads to their end."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import Int64Array

__all__ = ["Subset", "choose_part"]


_MOST_FILES = 64  # each is opened in each turn
_FEWEST_CHUNKS = 8  # of a file: the last one is decoded for fewer rows than it holds
_NEARLY_ALL = 0.7


@dataclass(frozen=True, slots=True, eq=False)
class Subset:
    """Some files, and the share of their rows, the first ones, that is used.

    Args:
        files: positions, ascending, ``(files,)``.
        share: in (0, 1].
    """

    files: Int64Array
    share: float

    def is_all(self, files: int) -> bool:
        """Whether nothing is left out of so many files."""
        return len(self.files) == files and self.share == 1


def choose_part(rows: Int64Array, wanted_rows: int, *, chunk_rows: int, is_divisible: bool = True) -> Subset:
    """About so many rows, from many files, evenly spaced.

    Args:
        rows: of each file, ``(files,)``.
        wanted_rows: how many.
        chunk_rows: rows that are decoded together.
        is_divisible: whether some rows of a file make samples.
    """
    most = min(_MOST_FILES, len(rows))
    if not is_divisible:
        count = math.ceil(len(rows) * wanted_rows / max(1, int(rows.sum())))
        return Subset(_spaced(len(rows), max(1, min(most, count))), 1.0)
    count = max(1, min(most, wanted_rows // (_FEWEST_CHUNKS * chunk_rows)))
    files = _spaced(len(rows), count)
    share = wanted_rows / max(1, int(rows[files].sum()))
    return Subset(files, share if share < _NEARLY_ALL else 1.0)


def _spaced(files: int, count: int) -> Int64Array:
    return np.arange(count, dtype=np.int64) * files // count
