"""Split inside series: each is cut in order, with gaps, or single rows of all are drawn at random.

By block, the fraction of a row that is cut off in one series is carried to the next, so that the totals are right for
many short series too.
"""

from __future__ import annotations

import numpy as np

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.planning.index import SampleRanges
from h5lightning.planning.selection import RandomSubset
from h5lightning.planning.splitting.candidates import Candidates, Fractions
from h5lightning.planning.splitting.split_plan import Segments

__all__ = ["by_block", "by_row", "slice_rows"]

_GOLDEN = 0.6180339887498949  # multiples of it, modulo 1, fill the unit interval evenly


def by_block(candidates: Candidates, fractions: Fractions, _key: int = 0) -> dict[str, Segments]:
    """Cut each series in order.

    Test and val get their fractions; the gaps are taken from train. In a series that is too short for all of
    them, test comes first, then val.
    """
    series, rows, gap = candidates.series, candidates.rows, fractions.gap
    test = _carried(rows, fractions.test)
    before_test = np.maximum(rows - test - gap * (test > 0), 0)
    if fractions.folds is None:
        fraction = fractions.val / (1.0 - fractions.test) if fractions.val else 0.0
        length = np.minimum(_carried(rows - test, fraction), before_test)
        val = before_test - length, before_test
    else:
        val = _fold(before_test, fractions.folds, fractions.fold)
    before, after = _around(*val, before_test, gap)
    if not fractions.train_takes_all:
        before, after = _thinned(before, after, fractions.train * float(rows.sum()))
    return {
        "train": _segments(series, before, after, keep=rows == 0),
        "val": _segments(series, val),
        "test": _segments(series, (rows - test, rows)),
    }


Run = tuple[Int64Array, Int64Array]  # first row and one past the last row in each series


def _carried(rows: Int64Array, fraction: float) -> Int64Array:
    """A fraction of the rows of each series, at most all of them; the total is exact to one row."""
    total = np.floor(np.cumsum(rows) * fraction + 0.5).astype(np.int64)
    taken: Int64Array = np.diff(total, prepend=0)
    if fraction > 0 and rows.size and not total[-1]:
        longest = int(np.argmax(rows))
        taken[longest] = min(1, int(rows[longest]))
    return taken


def _fold(rows: Int64Array, folds: int, fold: int) -> Run:
    """One of the equal folds of each series.

    The rows of a series beyond a multiple of ``folds`` go to the folds in turn, starting where the series before
    stopped, so that the totals of the folds differ by one row at most.
    """
    each, extra = np.divmod(rows, folds)
    first_extra = (np.cumsum(extra) - extra) % folds

    def edge(part: int) -> Int64Array:
        wrapped = np.maximum(np.minimum(part, first_extra + extra - folds), 0)
        first: Int64Array = part * each + wrapped + np.clip(part - first_extra, 0, extra)
        return first

    return edge(fold), edge(fold + 1)


def _around(start: Int64Array, stop: Int64Array, rows: Int64Array, gap: int) -> tuple[Run, Run]:
    """The rows before and after a part and the gaps beside it; all rows where the part is empty."""
    margin = np.where(stop > start, gap, 0)
    first, last = np.maximum(start - margin, 0), np.minimum(stop + margin, rows)
    return (np.zeros_like(rows), first), (last, rows)


def _thinned(before: Run, after: Run, target: float) -> tuple[Run, Run]:
    """The first rows of each series' runs, about ``target`` rows over all series.

    Each series rounds with its own offset, which does not depend on the fraction: a smaller train is a subset of
    a larger one.
    """
    lengths = before[1] - before[0], after[1] - after[0]
    available = lengths[0] + lengths[1]
    kept_fraction = min(1.0, target / max(1, int(available.sum())))
    offset = (0.5 + _GOLDEN * np.arange(available.size)) % 1.0
    kept = np.minimum(np.floor(available * kept_fraction + offset).astype(np.int64), available)
    first = np.minimum(kept, lengths[0])
    return (before[0], before[0] + first), (after[0], after[0] + kept - first)


def _segments(series: Int64Array, *runs: Run, keep: BoolArray | None = None) -> Segments:
    """The runs that are not empty, touching ones joined; series in ``keep`` keep their first run even if empty."""
    number = np.repeat(series, len(runs))
    start = np.stack([run[0] for run in runs], axis=1).ravel()
    stop = np.stack([run[1] for run in runs], axis=1).ravel()
    kept = stop > start
    if keep is not None:
        kept[:: len(runs)] |= keep
    number, start, stop = number[kept], start[kept], stop[kept]
    joins = (number[1:] == number[:-1]) & (start[1:] == stop[:-1])
    opens, closes = np.concatenate([[True], ~joins]), np.concatenate([~joins, [True]])
    size = number.size
    return Segments(number[opens[:size]], start[opens[:size]], stop[closes[:size]])


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
