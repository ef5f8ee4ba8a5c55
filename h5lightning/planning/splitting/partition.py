"""Assign items with weights to parts, so that the totals of the parts are nearest to targets.

An item is a file, a series or a group of files; its weight is its rows. A few items are solved exactly, by trying
all assignments; many by local search from a random start, in O(n log n) per round. Both depend only on the numbers
and a key.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from h5lightning.core.arrays import BoolArray, Float64Array, Int64Array
from h5lightning.core.permutation import KeyedPermutation, derive_key

__all__ = ["assign", "cut_in_order", "cut_nearest", "parts_of"]

_MOST_TRIALS = 3**12  # assignments to try: 12 items in 3 parts, about 20 ms
_STARTS = 12
_MOST_ROUNDS = 200
_TOLERANCE = 1e-9  # of the total weight: closer costs differ by rounding only


def assign(weights: Int64Array, targets: Sequence[float], required: Sequence[bool], key: int) -> Int64Array:
    """A random assignment of items to parts whose totals are as near to the targets as possible.

    Minimises the sum over the parts of |total weight − target|, then the sum of its squares: exactly if there
    are few items (12 in 3 parts, 19 in 2), and then each of the best assignments is equally likely; otherwise
    by local search.

    Args:
        weights: weight of each item, at least 1, ``(n,)``.
        targets: total weight that each part should have; they sum to the weight of all items.
        required: whether each part needs an item; at most n of them do.
        key: selects among equally good assignments.

    Returns:
        The part of each item, ``(n,)``.
    """
    goal = np.asarray(targets, dtype=np.float64)
    needed = np.asarray(required, dtype=np.bool_)
    if len(goal) == 1:
        return np.zeros(len(weights), dtype=np.int64)
    if len(weights) * math.log(len(goal)) <= math.log(_MOST_TRIALS) + _TOLERANCE:
        return _best_of_all(weights, goal, needed, derive_key(key, "choice"))
    return _best_found(weights, goal, needed, key)


def _best_of_all(weights: Int64Array, targets: Float64Array, required: BoolArray, key: int) -> Int64Array:
    parts = len(targets)
    totals = np.zeros((parts, 1), dtype=np.int64)
    filled = np.zeros(1, dtype=np.int64)  # bit p: part p has an item
    for weight in weights.tolist():
        grown = [totals + weight * (np.arange(parts) == p)[:, None] for p in range(parts)]
        totals = np.concatenate(grown, axis=1)
        filled = np.concatenate([filled | (1 << p) for p in range(parts)])
    needed = int(required @ (1 << np.arange(parts)))
    allowed = np.flatnonzero((filled & needed) == needed)
    excess = (totals[:, allowed] - targets[:, None]) / weights.sum()
    nearest = _least(np.abs(excess).sum(axis=0))
    most_even = nearest[_least(np.square(excess[:, nearest]).sum(axis=0))]
    chosen = int(allowed[most_even[key % most_even.size]])
    return np.asarray([chosen // parts**item % parts for item in range(len(weights))], dtype=np.int64)


def _least(costs: Float64Array) -> Int64Array:
    return np.flatnonzero(costs <= costs.min() + _TOLERANCE)


def _best_found(weights: Int64Array, targets: Float64Array, required: BoolArray, key: int) -> Int64Array:
    """The best of several local optima, each from a random order of the items cut at the targets."""
    best, least = np.zeros(len(weights), dtype=np.int64), np.inf
    for start in range(max(1, min(_STARTS, _MOST_TRIALS // len(weights)))):
        order = KeyedPermutation(len(weights), derive_key(key, "start", start))(np.arange(len(weights)))
        # The order is random, so that no choice below prefers one of several items of equal weight.
        part = _improve(weights[order], targets, required)
        cost = float(np.abs(_excess(weights[order], part, targets)).sum())
        if cost < least - _TOLERANCE * float(weights.sum()):
            best[order], least = part, cost
        if least < len(targets):
            break  # totals are whole numbers: within one row each, there is almost nothing to gain
    return best


def _improve(weights: Int64Array, targets: Float64Array, required: BoolArray) -> Int64Array:
    part = parts_of(cut_nearest(weights, targets.tolist(), required.tolist()))
    for _ in range(_MOST_ROUNDS):
        transfers = _useful_transfers(_excess(weights, part, targets))
        if not any(_transfer(weights, part, transfer, required) for transfer in transfers):
            break
    return part


class _Transfer(NamedTuple):
    """A part that should give weight to another; a net weight between ``least`` and ``most`` gains most."""

    giver: int
    taker: int
    least: float
    most: float


def _useful_transfers(excess: Float64Array) -> list[_Transfer]:
    """The transfers to try: first those that bring two parts nearer to their targets, then those that even out two.

    An exchange changes totals by at least 1, so that smaller differences cannot be improved.
    """
    ascending = np.argsort(excess, kind="stable").tolist()
    pairs = [(giver, taker) for giver in reversed(ascending) for taker in ascending]
    useful = [(giver, taker) for giver, taker in pairs if excess[giver] - excess[taker] > 1]
    nearer, more_even = [], []
    for giver, taker in useful:
        surplus, shortage = float(excess[giver]), float(-excess[taker])
        if surplus > 0 and shortage > 0:
            nearer.append(_Transfer(giver, taker, min(surplus, shortage), max(surplus, shortage)))
        else:
            half = (surplus + shortage) / 2
            more_even.append(_Transfer(giver, taker, half, half))
    return nearer + more_even


def _transfer(weights: Int64Array, part: Int64Array, transfer: _Transfer, required: BoolArray) -> bool:
    """Carry out a transfer in place, as well as the items allow; return whether it gained anything."""
    givers, takers = np.flatnonzero(part == transfer.giver), np.flatnonzero(part == transfer.taker)
    spare = givers.size - int(required[transfer.giver])
    small = _small_items(weights[givers], transfer.least)[:spare]
    if small.size > 1:
        part[givers[small]] = transfer.taker
        return True
    given, taken, gain = _best_exchange(weights[givers], weights[takers], transfer, may_give=spare > 0)
    if gain <= _TOLERANCE * float(weights.sum()):
        return False
    part[givers[given]] = transfer.taker
    if taken >= 0:
        part[takers[taken]] = transfer.giver
    return True


def _small_items(weights: Int64Array, room: float) -> Int64Array:
    """Items that fit into the room together, in their order: one step instead of thousands."""
    small = np.flatnonzero(weights <= room)
    return small[: int(np.searchsorted(np.cumsum(weights[small]), room, side="right"))]


def _best_exchange(
    given: Int64Array, taken: Int64Array, transfer: _Transfer, *, may_give: bool
) -> tuple[int, int, float]:
    """The item to give, the item to take for it (-1 for none), and the gain.

    The gain is greatest for a net weight between ``least`` and ``most`` and falls on both sides. So the best
    partner of each item is one of the two around ``weight - least``.
    """
    order = np.argsort(taken, kind="stable")
    ascending = taken[order]
    if may_give:
        order, ascending = np.concatenate([[-1], order]), np.concatenate([[0], ascending])
    if not given.size or not ascending.size:
        return 0, -1, 0.0
    above = np.searchsorted(ascending, given - transfer.least, side="right")
    partner = np.stack([above - 1, above]).clip(0, ascending.size - 1)
    net = given - ascending[partner]
    gain = transfer.least + transfer.most - np.abs(transfer.least - net) - np.abs(transfer.most - net)
    best = int(np.argmax(gain))
    return best % given.size, int(order[partner.flat[best]]), float(gain.flat[best])


def _excess(weights: Int64Array, part: Int64Array, targets: Float64Array) -> Float64Array:
    return np.bincount(part, weights=weights, minlength=len(targets)) - targets


def cut_nearest(weights: Int64Array, targets: Sequence[float], required: Sequence[bool]) -> Int64Array:
    """Cut a sequence where its running totals are nearest to those of the targets.

    Args:
        weights: weight of each item, at least 1, ``(n,)``.
        targets: total weight that each part should have.
        required: whether each part needs an item; at most n of them do.

    Returns:
        The items of part p are ``[bounds[p], bounds[p + 1])``; ``(parts + 1,)``.
    """
    ends = np.concatenate([[0], np.cumsum(weights)])
    goals = np.cumsum(np.asarray(targets, dtype=np.float64))[:-1]
    above = np.searchsorted(ends, goals).clip(1, len(weights))
    cuts = above - (goals - ends[above - 1] < ends[above] - goals)
    needed = np.cumsum(np.asarray(required, dtype=np.int64))
    cuts = np.maximum.accumulate(np.maximum(cuts - needed[:-1], 0)) + needed[:-1]
    cuts = np.minimum(cuts, len(weights) - (needed[-1] - needed[:-1]))
    return np.concatenate([[0], cuts, [len(weights)]]).astype(np.int64)


def cut_in_order(weights: Int64Array, targets: Sequence[float], required: Sequence[bool]) -> Int64Array:
    """Cut a sequence with the least sum of |total weight − target|; four and more parts as `cut_nearest` does.

    Args and result are those of `cut_nearest`.
    """
    items, parts = len(weights), len(targets)
    if parts != 3:
        return cut_nearest(weights, targets, required)
    needed = np.asarray(required, dtype=np.int64)
    ends = np.concatenate([[0], np.cumsum(weights)])
    first = np.arange(needed[0], items - needed[1] - needed[2] + 1)
    # For a given first cut, the deviation is convex in the running total at the second cut and least between
    # two values, so that the best second cut is next to the smaller value.
    low = np.minimum(ends[first] + targets[1], ends[-1] - targets[2])
    above = np.searchsorted(ends, low)
    second = np.stack([above - 1, above]).clip(first + needed[1], items - needed[2])
    cost = (
        np.abs(ends[first] - targets[0])
        + np.abs(ends[second] - ends[first] - targets[1])
        + np.abs(ends[-1] - ends[second] - targets[2])
    )
    best = int(np.argmin(cost))
    return np.asarray([0, first[best % first.size], second.flat[best], items], dtype=np.int64)


def parts_of(bounds: Int64Array) -> Int64Array:
    """The part of each item, ``(n,)``, from the bounds of the parts, ``(parts + 1,)``."""
    return np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
