"""match_lists: the series that lists of names or numbers mean."""

from dataclasses import replace

import numpy as np
import pytest
from indexes import make_index

from h5lightning.core.string_table import StringTable
from h5lightning.errors import OptionError, SplitError
from h5lightning.planning.splitting.given_split import check_lists, match_lists

GIVEN = {"train": "t", "val": "v"}


def found(index, *lists):
    files = np.arange(len(index.names))
    return match_lists(index, files, [dict(zip("tv", both, strict=True)) for both in lists], GIVEN).tolist()


def test_series_of_a_table_are_named_by_their_number():
    index = replace(make_index([[3, 4, 5], [6]]), series_start=np.asarray([0, 3, 7, 0]))
    assert found(index, ([0, 2], [1]), ([], [0])) == [0, 1, 0, 1]
    assert found(index, (["2"], []), ([], ["0"])) == [-1, -1, 0, 1]


def test_a_name_that_comes_again_means_all_of_its_series():
    index = make_index([[3, 4, 5, 6]], series_names=["7", "8", "7", "9"])
    index = replace(index, series_start=np.asarray([0, 3, 7, 12]))
    assert found(index, ([7], [9])) == [0, -1, 0, 1]
    assert found(index, (["7", "8"], [])) == [0, 0, 0, -1]


def test_a_name_counts_before_what_the_star_matched():
    index = replace(
        make_index([[3, 4]], series_names=["demo_1", "1"]),
        series_unit=np.arange(2),
        unit_texts=StringTable.of(["1", "x"]),
    )
    assert found(index, (["1"], ["demo_1"])) == [1, 0]


def test_names_twice_in_one_list_are_one():
    assert found(make_index([[3, 4]], series_names=["a", "b"]), (["a", "a"], ["b"])) == [0, 1]


def test_few_of_many_unknown_names_are_listed():
    index = make_index([[1] * 2000], series_names=[f"demo_{number}" for number in range(2000)])
    with pytest.raises(
        SplitError, match=r"'nothing like it'.*; it has 2,000 series, 'demo_0' to 'demo_1999'"
    ) as error:
        found(index, (["nothing like it"] + [f"x{number}" for number in range(500)], []))
    assert "and 500 other unknown series" in str(error.value)
    assert len(str(error.value)) < 250


def test_files_that_are_series_have_no_names():
    with pytest.raises(OptionError, match="each file is one series without a name"):
        found(make_index([1, 2]), (["a"], []), ([], []))


def test_other_lists_are_suggested():
    index = make_index([[3]], series_names=["a"])
    lists = [{"t": ["a"], "mask/valid": None}]
    given = {"train": "t", "val": "mask/valid"}
    with pytest.raises(SplitError, match="did you mean 'mask/val'"):
        check_lists(index, np.arange(1), lists, given, ["t", "mask/val", "data/x"])
