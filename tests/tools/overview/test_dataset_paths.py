"""Words in names of datasets, bookkeeping of programs, and datasets that are copies of one structure."""

import h5py
import numpy as np
import pytest

from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.tools.inspect import inspect_files
from h5lightning.tools.overview.dataset_paths import (
    common_pattern,
    is_bookkeeping,
    is_label,
    path_patterns,
    words_of,
)


def test_words():
    assert words_of("obs/Cell_type2/codes") == {"obs", "cell", "type", "codes"}
    assert words_of("") == frozenset()


def test_labels():
    assert is_label("train/Labels")
    assert is_label("y")
    assert not is_label("labelled")
    assert not is_label("yaw")


@pytest.mark.parametrize(
    ("path", "shape", "refusal"),
    [
        ("_i_table/t/sorted", (9,), "is bookkeeping of PyTables: it belongs to the index of a table"),
        ("#subsystem#/MCOS", (9,), ""),
        ("#refs#/a", (3, 4), ""),
        ("specifications/core/2.6.0/namespace", (), "holds text"),
        ("acquisition/s/starting_time", (), ""),
        ("timestamps_reference_time", (), "holds text"),
        ("file_create_date", (1,), "holds text"),
        ("lon", (9,), "is bookkeeping of netCDF: a dimension without values"),
    ],
)
def test_bookkeeping(path, shape, refusal):
    assert is_bookkeeping(DatasetSchema(path, "<f4", shape, refusal=refusal))


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("x", (9, 4)),
        ("refs/a", (9,)),
        ("a_i_b/x", (9,)),
        ("starting_time", (9,)),
        ("_i", (9,)),
        ("_i_x/y", (9,)),
        ("time", ()),
        ("file_create_date", (9,)),
    ],
)
def test_names_that_are_not_bookkeeping(path, shape):
    assert not is_bookkeeping(DatasetSchema(path, "<f4", shape))


def test_bookkeeping_is_neither_offered_nor_an_issue(tmp_path):
    for number in range(4):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"] = np.ones((40, 3), "f4")
            file["starting_time"] = 1.0
            file["_i_x/sorted"] = np.zeros((0, 90_000), "i8")
            file["_i_x"].attrs["CLASS"] = np.bytes_("TINDEX")
            file["#refs#/a"] = np.arange(20_000.0)
            if number == 3:
                file["#refs#/b"] = np.arange(9.0)
    found = inspect_files([str(tmp_path / "*.h5")])
    assert found.traps == ()
    assert found.is_usable
    assert [dataset.path for dataset in found.datasets][:1] == ["x"]
    assert {dataset.path: dataset.keys for dataset in found.datasets if dataset.keys} == {"x": ("x",)}


def found(*paths, **kinds):
    return {
        path: len(members)
        for path, members in path_patterns({path: kinds.get(path, "f4") for path in paths}).items()
    }


def numbered(pattern, count):
    return [pattern.format(number) for number in range(count)]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["x", "y"], {"x": 1, "y": 1}),
        (numbered("demo_{}/x", 3), {"demo_*/x": 3}),
        (numbered("data/demo_{}/obs/x", 12), {"data/demo_*/obs/x": 12}),
        (numbered("demo_{}/x", 2), {"demo_0/x": 1, "demo_1/x": 1}),
        (["train/x", "val/x", "test/x"], {"train/x": 1, "val/x": 1, "test/x": 1}),
        ([f"{name}/x" for name in "abcdefgh"], {"*/x": 8}),
        (numbered("img_{:03}", 8), {"img_*": 8}),
        (numbered("img_{:03}", 7), dict.fromkeys(numbered("img_{:03}", 7), 1)),
        ([f"run{run}/step{step}" for run in range(3) for step in range(9 + run)], {"run*/step*": 30}),
        ([*numbered("demo_{}/x", 4), "demo_9/y", "mask"], {"demo_*/x": 4, "demo_9/y": 1, "mask": 1}),
        ([], {}),
    ],
    ids=[
        "plain", "groups", "deep", "two", "splits", "names", "datasets", "seven", "nested", "odd one out", "none",
    ],
)  # fmt: skip
def test_copies_become_one_path(paths, expected):
    assert found(*paths) == expected


def test_groups_of_different_types_are_no_copies():
    kinds = {f"demo_{number}/x": f"f{number}" for number in range(5)}
    assert len(path_patterns(kinds)) == 5


def test_deeply_nested_groups():
    path = "/".join("a" * 5000)
    assert path_patterns({path: "f4"}) == {path: (path,)}


def test_all_members_are_kept():
    paths = numbered("demo_{}/x", 40)
    assert set(path_patterns(dict.fromkeys(paths, "f4"))["demo_*/x"]) == set(paths)


def test_a_name_can_be_a_dataset_in_one_file_and_a_group_in_another():
    assert found("a", "a/b", "a-b") == {"a": 1, "a/b": 1, "a-b": 1}


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["demo_7", "demo_12"], "demo_*"),
        (["s10.raw", "s11.raw"], "s*.raw"),
        (["a", "b"], "*"),
        (["aa", "aaa"], "aa*"),
    ],
    ids=["numbers", "suffix", "nothing", "overlap"],
)
def test_a_pattern_keeps_the_common_start_and_end(names, pattern):
    assert common_pattern(names) == pattern
