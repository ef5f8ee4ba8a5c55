"""Whole items (files, series or groups of files) → train, val and test."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.permutation import KeyedPermutation, derive_key
from h5lightning.options import Split
from h5lightning.planning.splitting.fractions import Shares
from h5lightning.planning.splitting.partition import assign, cut_in_order, cut_nearest, parts_of

__all__ = ["Pieces", "arrange", "divide", "thin"]


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


def divide(weights: Int64Array, shares: Shares, split: Split, key: int) -> Pieces | None:
    """Divide items as near to the shares as possible.

    Test, val and what they leave are found together. With folds the test items are found first, without
    knowing how many folds there are.

    Args:
        weights: rows of each item, at least 1, in path order, ``(items,)``.
        shares: what each split should get.
        split: its ``order``, ``folds`` and ``fold`` are used.
        key: selects among what is equally good.

    Returns:
        The pieces, or None if the items are too few to leave no split empty.
    """
    if split.folds is not None:
        return _divide_in_folds(weights, shares, split, key)
    if len(weights) < len(shares.wanted):
        return None
    wanted = {"train": shares.left, "val": shares.val, "test": shares.test}
    wanted = {name: share * float(weights.sum()) for name, share in wanted.items() if share > 0}
    required = [name in shares.wanted for name in wanted]
    targets = tuple(wanted.values())
    return Pieces(arrange(weights, targets, required, split.order, key), tuple(wanted), targets)


def _divide_in_folds(weights: Int64Array, shares: Shares, split: Split, key: int) -> Pieces | None:
    folds = split.folds or 1
    undivided = replace(split, train=None, val=None, folds=None, fold=None)
    outer = divide(weights, shares.without_val(), undivided, key)
    rest = outer.members("train") if outer is not None else np.zeros(0, dtype=np.int64)
    if outer is None or len(rest) < folds:
        return None
    targets = (float(weights[rest].sum()) / folds,) * folds
    piece = np.full(len(weights), folds, dtype=np.int64)
    key = derive_key(key, "folds", folds)
    piece[rest] = arrange(weights[rest], targets, [True] * folds, split.order, key)
    splits = ("val" if number == split.fold else "train" for number in range(folds))
    return Pieces(piece, (*splits, *outer.splits[1:]), (*targets, *outer.targets[1:]))


def arrange(
    weights: Int64Array, targets: tuple[float, ...], required: list[bool], order: str, key: int
) -> Int64Array:
    """The part of each item: at random, or with ``order="path"`` contiguous and ascending."""
    if order == "path":
        return parts_of(cut_in_order(weights, targets, required))
    return assign(weights, targets, required, key)


def thin(weights: Int64Array, target: float, order: str, key: int) -> Int64Array:
    """Some of the items; fewer are a subset of more.

    Args:
        weights: rows of each item, at least 1, in path order, ``(items,)``; at least one item.
        target: rows to keep.
        order: ``path`` to keep the first items, ``random`` for a random choice.
        key: selects the random choice.

    Returns:
        The items that are kept, ascending; at least one.
    """
    items = np.arange(len(weights))
    if order == "random":
        items = KeyedPermutation(len(weights), key)(items)
    unused = max(0.0, float(weights.sum()) - target)
    bounds = cut_nearest(weights[items], (target, unused), (True, False))
    return np.sort(items[: bounds[1]])
