"""Which datasets are copies of one structure."""

import pytest

from h5lightning.tools.overview.path_patterns import common_pattern, path_patterns


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
