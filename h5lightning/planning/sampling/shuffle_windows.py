"""Windows: the blocks of a lane that are mixed with each other, one window after the other.

Where a window begins is arithmetic too. A window that ends at the share ``t`` of its lane leaves
``floor(t * count + dither)`` blocks of each length behind it: as many as fit, however unequal blocks are. The dither,
another one in each epoch, spreads blocks of rare lengths over the windows. Only windows that are asked for are laid
out; there are no more different lengths than a window has samples, so that this costs no more than its samples do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import Int64Array, flat_positions
from h5lightning.core.once import once
from h5lightning.core.permutation import KeyedPermutations, derive_key, derive_keys
from h5lightning.planning.sampling.lanes import Lanes

__all__ = ["EpochWindows", "WindowShares"]


_SHARE_BITS = 32  # shares of a lane are integers in [0, 2**32]: golden values need exact arithmetic
_ALL = 1 << _SHARE_BITS


@dataclass(frozen=True, eq=False)
class WindowShares:
    """Into which windows each lane is cut, the same in each epoch.

    The first window is between half and three halves as long as the others, in each lane another length: so that
    not all lanes change their windows at the same time, and no window is tiny.

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
        """The share of a lane before some of its windows, in units of 2**-32."""
        first, rest = self._first[lane], np.maximum(self.counts[lane] - 1, 1)
        share: Int64Array = first + (_ALL - first) * (window - 1) // rest
        return np.where(window == 0, 0, share)

    def guess(self, lane: Int64Array, offset: Int64Array) -> Int64Array:
        """A window at, or not far from, some offsets of a lane."""
        share = (offset + 0.5) * (_ALL / self.lanes.lengths[lane])
        first, rest = self._first[lane], self.counts[lane] - 1
        window = np.floor(1 + (share - first) * rest / np.maximum(_ALL - first, 1)).astype(np.int64)
        return np.clip(np.where(share < first, 0, window), 0, rest)

    @once
    def _first(self) -> Int64Array:
        number = self.lanes.number
        halves = 2 * self.lanes.seats + 1 + number  # from 1/2 to 3/2, in units of 1 / (2 * number)
        return np.where(self.counts == 1, _ALL, _ALL * halves // (2 * number * self.counts))


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """One window, laid out.

    Args:
        start: offset in the lane of its first sample.
        ends: one past the last sample of each block, counted from the start of the window, ``(blocks,)``.
        shifts: sample at a place of the window, less that place, for each block, ``(blocks,)``.
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
        shares: into which windows each lane is cut.
        seed: the seed of the order.
        epoch: the epoch.
    """

    def __init__(self, shares: WindowShares, seed: int, epoch: int) -> None:
        self.epoch = epoch
        self._shares = shares
        self._lanes, self._blocks = shares.lanes, shares.lanes.blocks
        self._mix_key = derive_key("mix of windows", seed, epoch)
        numbers = np.arange(self._lanes.counts.size).reshape(self._lanes.counts.shape)
        keys = derive_keys(derive_key("dither of windows", seed, epoch), numbers)
        self._dither = (keys >> np.uint64(64 - _SHARE_BITS)).astype(np.int64)
        class_sizes = np.diff(self._blocks.class_starts)
        keys = derive_keys(derive_key("order of blocks", seed, epoch), np.arange(len(class_sizes)))
        self._block_order = KeyedPermutations(class_sizes, keys)
        self._known: dict[tuple[int, int], _Window] = {}

    def samples(self, lane: Int64Array, offset: Int64Array) -> Int64Array:
        """The samples at offsets of lanes, ``(N,)`` each."""
        keys, windows, which = self._find(lane, offset)
        starts, sizes = np.asarray([(window.start, window.size) for window in windows], dtype=np.int64).T
        begins = np.cumsum(sizes) - sizes
        mix = KeyedPermutations(sizes, derive_keys(self._mix_key, keys))
        place = begins[which] + mix(which, offset - starts[which])
        # All windows in one row, one after the other, so that one search finds the blocks of all places.
        row = list(zip(windows, begins, strict=True))
        ends = np.concatenate([window.ends + begin for window, begin in row])
        shifts = np.concatenate([window.shifts - begin for window, begin in row])
        samples: Int64Array = place + shifts[np.searchsorted(ends, place, side="right")]
        return samples

    def _find(self, lane: Int64Array, offset: Int64Array) -> tuple[Int64Array, list[_Window], Int64Array]:
        """The windows of some offsets: their numbers and themselves, and which of them each offset lies in."""
        number = self._shares.guess(lane, offset)
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
        """Windows by number, window after window of each lane; those of the last calls are kept."""
        wanted, known = numbers.tolist(), self._known
        missing = [number for number in wanted if number not in known]
        if missing:
            if len(known) > 4 * self._lanes.number:
                known = {number: known[number] for number in wanted if number in known}
            new = zip(missing, self._lay_out(np.asarray(missing)), strict=True)
            # A new dict: another thread may be reading the old one.
            self._known = known = {**known, **dict(new)}
        return [known[number] for number in wanted]

    def _lay_out(self, numbers: Int64Array) -> list[_Window]:
        window, lane = np.divmod(numbers, self._lanes.number)
        low, high = self._blocks_before(lane, window), self._blocks_before(lane, window + 1)
        starts = (low @ self._blocks.class_lengths).tolist()
        row, kind = np.nonzero(high > low)
        many = (high - low)[row, kind]
        kinds = np.repeat(kind, many)
        dealt = flat_positions(low[row, kind], many)
        blocks = self._dealt_blocks(np.repeat(lane[row], many), kinds, dealt)
        block_starts = np.split(self._blocks.starts_of(blocks), borders := _borders(high - low))
        lengths = np.split(self._blocks.class_lengths[kinds], borders)
        ends = [np.cumsum(length) for length in lengths]
        return [
            _Window(start, end, block_start - (end - length))
            for start, end, block_start, length in zip(starts, ends, block_starts, lengths, strict=True)
        ]

    def _blocks_before(self, lane: Int64Array, window: Int64Array) -> Int64Array:
        """Blocks of each class that a lane has before a window, ``(N, classes)``."""
        share = self._shares.before(lane, window)[:, None]
        before: Int64Array = (self._lanes.counts[lane] * share + self._dither[lane]) >> _SHARE_BITS
        return before

    def _dealt_blocks(self, lane: Int64Array, kind: Int64Array, number: Int64Array) -> Int64Array:
        """The blocks that lanes got when blocks of a class were dealt to them for the n-th time."""
        first = self._blocks.class_starts[kind]
        dealt = self._lanes.first[lane, kind] + number * self._lanes.number
        return first + self._block_order(kind, dealt - first)


def _distinct(numbers: Int64Array) -> tuple[Int64Array, Int64Array]:
    """The different ones of some numbers, ascending, and where each of them is found there."""
    low = int(numbers.min())
    span = int(numbers.max()) - low + 1
    if span > 4 * numbers.size:
        different, which = np.unique(numbers, return_inverse=True)
        return different, which
    # Neighbours in an epoch lie in neighbouring windows: a table is ten times as fast as sorting.
    is_there = np.zeros(span, dtype=np.bool_)
    is_there[numbers - low] = True
    place = np.cumsum(is_there) - 1
    return low + np.flatnonzero(is_there), place[numbers - low]


def _borders(counts: Int64Array) -> Int64Array:
    """Where the blocks of one window end and those of the next begin."""
    borders: Int64Array = np.cumsum(counts.sum(axis=1))[:-1]
    return borders
