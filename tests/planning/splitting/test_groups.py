"""Grouping: what keeps files and series together."""

from dataclasses import replace

import numpy as np
import pytest
from indexes import make_index

from h5lightning.core.string_table import StringTable
from h5lightning.errors import OptionError, SplitError
from h5lightning.planning.splitting.groups import Groups

NAMES = ["a/p1/x.h5", "a/p2/x.h5", "b/p1/y.h5", "other.h5"]


def labels(keep_together, series=(0, 1, 2), attributes=None):
    index = make_index([1] * 4, names=NAMES)
    groups = Groups.of(keep_together, index, np.asarray(series), attributes)
    return [groups.labels[groups.group[one]] for one in series]


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
    assert labels("attr:m", series=(1, 3), attributes=["a", "b", None, "c"]) == ["b", "c"]


def test_only_the_files_that_are_asked_for_need_a_label():
    with pytest.raises(
        SplitError, match=r"other\.h5 does not match .* exclude the file with a pattern that begins with '!'"
    ):
        labels("path:(p.)", series=(0, 3))


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("path:(a", "is not a regular expression: missing \\)"), ("path:a", "has no group")],
    ids=["unclosed", "no group"],
)
def test_patterns_that_cannot_be_used(pattern, message):
    with pytest.raises(OptionError, match=message):
        labels(pattern)


def test_attributes_have_to_be_given():
    with pytest.raises(ValueError, match="'attr:m' needs the attribute of each series"):
        labels("attr:m")


def test_groups_are_numbered_in_the_order_of_their_first_files():
    groups = Groups.of("attr:m", make_index([1] * 5), np.asarray([0, 1, 3, 4]), ["z", "a", None, "z", "m"])
    assert groups.group.tolist() == [0, 1, -1, 0, 2]
    assert groups.labels == ("z", "a", "m")


def series_in_units():
    """Two files with two units each; the second unit has two series."""
    index = make_index([[5, 3, 4], [6, 2]], series_names=["demo_0", "demo_1", "demo_1", "demo_0", "demo_9"])
    return replace(
        index,
        series_unit=np.asarray([0, 1, 1, 2, 3]),
        series_start=np.asarray([0, 0, 3, 0, 0]),
        unit_texts=StringTable.of(["0", "1", "0", "9"]),
        unit_rows=np.asarray([5, 7, 6, 2]),
    )


def test_series_have_the_attribute_of_their_unit():
    groups = Groups.of("attr:task", series_in_units(), np.arange(5), ["lift", "can", "can", "lift"])
    assert groups.group.tolist() == [0, 1, 1, 1, 0]
    assert groups.divided_file(series_in_units()) == (0, 1)


def test_series_have_the_path_of_their_file():
    groups = Groups.of("path:run-(....)", series_in_units(), np.arange(5), None)
    assert groups.group.tolist() == [0, 0, 0, 1, 1]
    assert groups.divided_file(series_in_units()) is None


def test_a_series_without_the_attribute_is_named():
    with pytest.raises(SplitError, match=r"series 'demo_9' of run-0001\.h5 has no attribute 'task'"):
        Groups.of("attr:task", series_in_units(), np.arange(5), ["lift", "can", "can", None])
