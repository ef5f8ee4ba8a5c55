"""Assign files that a saved split does not list to train, val or test."""

from __future__ import annotations

import numpy as np

from h5lightning.core.arrays import Float64Array, Int64Array
from h5lightning.options import Split
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.splitting.by_file import arrange
from h5lightning.planning.splitting.by_row import by_block
from h5lightning.planning.splitting.candidates import Candidates, Fractions
from h5lightning.planning.splitting.split_plan import SPLITS, Segments, SplitPlan

__all__ = ["place_new_files"]

_TARGETS = ("train", "unused", "val", "test")  # in the order of order="path"


def place_new_files(
    index: SampleIndex, old: SplitPlan, new: Int64Array, split: Split, key: int, groups: Int64Array | None
) -> dict[str, Segments]:
    """The rows of new files in each split.

    A new file joins the split of the old files of its group. All other new files go to train, or with
    ``on_new="split"`` are divided so that the totals, old rows included, come near to the requested fractions.

    Args:
        index: all files.
        old: the plan of the old files, over the same index.
        new: the new files, ascending, ``(new,)``.
        split: its ``on_new``, ``order`` and ``gap`` are used.
        key: selects among equally good results.
        groups: the group of each file of the index, where groups are kept together.
    """
    series = Segments.of_files(index, new).series
    rows, file = index.series_rows[series], index.series_file[series]
    if split.on_new == "split" and old.by == "block":
        train, val, test = (old.requested.get(name, 0.0) for name in SPLITS)
        fractions = Fractions(train, val, test, left=1.0 - val - test, gap=split.gap)
        return by_block(Candidates(series, rows, file), fractions)
    target = np.full(len(series), -1, dtype=np.int64)
    if groups is not None:
        target = _targets_of_groups(index, old, groups)[groups[file]]
    free = target < 0
    if split.on_new == "split" and old.requested:
        item = series if old.by == "series" else (file if groups is None else groups[file])
        totals = _totals(old) + np.bincount(target[~free], weights=rows[~free], minlength=len(_TARGETS))
        target[free] = _divide(rows[free], item[free], totals, old, split.order, key)
    target[target < 0] = _TARGETS.index("train")
    return {name: Segments.of_series(index, series[target == _TARGETS.index(name)]) for name in SPLITS}


def _totals(old: SplitPlan) -> Float64Array:
    """The old rows of each target; splits that were named explicitly have no fraction and do not count."""
    rows = {name: old.rows[name] for name in old.requested} | {"unused": old.unused_rows}
    return np.asarray([rows.get(name, 0) for name in _TARGETS], dtype=np.float64)


def _targets_of_groups(index: SampleIndex, old: SplitPlan, groups: Int64Array) -> Int64Array:
    """The target of each group, -1 for those without an old file."""
    targets = np.full(int(groups.max(initial=-1)) + 1, -1, dtype=np.int64)
    targets[groups[old.files]] = _TARGETS.index("unused")
    for name, part in old.parts.items():
        targets[groups[part.files(index)]] = _TARGETS.index(name)
    return targets


def _divide(
    rows: Int64Array, item: Int64Array, totals: Float64Array, old: SplitPlan, order: str, key: int
) -> Int64Array:
    """The target of each series, so that ``totals`` and the new rows come near to the requested fractions."""
    _, number = np.unique(item, return_inverse=True)
    weights = np.bincount(number, weights=rows).astype(np.int64)
    fractions = dict(old.requested) | {"unused": max(0.0, 1.0 - sum(old.requested.values()))}
    goal = (totals.sum() + weights.sum()) * np.asarray([fractions.get(name, 0.0) for name in _TARGETS])
    lacking = np.maximum(goal - totals, 0.0)
    targets, nonempty = np.flatnonzero(lacking > 1e-9 * goal.sum()), np.flatnonzero(weights)
    target = np.full(len(weights), -1, dtype=np.int64)
    if nonempty.size:
        goals = tuple((lacking[targets] * (weights.sum() / lacking[targets].sum())).tolist())
        target[nonempty] = targets[arrange(weights[nonempty], goals, [False] * len(goals), order, key)]
    return target[number]
