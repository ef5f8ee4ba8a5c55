"""Whole items: divide and thin; `test_plan_split` tests by_file and by_series."""

import itertools

import numpy as np
import pytest

from h5lightning.options import Split
from h5lightning.planning.splitting.by_file import Pieces, divide, thin
from h5lightning.planning.splitting.candidates import Fractions


def divided(weights, **options):
    return divide(np.asarray(weights), Fractions.of(Split(**options)), key=5)


def test_pieces_without_folds_are_the_splits():
    pieces = divided([10] * 10)
    assert pieces.splits == ("train", "val", "test")
    assert [len(pieces.members(name)) for name in pieces.splits] == [8, 1, 1]


def test_with_folds_train_has_all_pieces_but_one():
    pieces = divided([10] * 10, folds=3, fold=2)
    assert pieces.splits == ("train", "train", "val", "test")
    assert [len(pieces.members(name)) for name in ("train", "val", "test")] == [6, 3, 1]


@pytest.mark.parametrize(
    ("items", "options"),
    [
        pytest.param(2, {}, id="two for three"),
        pytest.param(0, {"val": None, "test": None}, id="none for one"),
        pytest.param(3, {"folds": 3, "fold": 0}, id="three for folds and test"),
        pytest.param(1, {"folds": 2, "fold": 0}, id="one for folds and test"),
    ],
)
def test_too_few_items_are_not_divided(items, options):
    assert divided([10] * items, **options) is None


def test_unused_items_are_no_reason_for_too_few():
    assert divided([10] * 2, train=0.0).splits == ("train", "val", "test")


@pytest.mark.parametrize(
    ("weights", "is_near"),
    [([50, 50], True), ([25, 75], True), ([24, 76], False), ([90, 10], False)],
    ids=["exact", "half", "less than half", "far"],
)
def test_near_is_from_half_to_twice(weights, is_near):
    assert Pieces(np.asarray([0, 1]), ("val", "train"), (50.0, 50.0)).is_near(np.asarray(weights)) == is_near


@pytest.mark.parametrize("order", ["random", "path"])
def test_fewer_items_are_a_subset_of_more(order):
    weights = np.random.default_rng(0).integers(1, 50, 40)
    kept = [set(thin(weights, target, order, key=3).tolist()) for target in np.linspace(0, weights.sum(), 25)]
    assert all(fewer <= more for fewer, more in itertools.pairwise(kept))
    assert (len(kept[0]), len(kept[-1])) == (1, 40)


def test_the_first_items_are_kept_in_path_order():
    assert thin(np.asarray([5, 5, 5, 5]), 11.0, "path", key=0).tolist() == [0, 1]
