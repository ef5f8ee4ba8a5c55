"""The subset of large data that is measured: the first rows of some files, small enough for whole epochs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import Int64Array

__all__ = ["Subset", "choose_subset"]


_MOST_FILES = 64  # each is opened in each trial
_FEWEST_CHUNKS = 8  # of a file: its last chunk is decoded for fewer rows than it holds
_NEARLY_ALL = 0.7


@dataclass(frozen=True, slots=True, eq=False)
class Subset:
    """Some files, and the share of their rows that is used, from the first row.

    Args:
        files: positions of the files, ascending, ``(files,)``.
        share: in (0, 1].
    """

    files: Int64Array
    share: float

    def is_all(self, files: int) -> bool:
        """Whether it holds all rows of all ``files``."""
        return len(self.files) == files and self.share == 1


def choose_subset(file_rows: Int64Array, rows: int, *, chunk_rows: int, is_divisible: bool = True) -> Subset:
    """About ``rows`` rows from many files, evenly spaced.

    Args:
        file_rows: rows of each file, ``(files,)``.
        rows: the number of rows to choose.
        chunk_rows: rows that are decoded together.
        is_divisible: whether some rows of a file make samples.
    """
    files, most = len(file_rows), min(_MOST_FILES, len(file_rows))
    if not is_divisible:
        count = math.ceil(files * rows / max(1, int(file_rows.sum())))
        return Subset(_spaced(files, max(1, min(most, count))), 1.0)
    chosen = _spaced(files, max(1, min(most, rows // (_FEWEST_CHUNKS * chunk_rows))))
    share = rows / max(1, int(file_rows[chosen].sum()))
    return Subset(chosen, share if share < _NEARLY_ALL else 1.0)


def _spaced(files: int, count: int) -> Int64Array:
    return np.arange(count, dtype=np.int64) * files // count
