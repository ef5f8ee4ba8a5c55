"""Windows: whole blocks, of nearly one size, whose borders do not come together."""

import numpy as np
import pytest

from h5lightning.planning.sampling import shuffle_windows as windows
from h5lightning.planning.sampling.blocks import Blocks, Lanes
from h5lightning.planning.sampling.shuffle_windows import EpochWindows, LaneWindows

WHOLE = 2**32


def make_windows(counts, lengths, number, window_samples):
    counts, lengths = np.array(counts), np.array(lengths)
    ends = np.cumsum(counts * lengths)
    blocks = Blocks.of(ends - counts * lengths, counts, lengths)
    return LaneWindows(Lanes(blocks, number), window_samples)


CASES = {
    "equal blocks": make_windows([4000], [32], 32, 7680),
    "one window": make_windows([40], [10], 4, 1000),
    "two windows": make_windows([40], [10], 4, 200),
    "many lengths": make_windows([500, 30, 1, 1, 7], [32, 20, 31, 5, 3], 16, 2000),
    "a window for each block": make_windows([64], [10], 1, 10),
    "windows smaller than blocks": make_windows([64], [10], 1, 3),
}
each_case = pytest.mark.parametrize("lane_windows", CASES.values(), ids=CASES)


def laid_out(lane_windows, lane, epoch=0):
    """All windows of a lane."""
    numbers = np.arange(lane_windows.counts[lane]) * lane_windows.lanes.number + lane
    return EpochWindows(lane_windows, 7, epoch)._windows(numbers)


def sizes(lane_windows, lane):
    return np.array([window.size for window in laid_out(lane_windows, lane)])


@each_case
def test_windows_follow_each_other_to_the_end_of_the_lane(lane_windows):
    for lane in range(lane_windows.lanes.number):
        found = laid_out(lane_windows, lane)
        stops = np.cumsum([window.size for window in found])
        assert [window.start for window in found] == [0, *stops[:-1]]
        assert stops[-1] == lane_windows.lanes.lengths[lane]


@each_case
def test_a_lane_mixes_its_own_blocks(lane_windows):
    lanes, blocks = lane_windows.lanes, lane_windows.lanes.blocks
    starts = np.concatenate(
        [
            window.shifts + window.ends - np.diff(window.ends, prepend=0)
            for lane in range(lanes.number)
            for window in laid_out(lane_windows, lane)
        ]
    )
    assert sorted(starts.tolist()) == sorted(blocks.starts_of(np.arange(len(blocks))).tolist())


@each_case
def test_fractions_begin_with_nothing_and_end_with_the_lane(lane_windows):
    lanes = np.arange(lane_windows.lanes.number)
    assert lane_windows.before(lanes, 0 * lanes).tolist() == [0] * len(lanes)
    assert lane_windows.before(lanes, lane_windows.counts).tolist() == [WHOLE] * len(lanes)


def test_windows_are_as_large_as_asked_for():
    lane_windows = CASES["equal blocks"]
    for lane in range(32):
        assert np.abs(sizes(lane_windows, lane)[1:] - 7680 // 32).max() <= 32
        assert sizes(lane_windows, lane).min() >= 7680 // 32 // 2 - 32


def test_first_windows_differ_from_lane_to_lane():
    first = [sizes(CASES["equal blocks"], lane)[0] for lane in range(32)]
    assert len(set(first)) >= 6
    assert min(first) <= 4 * 32
    assert max(first) >= 11 * 32


@pytest.mark.parametrize("windows_in_lane", np.arange(1, 6, 0.2), ids="{:.1f} windows".format)
def test_no_window_is_tiny_or_too_large(windows_in_lane):
    lane_windows = make_windows([4000], [32], 32, int(4000 * 32 / windows_in_lane))
    lane = np.repeat(np.arange(32), lane_windows.counts)
    window = np.concatenate([np.arange(count) for count in lane_windows.counts])
    fraction = lane_windows.before(lane, window + 1) - lane_windows.before(lane, window)
    found = fraction / WHOLE * windows_in_lane  # in windows as requested
    assert found.max() <= 1.5
    assert np.mean(found) <= 1.001
    assert (fraction / WHOLE * lane_windows.counts[lane]).min() >= 0.5


def test_rare_lengths_come_in_other_windows_in_other_epochs():
    lane_windows = make_windows([1000, 1], [32, 5], 1, 3200)
    found = {
        next(
            number
            for number, window in enumerate(laid_out(lane_windows, 0, epoch))
            if 5 in np.diff(window.ends)
        )
        for epoch in range(20)
    }
    assert len(found) > 5


@each_case
def test_the_guess_is_near(lane_windows):
    lane, offset = lane_windows.lanes.locate(np.arange(lane_windows.lanes.blocks.size))
    guess = lane_windows.guess(lane, offset)
    numbers, _, which = EpochWindows(lane_windows, 7, 0)._find(lane, offset)
    assert np.abs(guess - numbers[which] // lane_windows.lanes.number).max() <= 2


def test_few_windows_are_kept():
    lane_windows = CASES["equal blocks"]
    epoch = EpochWindows(lane_windows, 7, 0)
    size = lane_windows.lanes.blocks.size
    for start in range(0, size, 1000):
        epoch.samples(*lane_windows.lanes.locate(np.arange(start, min(start + 1000, size))))
        assert len(epoch._cache) <= 6 * 32


def test_cached_windows_are_not_laid_out_again():
    lane_windows = CASES["equal blocks"]
    epoch = EpochWindows(lane_windows, 7, 0)
    where = lane_windows.lanes.locate(np.arange(1000))
    first = epoch.samples(*where)
    cache = dict(epoch._cache)
    assert np.array_equal(epoch.samples(*where), first)
    assert all(epoch._cache[number] is window for number, window in cache.items())


@pytest.mark.parametrize(
    "numbers", [[5], [7, 3, 3, 9], [0, 10**12, 0], [2, 2, 2]], ids=["one", "near", "far apart", "equal"]
)
def test_different_numbers_are_found(numbers):
    different, which = windows._distinct(np.array(numbers))
    assert different.tolist() == sorted(set(numbers))
    assert different[which].tolist() == numbers
