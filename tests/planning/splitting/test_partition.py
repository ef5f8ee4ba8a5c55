"""Partitioning: items with weights → parts nearest to targets."""

import itertools
from collections import Counter

import numpy as np
import pytest

from h5lightning.planning.splitting.partition import assign, cut_in_order, cut_nearest, parts_of


def deviation(weights, part, targets):
    return sum(
        abs(sum(w for w, p in zip(weights, part, strict=True) if p == t) - goal)
        for t, goal in enumerate(targets)
    )


def least_deviation(weights, targets, required):
    """The optimum by trying everything, written without a thought for speed."""
    best = float("inf")
    for part in itertools.product(range(len(targets)), repeat=len(weights)):
        if all(p in part for p, is_required in enumerate(required) if is_required):
            best = min(best, deviation(weights, part, targets))
    return best


def least_cut(weights, targets, required):
    """The optimum over all ways to cut a sequence."""
    best, items = float("inf"), len(weights)
    for cuts in itertools.combinations_with_replacement(range(items + 1), len(targets) - 1):
        bounds = [0, *cuts, items]
        sizes = [b - a for a, b in itertools.pairwise(bounds)]
        if all(size or not is_required for size, is_required in zip(sizes, required, strict=True)):
            best = min(best, deviation(weights, parts_of(np.asarray(bounds)), targets))
    return best


def shares_of(weights, *shares):
    return [share * sum(weights) for share in shares]


WEIGHTS = {
    "equal": [5] * 7,
    "different": [13, 2, 40, 7, 21, 9, 1],
    "one giant": [1, 1, 500, 1, 1, 1, 1],
    "two sizes": [10, 10, 10, 3, 3, 3, 3],
}


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("shares", [(0.8, 0.1, 0.1), (0.5, 0.3, 0.2), (0.9, 0.1)], ids=str)
class TestFewItems:
    def test_is_as_near_as_possible(self, weights, shares):
        targets, required = shares_of(weights, *shares), [True] * len(shares)
        part = assign(np.asarray(weights), targets, required, key=3)
        assert set(part.tolist()) == set(range(len(shares)))
        assert deviation(weights, part, targets) == pytest.approx(least_deviation(weights, targets, required))

    def test_cutting_in_order_is_as_near_as_possible(self, weights, shares):
        targets, required = shares_of(weights, *shares), [True] * len(shares)
        part = parts_of(cut_in_order(np.asarray(weights), targets, required))
        assert set(part.tolist()) == set(range(len(shares)))
        assert np.all(np.diff(part) >= 0)
        assert deviation(weights, part, targets) == pytest.approx(least_cut(weights, targets, required))


def test_a_part_that_is_not_required_may_stay_empty():
    part = assign(np.asarray([10, 10]), [1.0, 9.0, 10.0], [False, True, True], key=0)
    assert sorted(part.tolist()) == [1, 2]


def test_equal_items_are_assigned_uniformly():
    found = Counter(
        tuple(assign(np.full(5, 4), [12.0, 4.0, 4.0], [True] * 3, key=key).tolist()) for key in range(2000)
    )
    assert len(found) == 5 * 4
    assert max(abs(count - 100) for count in found.values()) < 50  # 5 standard deviations


def test_many_equal_items_are_assigned_uniformly():
    part = np.stack([assign(np.full(40, 4), [128.0, 16.0, 16.0], [True] * 3, key=key) for key in range(500)])
    assert all(np.bincount(row).tolist() == [32, 4, 4] for row in part)
    is_test = (part == 2).mean(axis=0)
    assert np.abs(is_test - 0.1).max() < 0.067  # 5 standard deviations


def test_the_most_even_of_equally_near_assignments_is_taken():
    # The giant has to go somewhere; the ten others are shared evenly by the two that lack as much.
    part = assign(np.asarray([1000] + [1] * 10), [808.0, 101.0, 101.0], [True] * 3, key=1)
    assert sorted(np.bincount(part[1:], minlength=3).tolist()) == [0, 5, 5]


