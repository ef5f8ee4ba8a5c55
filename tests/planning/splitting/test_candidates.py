"""Candidates: the series that are divided by size; Fractions: the sizes that a split requests."""

import numpy as np
import pytest
from indexes import make_index

from h5lightning.options import Split
from h5lightning.planning.splitting.candidates import Candidates, Fractions, files_to_split


def candidates_of(index, files, keep_together=None, labels=None):
    return Candidates.of(index, {"train": np.asarray(files)}, Split(keep_together=keep_together), labels)


@pytest.mark.parametrize(
    ("by", "items", "rows"),
    [("file", [0, 0, -1, 1], [9, 7]), ("series", [0, 1, -1, 2], [4, 5, 7])],
    ids=["file", "series"],
)
def test_items_are_those_with_rows(by, items, rows):
    candidates = candidates_of(make_index([[4, 5], [99], [0], [7]]), [0, 2, 3])
    item, weights = candidates.items(by)
    assert (item.tolist(), weights.tolist(), candidates.total) == (items, rows, 16)


def test_groups_are_items():
    candidates = candidates_of(make_index([4, 5, 6]), [0, 1, 2], "attr:machine", ["a", "b", "a"])
    item, weights = candidates.items("file")
    assert (item.tolist(), weights.tolist(), candidates.is_grouped) == ([0, 1, 0], [10, 5], True)


def test_files_to_split_are_all_but_those_of_predict():
    roles = {"test": np.asarray([5, 1]), "train": np.asarray([2]), "predict": np.asarray([0])}
    assert files_to_split(roles).tolist() == [1, 2, 5]


@pytest.mark.parametrize(
    ("split", "requested", "takes_all"),
    [
        pytest.param(Split(), {"train": 0.8, "val": 0.1, "test": 0.1}, True, id="defaults"),
        pytest.param(Split(val=None, test=0), {"train": 1.0}, True, id="train alone"),
        pytest.param(Split(train=0.3), {"train": 0.3, "val": 0.1, "test": 0.1}, False, id="less train"),
        pytest.param(Split(train=0.8), {"train": 0.8, "val": 0.1, "test": 0.1}, True, id="all that is left"),
        pytest.param(Split(val=0.7, test=0.3), {"val": 0.7, "test": 0.3}, True, id="nothing left"),
        pytest.param(Split(train=0.0, val=0.5, test=None), {"val": 0.5}, False, id="no train"),
        pytest.param(Split(folds=3, fold=0), {"train": 0.6, "val": 0.3, "test": 0.1}, True, id="folds"),
        pytest.param(
            Split(folds=2, fold=0, train=0.9),
            {"train": 0.45, "val": 0.45, "test": 0.1},
            True,
            id="folds cap train",
        ),
    ],
)
def test_requested(split, requested, takes_all):
    fractions = Fractions.of(split)
    assert fractions.requested == pytest.approx(requested)
    assert fractions.train_takes_all == takes_all


def test_splits_with_files_in_files_get_no_fraction():
    assert Fractions.of(Split(val=0.2, test=0.3), named={"test"}).requested == {"train": 0.8, "val": 0.2}


def test_rounding_leaves_no_split_of_nothing():
    assert Fractions.of(Split(val=0.7, test=0.1, train=None)).left == pytest.approx(0.2)
    assert Fractions.of(Split(val=1 / 3, test=2 / 3)).left == 0.0
