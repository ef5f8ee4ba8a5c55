"""Assign series that a saved split does not list to train, val or test: of new files, or new ones of known files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import Float64Array, Int64Array
from h5lightning.errors import SplitError
from h5lightning.options import Split
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.splitting.by_file import arrange
from h5lightning.planning.splitting.by_group import rows_of_groups
from h5lightning.planning.splitting.by_row import by_block
from h5lightning.planning.splitting.candidates import Candidates, Fractions
from h5lightning.planning.splitting.groups import Groups
from h5lightning.planning.splitting.row_groups import RowGroups
from h5lightning.planning.splitting.split_plan import SPLITS, Segments, SplitPlan

__all__ = ["KnownSeries", "place_new_rows", "place_new_series"]

_TARGETS = ("train", "unused", "val", "test")  # in the order of order="path"


@dataclass(frozen=True, slots=True, eq=False)
class KnownSeries:
    """A saved split, over an index that may have more series.

    Args:
        plan: the saved split, over its own index; its sizes count.
        parts: the same rows of each split, in series of the new index.
        series: the series of the new index that were divided, ascending.
    """

    plan: SplitPlan
    parts: Mapping[str, Segments]
    series: Int64Array


def place_new_series(
    index: SampleIndex, known: KnownSeries, new: Int64Array, split: Split, key: int, groups: Groups | None
) -> dict[str, Segments]:
    """The rows of new series in each split.

    A new series joins the split of the known series of its group, or with ``by="file"`` that of its file. All others go
    to train, or with ``on_new="split"`` are divided so that the totals, old rows included, come near to the requested
    fractions.

    Args:
        index: all files.
        known: what was divided before.
        new: the new series, ascending, ``(new,)``.
        split: its ``on_new``, ``order`` and ``gap`` are used.
        key: selects among equally good results.
        groups: the groups, where groups are kept together.
    """
    old, rows = known.plan, index.series_rows[new]
    if split.on_new == "split" and old.by == "block":
        train, val, test = (old.requested.get(name, 0.0) for name in SPLITS)
        fractions = Fractions(train, val, test, left=1.0 - val - test, gap=split.gap)
        return by_block(Candidates(new, rows, index.series_file[new]), fractions)
    item = _items(index, old.by, groups)
    target = _targets_of_items(known, item)[item[new]]
    free = target < 0
    if split.on_new == "split" and old.requested:
        totals = _totals(old) + np.bincount(target[~free], weights=rows[~free], minlength=len(_TARGETS))
        target[free] = _divide(rows[free], item[new][free], totals, old, split.order, key)
    target[target < 0] = _TARGETS.index("train")
    return {name: Segments.of_series(index, new[target == _TARGETS.index(name)]) for name in SPLITS}


def place_new_rows(
    known: KnownSeries, new: Int64Array, groups: RowGroups, split: Split, key: int
) -> dict[str, Segments]:
    """The rows of new series in each split, where rows of one value stay together.

    A row joins the split of the known rows of its group. Other groups go to train, or are divided; see
    `place_new_series`.

    Args:
        known: what was divided before.
        new: the new series, ascending, ``(new,)``.
        groups: the groups of the rows of all series that take part.
        split: its ``on_new`` and ``order`` are used.
        key: selects among equally good results.

    Raises:
        SplitError: rows of one group are in two splits, since values have changed.
    """
    is_new = np.isin(groups.series, new)
    weights = groups.bincount(is_new)
    target = _targets_of_groups(known, groups)
    free = np.flatnonzero((target < 0) & (weights > 0))
    if split.on_new == "split" and known.plan.requested:
        joined = target >= 0
        totals = _totals(known.plan)
        totals += np.bincount(target[joined], weights=weights[joined], minlength=len(_TARGETS))
        target[free] = _divide(weights[free], free, totals, known.plan, split.order, key)
    target[target < 0] = _TARGETS.index("train")
    numbers = {name: _TARGETS.index(name) for name in SPLITS}
    return rows_of_groups(groups.of_some(is_new), target, numbers)


def _targets_of_groups(known: KnownSeries, groups: RowGroups) -> Int64Array:
    """The target of each group, -1 for those without a known row."""
    target = np.full(len(groups), -1, np.int64)
    target[groups.bincount(np.isin(groups.series, known.series)) > 0] = _TARGETS.index("unused")
    for name, part in known.parts.items():
        own = groups.in_rows(part)
        taken = np.flatnonzero(own & (target >= 0) & (target != _TARGETS.index("unused")))
        if taken.size:
            group = int(taken[0])
            raise SplitError(
                f"split.keep_together={groups.keep_together!r}: {_TARGETS[target[group]]} and {name} of the saved "
                f"split both have rows with the value {groups.label(group)}: the values have changed since it was "
                "saved. Save the split again without manifest"
            )
        target[own] = _TARGETS.index(name)
    return target


def _items(index: SampleIndex, by: str, groups: Groups | None) -> Int64Array:
    """The number of what stays whole, for each series of the index; -1 for series that take no part."""
    if groups is not None:
        return groups.group
    return index.series_file if by == "file" else np.arange(len(index.series_rows))


def _totals(old: SplitPlan) -> Float64Array:
    """The old rows of each target; splits that were named explicitly have no fraction and do not count."""
    rows = {name: old.rows[name] for name in old.requested} | {"unused": old.unused_rows}
    return np.asarray([rows.get(name, 0) for name in _TARGETS], dtype=np.float64)


def _targets_of_items(known: KnownSeries, item: Int64Array) -> Int64Array:
    """The target of each item, -1 for those without a known series."""
    targets = np.full(int(item.max(initial=-1)) + 1, -1, dtype=np.int64)
    targets[item[known.series]] = _TARGETS.index("unused")
    for name, part in known.parts.items():
        targets[item[part.series]] = _TARGETS.index(name)
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
