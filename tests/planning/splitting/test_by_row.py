"""by_block: train, val and test in each series. by_row: slices of a random order; `test_plan_split` tests the parts."""

import numpy as np
import pytest

from h5lightning.options import Split
from h5lightning.planning.splitting.by_row import by_block, slice_rows
from h5lightning.planning.splitting.candidates import Candidates, Fractions


def cut(rows, **options):
    split = Split(by="block", **options)
    numbers = np.arange(len(rows), dtype=np.int64) * 10  # series need not be numbered without gaps
    candidates = Candidates(numbers, np.asarray(rows, dtype=np.int64), item=numbers)
    parts = by_block(candidates, Fractions.of(split))
    return {
        name: [
            (s // 10, a, b)
            for s, a, b in zip(part.series.tolist(), part.start.tolist(), part.stop.tolist(), strict=True)
        ]
        for name, part in parts.items()
    }


def lengths(runs):
    return [stop - start for _, start, stop in runs]


def test_train_comes_first_and_test_last():
    assert cut([20], val=0.2, test=0.1) == {
        "train": [(0, 0, 14)],
        "val": [(0, 14, 18)],
        "test": [(0, 18, 20)],
    }


def test_the_gap_is_taken_from_train():
    assert cut([20], val=0.2, test=0.1, gap=3) == {
        "train": [(0, 0, 8)],
        "val": [(0, 11, 15)],
        "test": [(0, 18, 20)],
    }


@pytest.mark.parametrize(
    ("rows", "options", "expected"),
    [
        pytest.param(
            [4, 4],
            {"val": 0.125, "test": 0.25, "gap": 1},
            {"train": [(1, 0, 2)], "val": [(0, 1, 2)], "test": [(0, 3, 4), (1, 3, 4)]},
            id="no gap without val",
        ),
        pytest.param(
            [2, 30],
            {"val": 0.1, "test": 0.1, "gap": 4},
            {"train": [(0, 0, 2), (1, 0, 16)], "val": [(1, 20, 23)], "test": [(1, 27, 30)]},
            id="a short series is train",
        ),
        pytest.param(
            [10, 10],
            {"val": 0.2, "test": None, "train": 0.45},
            {"train": [(0, 0, 5), (1, 0, 4)], "val": [(0, 8, 10), (1, 8, 10)], "test": []},
            id="less train",
        ),
        pytest.param(
            [3, 1, 0, 2],
            {"test": None, "folds": 3, "fold": 1},
            {
                "train": [(0, 0, 1), (0, 2, 3), (1, 0, 1), (2, 0, 0), (3, 1, 2)],
                "val": [(0, 1, 2), (3, 0, 1)],
                "test": [],
            },
            id="fold",
        ),
    ],
)
def test_short_series(rows, options, expected):
    assert cut(rows, **options) == expected


@pytest.mark.parametrize("folds", [2, 3, 7])
@pytest.mark.parametrize(
    "rows", [[1] * 50, [2, 3] * 20, [100], [5, 1, 9, 2, 2, 8, 1]], ids=["ones", "short", "one", "mixed"]
)
def test_folds_have_the_same_rows_but_for_one(rows, folds):
    sizes = [sum(lengths(cut(rows, test=None, folds=folds, fold=fold)["val"])) for fold in range(folds)]
    assert sum(sizes) == sum(rows)
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("fraction", [0.1, 0.2, 1 / 3])
@pytest.mark.parametrize("rows", [[1] * 100, [3] * 33, [2, 7, 1] * 9], ids=["ones", "threes", "mixed"])
def test_totals_are_within_a_row_of_the_fractions(rows, fraction):
    parts = cut(rows, val=fraction, test=fraction)
    assert all(abs(sum(lengths(parts[name])) - fraction * sum(rows)) <= 1 for name in ("val", "test"))


def test_each_series_of_a_smaller_train_has_at_most_the_rows_of_a_larger_one():
    rows = [5, 1, 9, 2, 2, 8, 1, 30]
    kept = []
    for train in (0.1, 0.25, 0.5, 0.75, 0.79):
        runs = cut(rows, train=train)["train"]
        kept.append(
            [max((stop for number, _, stop in runs if number == series), default=0) for series in range(8)]
        )
    assert np.all(np.diff(kept, axis=0) >= 0)
    assert sum(kept[2]) == pytest.approx(0.5 * sum(rows), abs=3)


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
