"""Fractions: the sizes that a split requests."""

import pytest

from h5lightning.options import Split
from h5lightning.planning.splitting.fractions import Fractions


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
