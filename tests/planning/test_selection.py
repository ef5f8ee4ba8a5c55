"""Selection: position → id."""

import pickle

import numpy as np
import pytest

from h5lightning.core.permutation import KeyedPermutation
from h5lightning.planning.index import SampleRanges
from h5lightning.planning.selection import RandomSubset, Selection


def ranges(*edges):
    return SampleRanges(*np.asarray(edges, dtype=np.int64).reshape(-1, 2).T)


def subset(key, *edges):
    return RandomSubset(key, ranges(*edges))


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        pytest.param([(0, 3)], [0, 1, 2], id="one range"),
        pytest.param([(2, 4), (4, 5), (9, 11)], [2, 3, 4, 9, 10], id="ranges that touch"),
        pytest.param([(1, 1), (3, 5), (5, 5), (8, 9), (9, 9)], [3, 4, 8], id="empty ranges"),
        pytest.param([], [], id="no range"),
    ],
)
def test_positions_count_through_the_ranges(edges, expected):
    selection = Selection(ranges(*edges))
    assert len(selection) == len(expected)
    assert selection(np.arange(len(expected))).tolist() == expected


def test_any_order_and_repeats_are_allowed():
    assert Selection(ranges((5, 7), (20, 23)))([4, 0, 0, 2]).tolist() == [22, 5, 5, 20]


def test_ids_are_int64():
    assert Selection(ranges((5, 7)))(np.asarray([1], dtype=np.uint8)).dtype == np.int64


def test_a_key_numbers_the_same_ids_in_another_order():
    plain, permuted = (
        Selection(ranges((0, 40), (60, 80))),
        Selection(ranges((0, 40), (60, 80)), subset(7, (0, 60))),
    )
    found = permuted(np.arange(60)).tolist()
    assert sorted(found) == plain(np.arange(60)).tolist()
    assert found != sorted(found)


def test_slices_choose_from_the_permutation():
    everything = Selection(ranges((0, 40), (60, 80)), subset(7, (0, 60)))
    chosen = Selection(ranges((0, 40), (60, 80)), subset(7, (3, 10), (50, 60)))
    assert len(chosen) == 17
    assert chosen(np.arange(17)).tolist() == everything([*range(3, 10), *range(50, 60)]).tolist()


@pytest.mark.parametrize("position", [-1, 5])
def test_a_position_outside_is_an_index_error(position):
    with pytest.raises(IndexError, match=r"must lie in \[0, 5\), found"):
        Selection(ranges((0, 5)))([0, position])


@pytest.mark.parametrize("positions", [[0.5], [True], ["1"], 1, [[1]]], ids=repr)
def test_what_is_no_list_of_positions_is_a_type_error(positions):
    with pytest.raises(TypeError, match="positions must be whole numbers"):
        Selection(ranges((0, 5)))(positions)


@pytest.mark.parametrize(
    "chosen",
    [None, subset(7, (0, 60)), subset(7, (3, 10), (50, 60)), subset(7)],
    ids=["ascending", "permuted", "slices", "nothing"],
)
def test_ids_lead_back_to_their_positions(chosen):
    selection = Selection(ranges((5, 45), (60, 80)), chosen)
    positions = np.arange(len(selection))
    ids = selection(positions)
    assert selection.positions(ids).tolist() == positions.tolist()
    others = np.setdiff1d(np.arange(-3, 100), ids)
    assert set(selection.positions(others).tolist()) == {-1}


def test_no_ids_have_no_positions():
    assert Selection(ranges((0, 5)), subset(1, (0, 5))).positions([]).tolist() == []
    assert Selection(ranges()).positions([0, 3]).tolist() == [-1, -1]


def test_slices_beyond_the_samples_are_refused():
    with pytest.raises(ValueError, match="slices reach 6, beyond 5 samples"):
        Selection(ranges((0, 5)), subset(1, (0, 6)))


@pytest.mark.parametrize("is_used", [False, True], ids=["fresh", "used"])
def test_a_pickled_selection_is_the_same(is_used):
    selection = Selection(ranges((0, 40), (60, 80)), subset(7, (3, 10)))
    if is_used:
        selection([0])
    copy = pickle.loads(pickle.dumps(selection))
    assert copy(np.arange(7)).tolist() == selection(np.arange(7)).tolist()


def test_a_billion_samples_cost_nothing():
    selection = Selection(ranges((0, 10**12)), subset(3, (10**9, 2 * 10**9)))
    assert len(selection) == 10**9
    last = KeyedPermutation(10**12, 3)(np.asarray([2 * 10**9 - 1]))
    assert selection([10**9 - 1]).tolist() == last.tolist()
    assert selection.positions(last).tolist() == [10**9 - 1]
