"""place_new_files: the splits of files that a manifest does not list."""

import numpy as np
import pytest
from indexes import make_index

from h5lightning.options import Split
from h5lightning.planning.splitting.new_files import place_new_files
from h5lightning.planning.splitting.split_plan import Segments, SplitPlan


def known_plan(index, requested, **files):
    parts = {name: Segments.of_files(index, np.asarray(numbers)) for name, numbers in files.items()}
    known = np.sort(np.concatenate([np.asarray(numbers) for numbers in files.values()]))
    return SplitPlan.of(index, "file", parts, files=known, requested=requested)


def placed(index, plan, new, groups=None, **options):
    split = Split(**options)
    found = place_new_files(index, plan, np.asarray(new), split, key=1, groups=groups)
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
