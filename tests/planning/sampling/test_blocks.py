"""Blocks by arithmetic, against a list of all samples; lanes: each block in one of them, nearly equal."""

import numpy as np
import pytest

from h5lightning.core.string_table import StringTable
from h5lightning.options import Rows, Whole, Windows
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.sampling.blocks import Blocks, Lanes, shuffle_blocks
from h5lightning.planning.selection import Selection

SERIES_FILE = np.array([0, 1, 1, 2, 3, 4])
SERIES_ROWS = np.array([20, 0, 33, 7, 0, 64])
BLOCK_SAMPLES = np.array([8, 5, 1, 4, 100])
KINDS = {
    "rows": Rows(),
    "windows": Windows(4),
    "windows with a stride": Windows(5, stride=3),
    "whole": Whole(),
}
# Series, first row, one past the last row.
SEGMENTS = {
    "everything": [(0, 0, 20), (1, 0, 0), (2, 0, 33), (3, 0, 7), (4, 0, 0), (5, 0, 64)],
    "some series": [(0, 0, 20), (3, 0, 7)],
    "cut inside blocks": [(0, 3, 15), (2, 12, 33), (5, 1, 63)],
    "inside one block": [(0, 9, 15), (5, 1, 63)],
    "gaps": [(2, 0, 7), (2, 9, 20), (2, 20, 33), (5, 10, 30), (5, 31, 60)],
    "too short for a window": [(0, 18, 20), (2, 1, 2), (3, 0, 7), (5, 62, 64)],
    "nothing": [],
}


def runs(*rows):
    return Blocks.of(*np.array(rows, dtype=np.int64).reshape(-1, 3).T)


def make_index(samples):
    names = StringTable.of(f"{file}.h5" for file in range(5))
    return SampleIndex("/data", names, SERIES_FILE, SERIES_ROWS, samples)


def select(index, segments):
    columns = np.array(segments, dtype=np.int64).reshape(-1, 3).T
    return Selection(index.ranges_within(*columns))


def borders_one_by_one(selection, index):
    """Position by position: a block begins where its series or its number changes, or ids are left out."""
    starts, before = [], None
    for position, number in enumerate(selection(np.arange(len(selection))).tolist()):
        series = int(index.locate([number]).series[0])
        block = (number - int(index.first_id[series])) // int(BLOCK_SAMPLES[index.series_file[series]])
        current = (series, block, number)
        if before is None or current[:2] != before[:2] or number != before[2] + 1:
            starts.append(position)
        before = current
    return [*starts, len(selection)]


def borders(blocks):
    """All starts of blocks and the number of samples, ascending."""
    return [*sorted(blocks.starts_of(np.arange(len(blocks))).tolist()), blocks.size]


@pytest.mark.parametrize("segments", SEGMENTS.values(), ids=SEGMENTS)
@pytest.mark.parametrize("samples", KINDS.values(), ids=KINDS)
def test_series_are_cut_at_every_nth_sample(samples, segments):
    index = make_index(samples)
    selection = select(index, segments)
    assert borders(shuffle_blocks(selection, index, BLOCK_SAMPLES)) == borders_one_by_one(selection, index)


def test_the_brute_force_finds_many_blocks():
    index = make_index(Rows())
    assert borders_one_by_one(select(index, SEGMENTS["cut inside blocks"]), index) == [
        *(0, 5),  # rows 3–14 in blocks of 8
        *(12, 15, 20, 25, 30),  # rows 12–32 in blocks of 5
        *(33, 95),  # rows 1–62 in one block
    ]


def test_blocks_are_numbered_by_length():
    blocks = runs((0, 2, 3), (6, 1, 10), (16, 4, 3), (28, 0, 5))
    assert (len(blocks), blocks.size) == (7, 28)
    assert blocks.starts_of(np.arange(7)).tolist() == [6, 0, 3, 16, 19, 22, 25]
    assert blocks.class_lengths.tolist() == [10, 3]
    assert blocks.class_starts.tolist() == [0, 1, 7]


def test_there_may_be_no_blocks():
    blocks = runs()
    assert (len(blocks), blocks.size) == (0, 0)
    assert blocks.class_starts.tolist() == [0]


@pytest.mark.parametrize(
    "rows",
    [[(0, 2, 3), (5, 1, 2)], [(0, 2, 3), (7, 1, 2)], [(1, 1, 1)]],
    ids=["twice", "a gap", "not from 0"],
)
def test_samples_in_two_blocks_or_none_are_refused(rows):
    with pytest.raises(ValueError, match="each sample once"):
        runs(*rows)


@pytest.mark.parametrize(
    "columns", [([0], [0], [1]), ([0, 1], [1, 1], [1, 2])], ids=["an empty run", "short blocks first"]
)
def test_runs_that_break_the_numbering_are_refused(columns):
    with pytest.raises(ValueError, match=r"each sample once|longest blocks come first"):
        Blocks(*(np.array(column) for column in columns))


def make_lanes(counts, lengths, number):
    counts, lengths = np.array(counts), np.array(lengths)
    ends = np.cumsum(counts * lengths)
    return Lanes(Blocks.of(ends - counts * lengths, counts, lengths), number)


LANES = {
    "equal blocks": make_lanes([64], [10], 8),
    "one block more": make_lanes([65], [10], 8),
    "three lengths": make_lanes([20, 1, 7, 30], [10, 3, 4, 10], 4),
    "all different": make_lanes([1] * 20, range(1, 21), 4),
    "one lane": make_lanes([3, 1], [5, 2], 1),
    "a block for each lane": make_lanes([4, 4], [5, 2], 8),
    "more classes than blocks in a lane": make_lanes([1, 2, 1, 1], [9, 7, 5, 3], 4),
}
each_lanes = pytest.mark.parametrize("lanes", LANES.values(), ids=LANES)


def blocks_of(lanes, lane):
    """The numbers of a lane's blocks."""
    first, counts = lanes.first[lane], lanes.counts[lane]
    return [f + lanes.number * n for f, count in zip(first, counts, strict=True) for n in range(count)]


@each_lanes
def test_each_block_is_assigned_once_in_turn(lanes):
    for lane in range(lanes.number):
        assert sorted(blocks_of(lanes, lane)) == list(range(lane, len(lanes.blocks), lanes.number))


@each_lanes
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


@each_lanes
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
