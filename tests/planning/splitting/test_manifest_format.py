"""Manifest: a split without the place of its files, as plain data."""

import json

import numpy as np
import pytest
from indexes import make_index

from h5lightning.core.permutation import derive_key
from h5lightning.options import Split
from h5lightning.planning.splitting.manifest_format import Manifest
from h5lightning.planning.splitting.plan_split import plan_split

DRAW_KEY = str(derive_key("split", 0, "sample"))  # as text: other languages read numbers of 64 bits inexactly


def json_of(index, roles=None, **options):
    return Manifest.of(plan_split(index, Split(**options), seed=0, roles=roles), index).to_json()


@pytest.mark.parametrize(
    ("options", "splits"),
    [
        pytest.param(
            {"by": "file", "order": "path", "test": None, "val": 0.5},
            {"train": {"files": ["a.h5"]}, "val": {"files": ["b.h5"]}},
            id="file",
        ),
        pytest.param(
            {"by": "series", "order": "path", "test": None, "val": 0.25},
            {
                "train": {"runs": {"a.h5": [[0, 0, 10], [1, 0, 10]], "b.h5": [[0, 0, 10]]}},
                "val": {"runs": {"b.h5": [[1, 0, 10]]}},
            },
            id="series",
        ),
        pytest.param(
            {"by": "sample", "test": None, "val": 0.25},
            {
                "train": {"key": DRAW_KEY, "slices": [[10, 40]], "files": ["a.h5", "b.h5"]},
                "val": {"key": DRAW_KEY, "slices": [[0, 10]], "files": ["a.h5", "b.h5"]},
            },
            id="sample",
        ),
    ],
)
def test_splits_as_json(options, splits):
    index = make_index([[10, 10], [10, 10]], names=["a.h5", "b.h5"])
    assert json_of(index, **options)["splits"] == splits


def test_files_and_series_as_json():
    index = make_index([[10, 4], [7]], names=["a.h5", "b.h5"], series_names=["demo_0", "demo_1", "demo_0"])
    found = json_of(index, by="block")
    assert found["rows"] == {"a.h5": [10, 4], "b.h5": [7]}
    assert found["series"] == {"a.h5": ["demo_0", "demo_1"], "b.h5": ["demo_0"]}


def test_only_files_that_take_part_are_kept():
    index = make_index([10] * 7)
    roles = {"predict": np.asarray([0, 3]), "train": np.asarray([1, 2, 4, 5, 6])}
    assert list(json_of(index, roles)["rows"]) == [f"run-000{number}.h5" for number in (1, 2, 4, 5, 6)]


def test_the_order_in_the_file_does_not_matter_for_whole_files():
    index = make_index([10, 20, 30])
    plain = json_of(index, by="file", order="path")
    shuffled = {**plain, "rows": dict(reversed(plain["rows"].items()))}
    found = Manifest.from_json(json.loads(json.dumps(shuffled)), "test")
    assert found.plan.rows == {"train": 10, "val": 20, "test": 30}
