"""Grouping: what keeps files together."""

import numpy as np
import pytest

from h5lightning.core.string_table import StringTable
from h5lightning.errors import OptionError, SplitError
from h5lightning.planning.splitting.groups import group_files, group_labels

NAMES = StringTable.of(["a/p1/x.h5", "a/p2/x.h5", "b/p1/y.h5", "other.h5"])


def labels(keep_together, files=(0, 1, 2), attributes=None):
    return group_labels(keep_together, NAMES, np.asarray(files), attributes)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        pytest.param("path:(p[0-9])", ["p1", "p2", "p1"], id="anywhere in the path"),
        pytest.param("path:^([ab])/", ["a", "a", "b"], id="at its start"),
        pytest.param("path:(p[0-9])/(.)", ["p1", "p2", "p1"], id="the first group counts"),
        pytest.param("path:(?:a|b)/(.+):?", ["p1/x.h5", "p2/x.h5", "p1/y.h5"], id="a colon in the pattern"),
    ],
)
def test_labels_from_paths(pattern, expected):
    assert labels(pattern) == expected


def test_labels_from_attributes_are_those_of_the_files():
    assert labels("attr:m", files=(1, 3), attributes=["a", "b", None, "c"]) == ["b", "c"]


def test_only_the_files_that_are_asked_for_need_a_label():
    with pytest.raises(
        SplitError, match=r"other\.h5 does not match .* exclude the file with a pattern that begins with '!'"
    ):
        labels("path:(p.)", files=(0, 3))


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("path:(a", "is not a regular expression: missing \\)"), ("path:a", "has no group")],
    ids=["unclosed", "no group"],
)
def test_patterns_that_cannot_be_used(pattern, message):
    with pytest.raises(OptionError, match=message):
        labels(pattern)


def test_attributes_have_to_be_given():
    with pytest.raises(ValueError, match="'attr:m' needs the attribute of each file"):
        labels("attr:m")


def test_groups_are_numbered_in_the_order_of_their_first_files():
    attributes = ["z", "a", None, "z", "m"]
    names = StringTable.of(f"{number}.h5" for number in range(5))
    groups = group_files("attr:m", names, np.asarray([0, 1, 3, 4]), attributes)
    assert groups.tolist() == [0, 1, -1, 0, 2]
