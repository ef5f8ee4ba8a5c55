"""Where the chunks of the datasets of many files begin, without a copy of what is known of large files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from h5lightning.core.arrays import Int64Array

__all__ = ["ChunkStarts"]

# A table for all files is looked up at once, but made again for each set of files.
_MOST_IN_A_TABLE = 1 << 16


class ChunkStarts:
    """The first bytes of the chunks of several datasets.

    Args:
        starts: of the chunks of each chunk row of each dataset, ``(chunk rows, columns)`` each.
    """

    def __init__(self, starts: Sequence[Int64Array]) -> None:
        self._starts = starts
        counts = np.asarray([len(one) for one in starts])
        self._firsts = np.cumsum(counts) - counts
        is_small = int(counts.sum()) * starts[0].shape[1] <= _MOST_IN_A_TABLE
        self._table = np.concatenate(starts) if is_small else None

    def of(self, datasets: Int64Array, chunk_rows: Int64Array) -> Int64Array:
        """The starts of the chunks of some chunk rows, ``(N, columns)``.

        Args:
            datasets: numbers of datasets, ascending, ``(N,)``.
            chunk_rows: numbers of chunk rows in these datasets, ``(N,)``.
        """
        if self._table is not None:
            found: Int64Array = self._table[self._firsts[datasets] + chunk_rows]
            return found
        borders = np.flatnonzero(np.diff(datasets, prepend=-1))
        parts = np.split(chunk_rows, borders[1:])
        return np.concatenate(
            [
                self._starts[dataset][part]
                for dataset, part in zip(datasets[borders].tolist(), parts, strict=True)
            ]
        )
