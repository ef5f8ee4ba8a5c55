"""place_new_series: the splits of series that a manifest does not list."""

import numpy as np
import pytest
from indexes import make_index

from h5lightning.options import Split
from h5lightning.planning.splitting.groups import Groups
from h5lightning.planning.splitting.new_files import KnownSeries, place_new_series
from h5lightning.planning.splitting.split_plan import Segments, SplitPlan


def known_plan(index, requested, **files):
    parts = {name: Segments.of_files(index, np.asarray(numbers)) for name, numbers in files.items()}
    known = np.sort(np.concatenate([np.asarray(numbers) for numbers in files.values()]))
    return SplitPlan.of(index, "file", parts, files=known, requested=requested)


def placed(index, plan, new, groups=None, **options):
    """The new files of each split; each file is one series."""
    known = KnownSeries(plan, plan.parts, Segments.of_files(index, plan.files).series)
    groups = None if groups is None else Groups(groups, tuple("abcdef"))
    found = place_new_series(index, known, np.asarray(new), Split(**options), key=1, groups=groups)
    return {name: part.files(index).tolist() for name, part in found.items()}


HALVES = {"train": 0.5, "val": 0.5}


@pytest.mark.parametrize(
    ("on_new", "expected"),
    [
        pytest.param("train", {"train": 3, "val": 0, "test": 0}, id="train"),
        pytest.param("split", {"train": 1, "val": 2, "test": 0}, id="split"),
    ],
)
def test_new_files_make_up_for_what_lacks(on_new, expected):
    index = make_index([10] * 6)
    found = placed(index, known_plan(index, HALVES, train=[0, 1], val=[2]), [3, 4, 5], on_new=on_new)
    assert {name: len(files) for name, files in found.items()} == expected


def test_a_split_that_has_too_much_gets_nothing():
    index = make_index([10] * 8)
    plan = known_plan(index, HALVES, train=[0, 1, 2, 3, 4], val=[5])
    assert placed(index, plan, [6, 7], on_new="split") == {"train": [], "val": [6, 7], "test": []}


def test_files_of_old_groups_count_towards_their_split():
    index = make_index([10] * 6)
    plan = known_plan(index, HALVES, train=[0], val=[1])
    groups = np.asarray([0, 1, 1, 1, 2, 3])  # two new files belong to the group of val
    assert placed(index, plan, [2, 3, 4, 5], groups, on_new="split") == {
        "train": [4, 5],
        "val": [2, 3],
        "test": [],
    }


def test_a_group_of_unused_files_stays_unused():
    index = make_index([10] * 4)
    parts = {"train": Segments.of_files(index, np.asarray([0]))}
    plan = SplitPlan.of(index, "file", parts, files=np.asarray([0, 1]), requested={"train": 0.5})
    assert placed(index, plan, [2, 3], np.asarray([0, 1, 1, 2]), on_new="train")["train"] == [3]


def test_new_series_of_a_known_file_stay_with_it():
    index = make_index([[10, 10], [10], [10, 10, 10]])
    old = make_index([[10], [10]], names=["run-0000.h5", "run-0001.h5"])
    parts = {"train": Segments.of_files(old, np.asarray([0])), "val": Segments.of_files(old, np.asarray([1]))}
    plan = SplitPlan.of(old, "file", parts, files=np.arange(2), requested=HALVES)
    now = {
        "train": Segments.of_series(index, np.asarray([0])),
        "val": Segments.of_series(index, np.asarray([2])),
    }
    known = KnownSeries(plan, now, np.asarray([0, 2]))
    found = place_new_series(
        index, known, np.asarray([1, 3, 4, 5]), Split(on_new="split"), key=1, groups=None
    )
    assert {name: part.series.tolist() for name, part in found.items()} == {
        "train": [1],
        "val": [3, 4, 5],
        "test": [],
    }
