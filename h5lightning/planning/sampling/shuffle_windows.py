"""Windows: the shuffle blocks of a lane that are mixed with each other, one window after the other.

The start of a window is computed too. After a window that ends at the fraction ``t`` of its lane,
``floor(t * count + dither)`` blocks of each length are used up, however unequal the blocks are. The dither differs
between epochs and spreads blocks of rare lengths over the windows. Only windows in use are laid out. A lane has no
more different lengths than a window has samples, so that the layout costs no more than the samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import Int64Array, flat_positions
from h5lightning.core.frozen import once
from h5lightning.core.permutation import KeyedPermutations, derive_key, derive_keys
from h5lightning.planning.sampling.blocks import Lanes

__all__ = ["EpochWindows", "LaneWindows"]

_FRACTION_BITS = 32  # fractions of a lane are integers in [0, 2**32]: golden values need exact arithmetic
_ALL = 1 << _FRACTION_BITS


@dataclass(frozen=True, eq=False)
class LaneWindows:
    """The windows of each lane, the same in each epoch.

    The first window is between half and three halves as long as the others, with a different length in each lane, so
    that not all lanes change their windows at the same time, and no window is tiny.

    Args:
        lanes: the blocks of each lane.
        window_samples: samples that are mixed with each other, over all lanes.
    """

    lanes: Lanes
    window_samples: int

    @once
    def counts(self) -> Int64Array:
        """Windows of each lane, ``(lanes,)``."""
        enough: Int64Array = -(-self.lanes.lengths * self.lanes.number // self.window_samples)
        counts: Int64Array = np.minimum(enough, self.lanes.counts.sum(axis=1)).clip(1)
        return counts

    def before(self, lane: Int64Array, window: Int64Array) -> Int64Array:
        """The fraction of a lane before the given windows, in units of 2**-32, ``(N,)``."""
        first, others = self._first[lane], np.maximum(self.counts[lane] - 1, 1)
        fraction: Int64Array = first + (_ALL - first) * (window - 1) // others
        return np.where(window == 0, 0, fraction)

    def guess(self, lane: Int64Array, offset: Int64Array) -> Int64Array:
        """A window at, or not far from, the given offsets of a lane, ``(N,)``."""
        fraction = (offset + 0.5) * (_ALL / self.lanes.lengths[lane])
        first, others = self._first[lane], self.counts[lane] - 1
        window = np.floor(1 + (fraction - first) * others / np.maximum(_ALL - first, 1)).astype(np.int64)
        return np.clip(np.where(fraction < first, 0, window), 0, others)

    @once
    def _first(self) -> Int64Array:
        number = self.lanes.number
        halves = 2 * self.lanes.rank_order + 1 + number  # from 1/2 to 3/2, in units of 1 / (2 * number)
        return np.where(self.counts == 1, _ALL, _ALL * halves // (2 * number * self.counts))


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """One window, laid out.

    Args:
        start: offset in the lane of its first sample.
        ends: one past the last sample of each block, counted from the start of the window, ``(blocks,)``.
        shifts: sample at an index of the window, minus that index, for each block, ``(blocks,)``.
    """

    start: int
    ends: Int64Array
    shifts: Int64Array

    @property
    def size(self) -> int:
        return int(self.ends[-1]) if self.ends.size else 0


class EpochWindows:
    """The windows of one epoch: offset in a lane → sample.

    Args:
        lane_windows: the windows of each lane.
        seed: the seed of the order.
        epoch: the epoch.
    """

    def __init__(self, lane_windows: LaneWindows, seed: int, epoch: int) -> None:
        self.epoch = epoch
        self._lane_windows = lane_windows
        self._lanes, self._blocks = lane_windows.lanes, lane_windows.lanes.blocks
        self._mix_key = derive_key("mix of windows", seed, epoch)
        numbers = np.arange(self._lanes.counts.size).reshape(self._lanes.counts.shape)
        keys = derive_keys(derive_key("dither of windows", seed, epoch), numbers)
        self._dither = (keys >> np.uint64(64 - _FRACTION_BITS)).astype(np.int64)
        class_sizes = np.diff(self._blocks.class_starts)
        keys = derive_keys(derive_key("order of blocks", seed, epoch), np.arange(len(class_sizes)))
        self._block_order = KeyedPermutations(class_sizes, keys)
        self._cache: dict[tuple[int, int], _Window] = {}

    def samples(self, lane: Int64Array, offset: Int64Array) -> Int64Array:
        """The sample at each offset of a lane, ``(N,)`` each."""
        keys, windows, which = self._find(lane, offset)
        starts, sizes = np.asarray([(window.start, window.size) for window in windows], dtype=np.int64).T
        begins = np.cumsum(sizes) - sizes
        mix = KeyedPermutations(sizes, derive_keys(self._mix_key, keys))
        i = begins[which] + mix(which, offset - starts[which])
        # The windows one after the other, so that one search finds the blocks of all indices.
        row = list(zip(windows, begins, strict=True))
        ends = np.concatenate([window.ends + begin for window, begin in row])
        shifts = np.concatenate([window.shifts - begin for window, begin in row])
        samples: Int64Array = i + shifts[np.searchsorted(ends, i, side="right")]
        return samples

    def _find(self, lane: Int64Array, offset: Int64Array) -> tuple[Int64Array, list[_Window], Int64Array]:
        """The numbers of the windows of these offsets, the windows, and the one that each offset lies in."""
        number = self._lane_windows.guess(lane, offset)
        while True:
            numbers, which = _distinct(number * self._lanes.number + lane)
            windows = self._windows(numbers)
            starts = np.asarray([window.start for window in windows], dtype=np.int64)
            stops = np.asarray([window.start + window.size for window in windows], dtype=np.int64)
            is_low, is_high = offset < starts[which], offset >= stops[which]
            if not (is_low.any() or is_high.any()):
                return numbers, windows, which
            number = number + is_high - is_low

    def _windows(self, numbers: Int64Array) -> list[_Window]:
        """Windows by number, window after window of each lane; those of the last calls are cached."""
        requested, cache = numbers.tolist(), self._cache
        missing = [number for number in requested if number not in cache]
        if missing:
            if len(cache) > 4 * self._lanes.number:
                cache = {number: cache[number] for number in requested if number in cache}
            new = zip(missing, self._lay_out(np.asarray(missing)), strict=True)
            # A new dict, because another thread may be reading the old one.
            self._cache = cache = {**cache, **dict(new)}
        return [cache[number] for number in requested]

    def _lay_out(self, numbers: Int64Array) -> list[_Window]:
        window, lane = np.divmod(numbers, self._lanes.number)
        low, high = self._blocks_before(lane, window), self._blocks_before(lane, window + 1)
        starts = (low @ self._blocks.class_lengths).tolist()
        row, kind = np.nonzero(high > low)
        many = (high - low)[row, kind]
        kinds = np.repeat(kind, many)
        turns = flat_positions(low[row, kind], many)
        blocks = self._assigned_blocks(np.repeat(lane[row], many), kinds, turns)
        borders = np.cumsum((high - low).sum(axis=1))[:-1]  # the first block of each window but the first
        block_starts = np.split(self._blocks.starts_of(blocks), borders)
        lengths = np.split(self._blocks.class_lengths[kinds], borders)
        ends = [np.cumsum(length) for length in lengths]
        return [
            _Window(start, end, block_start - (end - length))
            for start, end, block_start, length in zip(starts, ends, block_starts, lengths, strict=True)
        ]

    def _blocks_before(self, lane: Int64Array, window: Int64Array) -> Int64Array:
        """The number of blocks of each class before a window of a lane, ``(N, classes)``."""
        fraction = self._lane_windows.before(lane, window)[:, None]
        before: Int64Array = (self._lanes.counts[lane] * fraction + self._dither[lane]) >> _FRACTION_BITS
        return before

    def _assigned_blocks(self, lane: Int64Array, kind: Int64Array, turn: Int64Array) -> Int64Array:
        """The blocks of a class that lanes get in the n-th turn."""
        first = self._blocks.class_starts[kind]
        block = self._lanes.first[lane, kind] + turn * self._lanes.number
        return first + self._block_order(kind, block - first)


def _distinct(numbers: Int64Array) -> tuple[Int64Array, Int64Array]:
    """The distinct numbers, ascending, and for each number its index among them."""
    low = int(numbers.min())
    span = int(numbers.max()) - low + 1
    if span > 4 * numbers.size:
        distinct, which = np.unique(numbers, return_inverse=True)
        return distinct, which
    # Neighbours in an epoch lie in neighbouring windows: a table is ten times as fast as sorting.
    is_used = np.zeros(span, dtype=np.bool_)
    is_used[numbers - low] = True
    i = np.cumsum(is_used) - 1
    return low + np.flatnonzero(is_used), i[numbers - low]
