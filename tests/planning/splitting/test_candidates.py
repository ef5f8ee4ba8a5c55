"""Candidates: the series that are divided by size."""

import numpy as np
import pytest
from indexes import make_index

from h5lightning.planning.splitting.candidates import Candidates, files_to_split


def candidates_of(index, files, keep_together=None, labels=None):
    return Candidates.of(index, {"train": np.asarray(files)}, keep_together, labels)


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
