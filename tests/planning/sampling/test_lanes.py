"""Lanes: each block in one of them, nearly equal, and index p in lane p mod the lanes that are left."""

import numpy as np
import pytest

from h5lightning.planning.sampling.blocks import Blocks
from h5lightning.planning.sampling.lanes import Lanes


def make_lanes(counts, lengths, number):
    counts, lengths = np.array(counts), np.array(lengths)
    ends = np.cumsum(counts * lengths)
    return Lanes(Blocks.of(ends - counts * lengths, counts, lengths), number)


CASES = {
    "equal blocks": make_lanes([64], [10], 8),
    "one block more": make_lanes([65], [10], 8),
    "three lengths": make_lanes([20, 1, 7, 30], [10, 3, 4, 10], 4),
    "all different": make_lanes([1] * 20, range(1, 21), 4),
    "one lane": make_lanes([3, 1], [5, 2], 1),
    "a block for each lane": make_lanes([4, 4], [5, 2], 8),
    "more classes than blocks in a lane": make_lanes([1, 2, 1, 1], [9, 7, 5, 3], 4),
}
each_case = pytest.mark.parametrize("lanes", CASES.values(), ids=CASES)


def blocks_of(lanes, lane):
    """The numbers of a lane's blocks."""
    first, counts = lanes.first[lane], lanes.counts[lane]
    return [f + lanes.number * n for f, count in zip(first, counts, strict=True) for n in range(count)]


@each_case
def test_each_block_is_assigned_once_in_turn(lanes):
    for lane in range(lanes.number):
        assert sorted(blocks_of(lanes, lane)) == list(range(lane, len(lanes.blocks), lanes.number))


@each_case
def test_lanes_differ_by_less_than_a_block(lanes):
    assert lanes.lengths.sum() == lanes.blocks.size
    assert np.all(np.diff(lanes.lengths) <= 0)
    assert lanes.lengths[0] - lanes.lengths[-1] <= lanes.blocks.lengths.max()


def locate_one_by_one(lanes):
    """Assign index after index to the lanes that are not at their end."""
    used, found = np.zeros(lanes.number, dtype=int), []
    while len(found) < lanes.blocks.size:
        for lane in range(lanes.number):
            if used[lane] < lanes.lengths[lane]:
                found.append((lane, used[lane]))
                used[lane] += 1
    return found


@each_case
def test_indices_go_to_the_lanes_that_are_left_in_turn(lanes):
    lane, offset = lanes.locate(np.arange(lanes.blocks.size))
    assert list(zip(lane.tolist(), offset.tolist(), strict=True)) == locate_one_by_one(lanes)


@pytest.mark.parametrize(
    ("number", "order"), [(1, [0]), (4, [0, 2, 1, 3]), (8, [0, 4, 2, 6, 1, 5, 3, 7])], ids=["1", "4", "8"]
)
def test_the_longest_lanes_are_far_apart(number, order):
    assert make_lanes([40], [10], number).rank_order.tolist() == order


@pytest.mark.parametrize("number", [0, 3, 12], ids=str)
def test_another_number_of_lanes_is_refused(number):
    with pytest.raises(ValueError, match=f"a power of two, found {number}"):
        make_lanes([40], [10], number)
