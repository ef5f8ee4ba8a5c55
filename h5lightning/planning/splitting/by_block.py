"""Cut every series in order: train, val, test, with a gap between them.

What is a fraction of a row in one series is carried to the next, so that the totals are right for many short
series too.
"""

from __future__ import annotations

import numpy as np

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.options import Split
from h5lightning.planning.splitting.fractions import Shares
from h5lightning.planning.splitting.split_plan import Segments

__all__ = ["cut_blocks"]


_GOLDEN = 0.6180339887498949  # multiples of it, modulo 1, fill the unit interval evenly


def cut_blocks(series: Int64Array, rows: Int64Array, shares: Shares, split: Split) -> dict[str, Segments]:
    """The rows of train, val and test in each series.

    Test and val get their shares; the gaps are taken from train. Where a series is too short for all of them,
    test comes first, then val.

    Args:
        series: number of each series in the index, ascending, ``(series,)``.
        rows: rows of each series, ``(series,)``.
        shares: what each split should get.
        split: its ``gap``, ``folds`` and ``fold`` are used.
    """
    test = _carried(rows, shares.test)
    rest = np.maximum(rows - test - split.gap * (test > 0), 0)
    if split.folds is None:
        share = shares.val / (1.0 - shares.test) if shares.val else 0.0
        length = np.minimum(_carried(rows - test, share), rest)
        val = rest - length, rest
    else:
        val = _fold(rest, split.folds, split.fold or 0)
    before, after = _around(*val, rest, split.gap)
    if not shares.train_takes_all:
        before, after = _thinned(before, after, shares.train * float(rows.sum()))
    return {
        "train": _segments(series, before, after, keep=rows == 0),
        "val": _segments(series, val),
        "test": _segments(series, (rows - test, rows)),
    }


Run = tuple[Int64Array, Int64Array]  # first row and one past the last row in each series


def _carried(rows: Int64Array, share: float) -> Int64Array:
    """A share of the rows of each series, at most all of them; the total is within one row of the share."""
    total = np.floor(np.cumsum(rows) * share + 0.5).astype(np.int64)
    taken: Int64Array = np.diff(total, prepend=0)
    if share > 0 and rows.size and not total[-1]:
        longest = int(np.argmax(rows))
        taken[longest] = min(1, int(rows[longest]))
    return taken


def _fold(rows: Int64Array, folds: int, fold: int) -> Run:
    """One of the equal parts of each series.

    The rows that a series has beyond a multiple of ``folds`` are dealt round, from where the series before
    stopped, so that the totals of the parts differ by one row at most.
    """
    each, extra = np.divmod(rows, folds)
    dealt = (np.cumsum(extra) - extra) % folds

    def edge(part: int) -> Int64Array:
        wrapped = np.maximum(np.minimum(part, dealt + extra - folds), 0)
        first: Int64Array = part * each + wrapped + np.clip(part - dealt, 0, extra)
        return first

    return edge(fold), edge(fold + 1)


def _around(start: Int64Array, stop: Int64Array, rows: Int64Array, gap: int) -> tuple[Run, Run]:
    """What a part and the gaps beside it leave of each series; all of it if the part has no row there."""
    margin = np.where(stop > start, gap, 0)
    first, last = np.maximum(start - margin, 0), np.minimum(stop + margin, rows)
    return (np.zeros_like(rows), first), (last, rows)


def _thinned(before: Run, after: Run, target: float) -> tuple[Run, Run]:
    """The first rows of each series' runs, about ``target`` rows over all series.

    Each series rounds with an offset of its own that does not depend on the share: a smaller train is a
    subset of a larger one.
    """
    lengths = before[1] - before[0], after[1] - after[0]
    available = lengths[0] + lengths[1]
    kept_share = min(1.0, target / max(1, int(available.sum())))
    offset = (0.5 + _GOLDEN * np.arange(available.size)) % 1.0
    kept = np.minimum(np.floor(available * kept_share + offset).astype(np.int64), available)
    first = np.minimum(kept, lengths[0])
    return (before[0], before[0] + first), (after[0], after[0] + kept - first)


def _segments(series: Int64Array, *runs: Run, keep: BoolArray | None = None) -> Segments:
    """The runs that are not empty, touching ones joined; ``keep``: series whose first run stays even if it is."""
    number = np.repeat(series, len(runs))
    start = np.stack([run[0] for run in runs], axis=1).ravel()
    stop = np.stack([run[1] for run in runs], axis=1).ravel()
    some = stop > start
    if keep is not None:
        some[:: len(runs)] |= keep
    number, start, stop = number[some], start[some], stop[some]
    joins = (number[1:] == number[:-1]) & (start[1:] == stop[:-1])
    opens, closes = np.concatenate([[True], ~joins]), np.concatenate([~joins, [True]])
    size = number.size
    return Segments(number[opens[:size]], start[opens[:size]], stop[closes[:size]])