@pytest.mark.parametrize("items", [20, 60, 200])
@pytest.mark.parametrize("seed", range(5))
def test_local_search_comes_near_to_the_targets(items, seed):
    weights = np.random.default_rng(seed).integers(1, 10_000, items)
    targets = shares_of(weights.tolist(), 0.8, 0.1, 0.1)
    part = assign(weights, targets, [True] * 3, key=seed)
    assert deviation(weights.tolist(), part.tolist(), targets) < 0.005 * weights.sum()


@pytest.mark.parametrize(
    ("weights", "folds"),
    [
        pytest.param([100, 90, 80, 70, 60, 50, 40, 30, 20, 10], 5, id="pairs"),
        pytest.param([7] * 30, 6, id="equal"),
    ],
)
def test_equal_parts_are_found_where_there_are_some(weights, folds):
    part = assign(np.asarray(weights), [sum(weights) / folds] * folds, [True] * folds, key=2)
    assert set(np.bincount(part, weights=weights).tolist()) == {sum(weights) / folds}


def test_parts_beside_a_giant_are_equal():
    weights = np.asarray([10_000] + [3] * 400)
    part = assign(weights, [weights.sum() / 5] * 5, [True] * 5, key=2)
    totals = sorted(np.bincount(part, weights=weights).tolist())
    assert totals == [300, 300, 300, 300, 10_000]


@pytest.mark.timeout(120)  # about 0.2 s; a quadratic search would take hours
@pytest.mark.parametrize("kind", ["equal", "uniform", "heavy", "giant"])
@pytest.mark.parametrize("items", [10_000, 200_000])
def test_many_items_are_quick_and_exact(kind, items):
    random = np.random.default_rng(1)
    weights = {
        "equal": np.full(items, 9),
        "uniform": random.integers(1, 10_000, items),
        "heavy": np.minimum(random.pareto(1.0, items) * 10 + 1, items).astype(np.int64),
        "giant": np.asarray([items // 2] + [1] * (items - 1)),
    }[kind]
    part = assign(weights, shares_of([int(weights.sum())], 0.8, 0.1, 0.1), [True] * 3, key=4)
    totals = np.bincount(part, weights=weights)
    assert np.abs(totals - np.asarray([0.8, 0.1, 0.1]) * weights.sum()).sum() <= 3 * weights.min()


def test_the_result_depends_on_the_key_and_the_numbers_only():
    weights = np.random.default_rng(0).integers(1, 100, 50)
    targets = shares_of(weights.tolist(), 0.8, 0.1, 0.1)
    first, again, other = (assign(weights, targets, [True] * 3, key=key).tolist() for key in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(
    ("weights", "targets", "required", "expected"),
    [
        pytest.param([1, 1, 1, 1], [1, 1, 2], [True] * 3, [0, 1, 2, 4], id="exact"),
        pytest.param([1, 1, 1, 97], [10, 80, 10], [True] * 3, [0, 2, 3, 4], id="each part gets one"),
        pytest.param([97, 1, 1, 1], [10, 80, 10], [True] * 3, [0, 1, 2, 4], id="giant first"),
        pytest.param([5, 5], [0, 10], [False, True], [0, 0, 2], id="first may be empty"),
        pytest.param([5, 5], [10, 0], [True, False], [0, 2, 2], id="last may be empty"),
        pytest.param([5], [5], [True], [0, 1], id="one part"),
    ],
)
def test_cut_nearest(weights, targets, required, expected):
    assert cut_nearest(np.asarray(weights), targets, required).tolist() == expected


def test_golden_values():
    """Splits of published results must not change: neither do these values."""
    few = assign(np.asarray([8, 3, 5, 9, 2, 7, 4, 6]), [35.2, 4.4, 4.4], [True] * 3, key=11)
    many = assign(np.arange(1, 25), [240.0, 30.0, 30.0], [True] * 3, key=11)
    assert few.tolist() == [0, 0, 2, 0, 0, 0, 1, 0]
    assert many.tolist() == [0, 2, 2, 0, 1, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 0, 0, 0, 0]
