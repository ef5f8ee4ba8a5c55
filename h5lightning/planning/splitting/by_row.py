"""Split by single rows: slices of one random order of all rows."""

from __future__ import annotations

import numpy as np

from h5lightning.planning.index import SampleRanges
from h5lightning.planning.selection import RandomSubset
from h5lightning.planning.splitting.candidates import Candidates
from h5lightning.planning.splitting.fractions import Fractions
from h5lightning.planning.splitting.split_plan import Segments

__all__ = ["by_row", "slice_rows"]


def by_row(candidates: Candidates, fractions: Fractions, key: int) -> dict[str, Segments]:
    """Split single rows at random."""
    series, rows = candidates.series, candidates.rows
    return {
        name: Segments(series, np.zeros_like(rows), rows, RandomSubset(key, slices))
        for name, slices in slice_rows(candidates.total, fractions).items()
    }


def slice_rows(total: int, fractions: Fractions) -> dict[str, SampleRanges]:
    """Slices of a random order of ``total`` rows: test first, then val, then train.

    With folds, the rows after test are cut into equal slices; val is one of them, train the others. A smaller
    train is the beginning of a larger one.
    """
    test = _count(total, fractions.test)
    start, stop = test, min(total, test + _count(total, fractions.val))
    if fractions.folds is not None:
        edges = (fractions.fold, fractions.fold + 1)
        start, stop = (test + (total - test) * edge // fractions.folds for edge in edges)
    left = total - test - (stop - start)
    train = left if fractions.train_takes_all else min(left, _count(total, fractions.train))
    before = min(train, start - test)
    return {
        "train": _ranges((test, test + before), (stop, stop + train - before)),
        "val": _ranges((start, stop)),
        "test": _ranges((0, test)),
    }


def _count(total: int, fraction: float) -> int:
    return min(total, max(1, int(total * fraction + 0.5))) if fraction > 0 else 0


def _ranges(*edges: tuple[int, int]) -> SampleRanges:
    starts, stops = np.asarray(edges, dtype=np.int64).T
    return SampleRanges(starts, stops).normalized()
