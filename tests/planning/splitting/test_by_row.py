"""by_row: slices of a random order; `test_plan_split` tests the parts."""

import pytest

from h5lightning.options import Split
from h5lightning.planning.splitting.by_row import slice_rows
from h5lightning.planning.splitting.fractions import Fractions


def slices(total, **options):
    split = Split(by="sample", **options)
    return {
        name: list(zip(found.starts.tolist(), found.stops.tolist(), strict=True))
        for name, found in slice_rows(total, Fractions.of(split)).items()
    }


@pytest.mark.parametrize(
    ("total", "options", "expected"),
    [
        pytest.param(20, {}, {"test": [(0, 2)], "val": [(2, 4)], "train": [(4, 20)]}, id="defaults"),
        pytest.param(
            20, {"train": 0.5}, {"test": [(0, 2)], "val": [(2, 4)], "train": [(4, 14)]}, id="less train"
        ),
        pytest.param(3, {}, {"test": [(0, 1)], "val": [(1, 2)], "train": [(2, 3)]}, id="one each"),
        pytest.param(1, {}, {"test": [(0, 1)], "val": [], "train": []}, id="one row"),
        pytest.param(
            20, {"val": None, "test": None}, {"test": [], "val": [], "train": [(0, 20)]}, id="train alone"
        ),
        pytest.param(
            20,
            {"folds": 3, "fold": 1},
            {"test": [(0, 2)], "val": [(8, 14)], "train": [(2, 8), (14, 20)]},
            id="fold",
        ),
        pytest.param(
            20,
            {"folds": 3, "fold": 0},
            {"test": [(0, 2)], "val": [(2, 8)], "train": [(8, 20)]},
            id="first fold",
        ),
        pytest.param(
            20,
            {"folds": 3, "fold": 1, "train": 0.4},
            {"test": [(0, 2)], "val": [(8, 14)], "train": [(2, 8), (14, 16)]},
            id="fold with less train",
        ),
    ],
)
def test_slices(total, options, expected):
    assert slices(total, **options) == expected
