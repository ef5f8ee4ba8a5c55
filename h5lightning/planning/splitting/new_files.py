"""Where the files go that a saved split does not know. What it knows stays where it is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from h5lightning.core.arrays import Float64Array, Int64Array
from h5lightning.options import Split
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.splitting.by_block import cut_blocks
from h5lightning.planning.splitting.by_file import arrange
from h5lightning.planning.splitting.fractions import Shares
from h5lightning.planning.splitting.split_plan import SPLITS, Segments, SplitPlan

__all__ = ["place_new_files"]

Parts = Mapping[str, Segments]

_PLACES = ("train", "unused", "val", "test")  # in the order of order="path"


def place_new_files(
    index: SampleIndex, known: SplitPlan, new: Int64Array, split: Split, key: int, groups: Int64Array | None
) -> dict[str, Segments]:
    """The rows of new files that go to each split.

    A new file joins the split of the known files of its group. All others go to train, or with
    ``on_new="split"`` are divided so that the totals, known rows included, come near to the known shares.

    Args:
        index: all files.
        known: the plan of the files that are known, over the same index.
        new: the other files, ascending, ``(new,)``.
        split: its ``on_new``, ``order`` and ``gap`` are used.
        key: selects among what is equally good.
        groups: the group of each file of the index, where groups are kept together.
    """
    series = Segments.of_files(index, new).series
    rows = index.series_rows[series]
    if split.on_new == "split" and known.by == "block":
        return cut_blocks(series, rows, _shares(known), split)
    file = index.series_file[series]
    place = np.full(len(series), -1, dtype=np.int64)
    if groups is not None:
        place = _places_of_groups(index, known, groups)[groups[file]]
    free = place < 0
    if split.on_new == "split" and known.requested:
        item = series if known.by == "series" else (file if groups is None else groups[file])
        totals = _totals(known) + np.bincount(place[~free], weights=rows[~free], minlength=len(_PLACES))
        place[free] = _divided(rows[free], item[free], totals, known, split.order, key)
    place[place < 0] = _PLACES.index("train")
    return {name: Segments.of_series(index, series[place == _PLACES.index(name)]) for name in SPLITS}


def _shares(known: SplitPlan) -> Shares:
    train, val, test = (known.requested.get(name, 0.0) for name in SPLITS)
    return Shares(train=train, val=val, test=test, left=1.0 - val - test)


def _totals(known: SplitPlan) -> Float64Array:
    """The known rows at each place; splits that were named explicitly have no share and do not count."""
    rows = {name: known.rows[name] for name in known.requested} | {"unused": known.unused_rows}
    return np.asarray([rows.get(name, 0) for name in _PLACES], dtype=np.float64)


def _places_of_groups(index: SampleIndex, known: SplitPlan, groups: Int64Array) -> Int64Array:
    """The place of each group, -1 for those without a known file."""
    places = np.full(int(groups.max(initial=-1)) + 1, -1, dtype=np.int64)
    places[groups[known.files]] = _PLACES.index("unused")
    for name, part in known.parts.items():
        places[groups[part.files(index)]] = _PLACES.index(name)
    return places


def _divided(
    rows: Int64Array,
    item: Int64Array,
    totals: Float64Array,
    known: SplitPlan,
    order: str,
    key: int,
) -> Int64Array:
    """The place of each series, chosen so that ``totals`` and the new rows come near to the known shares."""
    _, number = np.unique(item, return_inverse=True)
    weights = np.bincount(number, weights=rows).astype(np.int64)
    shares = dict(known.requested) | {"unused": max(0.0, 1.0 - sum(known.requested.values()))}
    goal = (totals.sum() + weights.sum()) * np.asarray([shares.get(name, 0.0) for name in _PLACES])
    lacking = np.maximum(goal - totals, 0.0)
    places, some = np.flatnonzero(lacking > 1e-9 * goal.sum()), np.flatnonzero(weights)
    found = np.full(len(weights), -1, dtype=np.int64)
    if some.size:
        targets = tuple((lacking[places] * (weights.sum() / lacking[places].sum())).tolist())
        found[some] = places[arrange(weights[some], targets, [False] * len(targets), order, key)]
    return found[number]
