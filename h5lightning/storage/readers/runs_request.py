"""Runs of rows, each of its own length, read into one buffer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from h5lightning.core.arrays import Int64Array, flat_positions
from h5lightning.storage.readers.protocol import ReadRequest

__all__ = ["RunsRequest"]

_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class RunsRequest(ReadRequest):
    """Runs of consecutive rows of different lengths: the rows from ``rows[i]`` go to ``out[slots[i]]`` and after it.

    Here, the buffer has a slot for each row, and ``run`` is 1. See `ReadRequest`.

    Args:
        counts: rows of each entry, at least one, ``(N,)``.
    """

    counts: Int64Array = field(default_factory=lambda: _NONE)

    @property
    def row_count(self) -> int:
        """How many rows it reads."""
        return int(self.counts.sum())

    def by_row(self) -> ReadRequest:
        """The same rows for the same places of the buffer, each as an entry of its own."""
        ends = np.concatenate([[0], np.cumsum(self.counts)])
        return ReadRequest(
            self.source,
            ends[self.borders],
            flat_positions(self.rows, self.counts),
            flat_positions(self.slots, self.counts),
            self.out,
        )

    def of(self, files: Sequence[int]) -> RunsRequest:
        """The entries of some of the files, given by their ascending numbers in this request."""
        which = flat_positions(self.borders[:-1][list(files)], self.sizes[list(files)])
        return replace(
            self,
            borders=np.concatenate([[0], np.cumsum(self.sizes[list(files)])]),
            rows=self.rows[which],
            slots=self.slots[which],
            counts=self.counts[which],
        )
