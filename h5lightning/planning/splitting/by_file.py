"""Split by whole items: files, series, or groups of files."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.permutation import KeyedPermutation, derive_key
from h5lightning.planning.splitting.candidates import Candidates, Fractions
from h5lightning.planning.splitting.partition import assign, cut_in_order, cut_nearest, parts_of
from h5lightning.planning.splitting.split_plan import Segments

__all__ = ["Pieces", "arrange", "by_item", "divide", "thin"]


def by_item(by: str, candidates: Candidates, fractions: Fractions, key: int) -> dict[str, Segments] | None:
    """Keep files or groups of files (``by="file"``), or series, whole; None if there are too few."""
    item, weights = candidates.items(by)
    pieces = divide(weights, fractions, key)
    if pieces is None or (fractions.must_be_near and not pieces.is_near(weights)):
        return None
    members = {name: pieces.members(name) for name in fractions.requested}
    if "train" in members:
        train = members["train"]
        if not fractions.train_takes_all:
            target = fractions.train * candidates.total
            train = train[thin(weights[train], target, fractions.order, derive_key(key, "train"))]
        # Series without rows go with train, so that each file is in the list of some split.
        members["train"] = np.append(train, -1)
    return {name: candidates.whole(np.isin(item, chosen)) for name, chosen in members.items()}


class Pieces(NamedTuple):
    """Items in pieces, each of which belongs to one split.

    Args:
        piece: the piece of each item, ``(items,)``.
        splits: the split of each piece; with folds, several pieces are train.
        targets: weight that each piece should have.
    """

    piece: Int64Array
    splits: tuple[str, ...]
    targets: tuple[float, ...]

    def is_near(self, weights: Int64Array) -> bool:
        """Whether every piece has at least half and at most twice the weight that it should have."""
        ratio = np.bincount(self.piece, weights=weights, minlength=len(self.targets)) / self.targets
        return bool(np.all((ratio >= 0.5 - 1e-9) & (ratio <= 2.0 + 1e-9)))

    def members(self, name: str) -> Int64Array:
        """The items of one split, ascending."""
        pieces = [piece for piece, split in enumerate(self.splits) if split == name]
        return np.flatnonzero(np.isin(self.piece, pieces))


def divide(weights: Int64Array, fractions: Fractions, key: int) -> Pieces | None:
    """Divide items as near to the fractions as possible.

    Without folds, all splits are found together. With folds the test items are found first, independently of the
    number of folds.

    Args:
        weights: rows of each item, at least 1, in path order, ``(items,)``.
        fractions: the fraction of each split.
        key: selects among equally good divisions.

    Returns:
        The pieces, or None if there are fewer items than splits.
    """
    if fractions.folds is not None:
        return _divide_in_folds(weights, fractions, fractions.folds, key)
    if len(weights) < len(fractions.requested):
        return None
    by_split = {"train": fractions.left, "val": fractions.val, "test": fractions.test}
    goals = {name: fraction * float(weights.sum()) for name, fraction in by_split.items() if fraction > 0}
    required = [name in fractions.requested for name in goals]
    targets = tuple(goals.values())
    return Pieces(arrange(weights, targets, required, fractions.order, key), tuple(goals), targets)


def _divide_in_folds(weights: Int64Array, fractions: Fractions, folds: int, key: int) -> Pieces | None:
    outer = divide(weights, fractions.without_val(), key)
    inner = outer.members("train") if outer is not None else np.zeros(0, dtype=np.int64)
    if outer is None or len(inner) < folds:
        return None
    targets = (float(weights[inner].sum()) / folds,) * folds
    piece = np.full(len(weights), folds, dtype=np.int64)
    key = derive_key(key, "folds", folds)
    piece[inner] = arrange(weights[inner], targets, [True] * folds, fractions.order, key)
    splits = ("val" if number == fractions.fold else "train" for number in range(folds))
    return Pieces(piece, (*splits, *outer.splits[1:]), (*targets, *outer.targets[1:]))


def arrange(
    weights: Int64Array, targets: tuple[float, ...], required: list[bool], order: str, key: int
) -> Int64Array:
    """The part of each item: at random, or with ``order="path"`` contiguous and ascending."""
    if order == "path":
        return parts_of(cut_in_order(weights, targets, required))
    return assign(weights, targets, required, key)


def thin(weights: Int64Array, target: float, order: str, key: int) -> Int64Array:
    """The items to keep, ascending, with about ``target`` rows, at least one: the first in path order, or random ones.

    A smaller selection is a subset of a larger one.
    """
    items = np.arange(len(weights))
    if order == "random":
        items = KeyedPermutation(len(weights), key)(items)
    unused = max(0.0, float(weights.sum()) - target)
    bounds = cut_nearest(weights[items], (target, unused), (True, False))
    return np.sort(items[: bounds[1]])
