"""Where the samples of a batch are: their files, sorted, and their rows in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.planning.index import SampleIndex

__all__ = ["FilePaths", "LocatedBatch"]

_MOST_PATHS = 131_072  # about 150 bytes each


@dataclass(frozen=True, slots=True, eq=False)
class LocatedBatch:
    """The samples of a batch, sorted by file and row.

    Args:
        files: numbers of their files, ``(files,)``.
        paths: their paths.
        borders: where the samples of each file begin, and the last ones end, ``(files + 1,)``.
        rows: first row of each sample, ``(N,)``.
        slots: its index in the batch, ``(N,)``.
    """

    files: Int64Array
    paths: list[str]
    borders: Int64Array
    rows: Int64Array
    slots: Int64Array

    @classmethod
    def of(cls, ids: Int64Array, paths: FilePaths) -> LocatedBatch:
        """Locate samples by their numbers in the index, ``(N,)``."""
        # Ids count file by file, row by row.
        slots = np.argsort(ids)
        files, borders, rows = paths.index.locate_ascending(ids[slots])
        return cls(files, paths.of(files.tolist()), borders, rows, slots)

    @property
    def sizes(self) -> Int64Array:
        """Samples of each file, ``(files,)``."""
        return self.borders[1:] - self.borders[:-1]


class FilePaths:
    """The paths of the files of an index, cached, since making a path takes longer than reading a row."""

    def __init__(self, index: SampleIndex) -> None:
        self.index = index
        self._kept: dict[int, str] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.index,)

    def of(self, files: Sequence[int]) -> list[str]:
        """The path of each file."""
        kept = self._kept
        try:
            return [kept[file] for file in files]
        except KeyError:
            if len(kept) > _MOST_PATHS:
                # A new dict: another thread may be reading the old one, to which nothing but paths is added.
                kept = self._kept = {}
            for file in files:
                if file not in kept:
                    kept[file] = self.index.path(file)
            return [kept[file] for file in files]
