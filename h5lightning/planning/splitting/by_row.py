"""Single rows → train, val and test: slices of one random order of all rows."""

from __future__ import annotations

import numpy as np

from h5lightning.options import Split
from h5lightning.planning.index import SampleRanges
from h5lightning.planning.splitting.fractions import Shares

__all__ = ["slice_rows"]


def slice_rows(total: int, shares: Shares, split: Split) -> dict[str, SampleRanges]:
    """Positions of a random order of ``total`` rows: test first, then val, then train.

    With folds, what test leaves is cut in equal slices; train are those around val. A smaller train is the
    beginning of a larger one.
    """
    test = _count(total, shares.test)
    start, stop = test, min(total, test + _count(total, shares.val))
    if split.folds is not None and split.fold is not None:
        start, stop = (test + (total - test) * edge // split.folds for edge in (split.fold, split.fold + 1))
    left = total - test - (stop - start)
    train = left if shares.train_takes_all else min(left, _count(total, shares.train))
    before = min(train, start - test)
    return {
        "train": _ranges((test, test + before), (stop, stop + train - before)),
        "val": _ranges((start, stop)),
        "test": _ranges((0, test)),
    }


def _count(total: int, share: float) -> int:
    return min(total, max(1, int(total * share + 0.5))) if share > 0 else 0


def _ranges(*edges: tuple[int, int]) -> SampleRanges:
    starts, stops = np.asarray(edges, dtype=np.int64).T
    return SampleRanges(starts, stops).merged()
