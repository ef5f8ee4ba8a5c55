"""Segments and SplitPlan."""

import pickle

import numpy as np
import pytest
from indexes import make_index

from h5lightning.errors import SplitError
from h5lightning.options import Rows, Whole, Windows
from h5lightning.planning.index import SampleRanges
from h5lightning.planning.selection import RandomSubset
from h5lightning.planning.splitting.split_plan import Segments, SplitPlan


def segments(*runs, subset=None):
    return Segments(*np.asarray(runs, dtype=np.int64).reshape(-1, 3).T, subset)


def plan_of(index, **parts):
    return SplitPlan.of(
        index,
        "block",
        parts,
        files=np.arange(len(index.names)),
        requested=dict.fromkeys(parts, 1 / len(parts)),
    )


@pytest.mark.parametrize(
    "runs",
    [[(1, 0, 5), (0, 0, 5)], [(0, 5, 9), (0, 0, 5)], [(0, 0, 5), (0, 4, 9)]],
    ids=["series", "rows", "overlap"],
)
def test_segments_are_sorted_and_disjoint(runs):
    with pytest.raises(ValueError, match="disjoint and sorted"):
        segments(*runs)


@pytest.mark.parametrize(
    ("samples", "ids"),
    [
        pytest.param(Rows(), [2, 3, 4, 10, 11, 12], id="rows"),
        pytest.param(Windows(2), [2, 3, 9, 10], id="windows"),
        pytest.param(Whole(), [1], id="whole"),
    ],
)
def test_samples_of_segments_cross_no_border(samples, ids):
    index = make_index([10, 3], samples)
    found = segments((0, 2, 5), (1, 0, 3)).selection(index)
    assert found(np.arange(len(found))).tolist() == ids


def test_a_random_subset_has_the_rows_of_their_slices():
    part = segments((0, 0, 10), subset=RandomSubset(4, SampleRanges(np.asarray([2, 7]), np.asarray([5, 8]))))
    selection = part.selection(make_index([10]))
    assert (part.rows, len(selection)) == (4, 4)
    assert len(set(selection(np.arange(4)).tolist())) == 4


def test_rows_reached_and_unused():
    index = make_index([10, 10])
    plan = plan_of(index, train=segments((0, 0, 8)), val=segments((1, 0, 4)))
    assert (plan.rows, plan.reached, plan.unused_rows) == (
        {"train": 8, "val": 4},
        {"train": 0.4, "val": 0.2},
        8,
    )


def test_parts_are_in_the_order_train_val_test():
    index = make_index([10, 10, 10])
    parts = {name: segments((n, 0, 10)) for n, name in enumerate(("test", "train", "val"))}
    assert list(plan_of(index, **parts).parts) == ["train", "val", "test"]


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        pytest.param(Windows(6), "its longest run of rows is 5, a window spans 6", id="windows"),
        pytest.param(Whole(), "no series is in it from its first to its last row", id="whole"),
    ],
)
def test_rows_without_a_sample_are_an_error(samples, message):
    index = make_index([10], samples)
    with pytest.raises(SplitError, match=f"train has 5 rows, but no sample: {message}"):
        plan_of(index, train=segments((0, 0, 5))).selection("train", index)


def test_a_pickled_plan_is_the_same():
    index = make_index([10])
    plan = plan_of(index, train=segments((0, 0, 5)))
    again = pickle.loads(pickle.dumps(plan))
    assert (again.fingerprint, again.rows) == (plan.fingerprint, plan.rows)
