"""Windows: whole blocks, of nearly one size, whose borders do not come together."""

import numpy as np
import pytest

from h5lightning.planning.sampling import shuffle_windows as windows
from h5lightning.planning.sampling.blocks import Blocks
from h5lightning.planning.sampling.lanes import Lanes
from h5lightning.planning.sampling.shuffle_windows import EpochWindows, WindowShares

WHOLE = 2**32


def deal(counts, lengths, number, window_samples):
    counts, lengths = np.array(counts), np.array(lengths)
    ends = np.cumsum(counts * lengths)
    blocks = Blocks.of(ends - counts * lengths, counts, lengths)
    return WindowShares(Lanes(blocks, number), window_samples)


CASES = {
    "equal blocks": deal([4000], [32], 32, 7680),
    "one window": deal([40], [10], 4, 1000),
    "two windows": deal([40], [10], 4, 200),
    "many lengths": deal([500, 30, 1, 1, 7], [32, 20, 31, 5, 3], 16, 2000),
    "a window for each block": deal([64], [10], 1, 10),
    "windows smaller than blocks": deal([64], [10], 1, 3),
}
each_case = pytest.mark.parametrize("shares", CASES.values(), ids=CASES)


def laid_out(shares, lane, epoch=0):
    """All windows of a lane."""
    numbers = np.arange(shares.counts[lane]) * shares.lanes.number + lane
    return EpochWindows(shares, 7, epoch)._windows(numbers)


def sizes(shares, lane):
    return np.array([window.size for window in laid_out(shares, lane)])


@each_case
def test_windows_follow_each_other_to_the_end_of_the_lane(shares):
    for lane in range(shares.lanes.number):
        found = laid_out(shares, lane)
        stops = np.cumsum([window.size for window in found])
        assert [window.start for window in found] == [0, *stops[:-1]]
        assert stops[-1] == shares.lanes.lengths[lane]


@each_case
def test_a_lane_mixes_its_own_blocks(shares):
    lanes, blocks = shares.lanes, shares.lanes.blocks
    starts = np.concatenate(
        [
            window.shifts + window.ends - np.diff(window.ends, prepend=0)
            for lane in range(lanes.number)
            for window in laid_out(shares, lane)
        ]
    )
    assert sorted(starts.tolist()) == sorted(blocks.starts_of(np.arange(len(blocks))).tolist())


@each_case
def test_shares_begin_with_nothing_and_end_with_the_lane(shares):
    lanes = np.arange(shares.lanes.number)
    assert shares.before(lanes, 0 * lanes).tolist() == [0] * len(lanes)
    assert shares.before(lanes, shares.counts).tolist() == [WHOLE] * len(lanes)


def test_windows_are_as_large_as_asked_for():
    shares = CASES["equal blocks"]
    for lane in range(32):
        assert np.abs(sizes(shares, lane)[1:] - 7680 // 32).max() <= 32
        assert sizes(shares, lane).min() >= 7680 // 32 // 2 - 32


def test_first_windows_differ_from_lane_to_lane():
    first = [sizes(CASES["equal blocks"], lane)[0] for lane in range(32)]
    assert len(set(first)) >= 6
    assert min(first) <= 4 * 32
    assert max(first) >= 11 * 32


@pytest.mark.parametrize("windows_in_lane", np.arange(1, 6, 0.2), ids="{:.1f} windows".format)
def test_no_window_is_tiny_or_too_large(windows_in_lane):
    shares = deal([4000], [32], 32, int(4000 * 32 / windows_in_lane))
    lane = np.repeat(np.arange(32), shares.counts)
    window = np.concatenate([np.arange(count) for count in shares.counts])
    share = shares.before(lane, window + 1) - shares.before(lane, window)
    found = share / WHOLE * windows_in_lane  # in windows as asked for
    assert found.max() <= 1.5
    assert np.mean(found) <= 1.001
    assert (share / WHOLE * shares.counts[lane]).min() >= 0.5


def test_rare_lengths_come_in_other_windows_in_other_epochs():
    shares = deal([1000, 1], [32, 5], 1, 3200)
    found = {
        next(number for number, window in enumerate(laid_out(shares, 0, epoch)) if 5 in np.diff(window.ends))
        for epoch in range(20)
    }
    assert len(found) > 5


@each_case
def test_the_guess_is_near(shares):
    lane, offset = shares.lanes.locate(np.arange(shares.lanes.blocks.size))
    guess = shares.guess(lane, offset)
    numbers, _, which = EpochWindows(shares, 7, 0)._find(lane, offset)
    assert np.abs(guess - numbers[which] // shares.lanes.number).max() <= 2


def test_few_windows_are_kept():
    shares = CASES["equal blocks"]
    epoch = EpochWindows(shares, 7, 0)
    size = shares.lanes.blocks.size
    for start in range(0, size, 1000):
        epoch.samples(*shares.lanes.locate(np.arange(start, min(start + 1000, size))))
        assert len(epoch._known) <= 6 * 32


def test_known_windows_are_not_laid_out_again():
    shares = CASES["equal blocks"]
    epoch = EpochWindows(shares, 7, 0)
    where = shares.lanes.locate(np.arange(1000))
    first = epoch.samples(*where)
    known = dict(epoch._known)
    assert np.array_equal(epoch.samples(*where), first)
    assert all(epoch._known[number] is window for number, window in known.items())


@pytest.mark.parametrize(
    "numbers", [[5], [7, 3, 3, 9], [0, 10**12, 0], [2, 2, 2]], ids=["one", "near", "far apart", "equal"]
)
def test_different_numbers_are_found(numbers):
    different, which = windows._distinct(np.array(numbers))
    assert different.tolist() == sorted(set(numbers))
    assert different[which].tolist() == numbers
