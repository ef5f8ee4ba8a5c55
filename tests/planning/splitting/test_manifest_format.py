"""Manifest: a split without the place of its files, as plain data."""

import json

import numpy as np
import pytest
from indexes import make_index

from h5lightning.core.permutation import derive_key
from h5lightning.errors import ManifestError
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
                "train": {"series": {"a.h5": [[0, 2]], "b.h5": [[0, 1]]}},
                "val": {"series": {"b.h5": [[1, 2]]}},
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
    index = make_index([[10, 4], [7]], names=["a.h5", "b.h5"], series_names=["lift", "can_1", "can_2"])
    found = json_of(index, by="block")
    assert found["rows"] == {"a.h5": [10, 4], "b.h5": [7]}
    assert found["series"] == {"a.h5": ["lift", "can_1"], "b.h5": ["can_2"]}


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


# ── many series ──────────────────────────────────────────────────────────────────────────────────────


def series_split(names, **options):
    index = make_index([[10, 20, 30, 40, 50, 60]] * 2, series_names=names)
    return Manifest.of(plan_split(index, Split(by="series", **options), seed=0), index)


def test_whole_series_are_ranges_of_numbers():
    manifest = series_split([f"demo_{n}" for n in (0, 1, 2, 7, 8, 10)] * 2, order="path")
    plain = manifest.to_json()
    assert plain["version"] == 2
    numbers = [[0, 3], [7, 9], [10, 11]]
    assert plain["numbered_series"] == {
        "name": "demo_*",
        "digits": 1,
        "numbers": {"run-0000.h5": numbers, "run-0001.h5": numbers},
    }
    assert "series" not in plain
    assert plain["splits"]["test"] == {"series": {"run-0001.h5": [[5, 6]]}}
    assert plain["splits"]["train"]["series"]["run-0000.h5"] == [[0, 6]]


def test_other_names_are_listed():
    plain = series_split(list("abcdef") * 2).to_json()
    assert plain["series"]["run-0001.h5"] == list("abcdef")


@pytest.mark.parametrize("names", [[f"demo_{n}" for n in range(12)], list("abcdefghijkl"), None])
def test_series_come_back(names):
    manifest = series_split(names)
    again = Manifest.from_json(json.loads(json.dumps(manifest.to_json())), "it")
    assert again.plan.fingerprint == manifest.plan.fingerprint
    assert again.index.series_names == manifest.index.series_names


def test_the_form_of_version_1_is_read():
    """Series that an earlier release divided: runs, whole or not, and the names of all."""
    manifest = series_split(list("abcdef") * 2)
    plain = manifest.to_json() | {"version": 1}
    for part in plain["splits"].values():
        rows = {name: [10, 20, 30, 40, 50, 60] for name in part["series"]}
        part["runs"] = {
            name: [[one, 0, rows[name][one]] for start, stop in ranges for one in range(start, stop)]
            for name, ranges in part.pop("series").items()
        }
    assert Manifest.from_json(plain, "it").plan.fingerprint == manifest.plan.fingerprint


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(
            lambda plain: plain["splits"]["test"].update(series={"run-0001.h5": [[5, 9]]}),
            "a range names a series that its file does not have",
            id="too many",
        ),
        pytest.param(
            lambda plain: plain["splits"]["test"].update(series={"run-0001.h5": [[5, 3]]}),
            "a range of series ends before it begins",
            id="backwards",
        ),
        pytest.param(
            lambda plain: plain["splits"]["test"].update(series={"run-0000.h5": [[0, 1]]}),
            "are in two splits",
            id="twice",
        ),
        pytest.param(
            lambda plain: plain["numbered_series"]["numbers"].update({"run-0000.h5": [[0, 2]]}),
            "8 series have names",
            id="too few names",
        ),
        pytest.param(lambda plain: plain["numbered_series"].update(name="demo"), "ValueError", id="no star"),
    ],
)
def test_damaged_ranges_are_refused(damage, message):
    plain = series_split([f"demo_{n}" for n in range(6)] * 2, order="path").to_json()
    damage(plain)
    with pytest.raises(ManifestError, match=message):
        Manifest.from_json(plain, "it")
