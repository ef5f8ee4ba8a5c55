"""Adds up numbers of all channels, a block at a time, in memory that the processor's cache holds.

Sums are those of distances from a number of their own channel, in float64. So a mean that is large beside the spread
costs no digits: the sum of squares is at least the square of the largest distance, and each rounding is small beside
it. Where the mean of a block is not large beside its spread, distances from 0 tell the same, and take half the time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray, Float64Array, Int64Array
from h5lightning.planning.summaries.moments import Moments

__all__ = ["MomentSums"]

Array = npt.NDArray[Any]

_BLOCK = 65_536  # numbers, so that they and their distances lie in the cache of a core
_FAR = 1e4  # the square of a mean beside the spread that costs 4 of 16 digits
_LEAST_NUMBERS = 16
_LEAST_WIDTH = 512  # numbers that are added to others at a time


class MomentSums:
    """Sums of one part of the data.

    Args:
        channels: how many channels there are.
    """

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._shift = np.zeros(channels)
        self._is_shifted = np.zeros(channels, np.bool_)
        self._all_shifted = False
        self._count = np.zeros(channels, np.int64)
        self._sum = np.zeros(channels)
        self._squares = np.zeros(channels)
        self._min = np.full(channels, np.inf)
        self._max = np.full(channels, -np.inf)
        self._nonfinite = np.zeros(channels, np.int64)
        self._masked = np.zeros(channels, np.int64)
        self._is_far = False  # whether the mean of a block was far from 0
        self._memory: list[Array] = [np.empty(0), np.empty(0)]

    def add(
        self, values: Array, is_valid: BoolArray | None = None, weights: Int64Array | None = None
    ) -> None:
        """Add a block of numbers.

        Args:
            values: numbers of one type, or bool, ``(N, channels, M)``.
            is_valid: which of them count, of the same shape or one that broadcasts to it; None for all.
            weights: how often each of the N entries counts; None for once.
        """
        if not values.size:
            return
        if self._channels == 1 and values.flags.c_contiguous and is_valid is None and weights is None:
            values = values.reshape(-1, 1, 1)
        if is_valid is not None:
            is_valid = np.broadcast_to(is_valid, values.shape)
        entry = math.prod(values.shape[1:])
        step = max(1, _BLOCK // entry)
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, len(values), step):
                part = slice(start, start + step)
                some = np.ascontiguousarray(values[part])
                if is_valid is None and weights is None and self._add_plain(some):
                    continue
                valid = None if is_valid is None else is_valid[part]
                self._add_chosen(some, valid, None if weights is None else weights[part])

    def moments(self) -> Moments:
        """The moments of all numbers so far."""
        least = np.maximum(self._count, 1)
        with np.errstate(over="ignore", invalid="ignore"):
            distance = self._sum / least
            squares = np.maximum(self._squares - self._sum * distance, 0)
            mean = np.where(self._count > 0, self._shift + distance, 0.0)
        counts = self._count.copy(), self._nonfinite.copy(), self._masked.copy()
        return Moments(counts[0], mean, squares, self._min.copy(), self._max.copy(), *counts[1:])

    def _add_plain(self, values: Array) -> bool:
        """Add numbers that all count; False, with nothing added, if some are not finite."""
        if not self._all_shifted:
            first = values[0, :, 0].astype(np.float64)
            if not np.isfinite(first).all():
                return False
            self._set_shift(np.ones(self._channels, np.bool_), first)
        # Of few numbers, the spread says little.
        is_near = not self._is_far and values.shape[0] * values.shape[2] >= _LEAST_NUMBERS
        block = self._block(values, None) if is_near else None
        if block is None or (block.is_finite and block.is_far):
            self._is_far |= is_near
            block = self._block(values, self._shift)
        if not block.is_finite:
            return False
        distance = block.mean - self._shift if block.shift is None else block.mean
        self._count += block.count
        self._sum += block.count * distance
        self._squares += block.squares + block.count * distance * distance
        np.minimum(self._min, block.least, out=self._min)
        np.maximum(self._max, block.most, out=self._max)
        return True

    def _block(self, values: Array, shift: Float64Array | None) -> _Block:
        """The sums of contiguous numbers, as distances from the shift; from 0 if there is none."""
        entries, channels, beside = values.shape
        each = None if shift is None else shift.repeat(beside)
        parts = []
        for part in _folded(values.reshape(entries, channels * beside)):
            work = self._work(part, each)
            if len(work) == 1:
                found = work.copy(), work * work, part, part
            else:
                found = (
                    np.add.reduce(work, axis=0),
                    np.einsum("ij,ij->j", work, work),
                    np.minimum.reduce(part, axis=0),
                    np.maximum.reduce(part, axis=0),
                )
            parts.append([one.reshape(-1, channels, beside) for one in found])
        sums, squares, least, most = (list(one) for one in zip(*parts, strict=True))
        return _Block(
            entries * beside,
            shift,
            _total(np.add, sums),
            _total(np.add, squares),
            _total(np.minimum, least),
            _total(np.maximum, most),
        )

    def _work(self, part: Array, shift: Float64Array | None) -> Array:
        """Rows ``(n, width)`` in a type in which they are added, less a row of shifts, in memory that is used again."""
        # Sums of squares of 256 bytes are whole numbers that float32 holds.
        is_small = (
            shift is None and part.dtype.itemsize == 1 and part.dtype.kind in "biu" and len(part) <= 256
        )
        kind, dtype = int(is_small), np.dtype(np.float32 if is_small else np.float64)
        if self._memory[kind].size < part.size:
            self._memory[kind] = np.empty(part.size, dtype)
        work = self._memory[kind][: part.size].reshape(part.shape)
        np.copyto(work, part)
        if shift is not None:
            work -= np.tile(shift, part.shape[1] // len(shift))
        return work

    def _add_chosen(self, values: Array, is_valid: BoolArray | None, weights: Int64Array | None) -> None:
        """Add the numbers that count, each entry as often as its weight says."""
        counts = np.ones(len(values), np.int64) if weights is None else weights
        times = counts[:, None, None]
        is_finite = np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, np.bool_)
        if is_valid is not None:
            self._masked += (~is_valid * times).sum(axis=(0, 2))
            self._nonfinite += ((~is_finite & is_valid) * times).sum(axis=(0, 2))
            is_finite = is_finite & is_valid
        else:
            self._nonfinite += (~is_finite * times).sum(axis=(0, 2))
        is_counted = is_finite & (times > 0)
        has_some: BoolArray = np.logical_or.reduce(is_counted, axis=(0, 2))
        self._set_shift(has_some, _first_of(values, is_counted))
        distances = np.where(is_counted, values - self._shift[:, None], 0.0)
        self._sum += (distances * times).sum(axis=(0, 2))
        self._squares += (distances * distances * times).sum(axis=(0, 2))
        self._count += (is_counted * times).sum(axis=(0, 2))
        exact = values.astype(np.float64)
        np.minimum(self._min, np.where(is_counted, exact, np.inf).min(axis=(0, 2)), out=self._min)
        np.maximum(self._max, np.where(is_counted, exact, -np.inf).max(axis=(0, 2)), out=self._max)

    def _set_shift(self, where: BoolArray, numbers: Float64Array) -> None:
        """Take distances from these numbers, in the channels that had none before."""
        if self._all_shifted:
            return
        is_new = where & ~self._is_shifted
        self._shift[is_new] = numbers[is_new]
        self._is_shifted |= is_new
        self._all_shifted = bool(self._is_shifted.all())


class _Block:
    """The sums of a block of numbers that all count.

    Args:
        count: numbers of each channel.
        shift: what distances were taken from; None for 0.
        sums: the sum of the distances of each channel.
        squares: the sum of their squares.
        least: the least number of each channel.
        most: the greatest one.
    """

    __slots__ = ("count", "is_finite", "least", "mean", "most", "shift", "squares")

    def __init__(
        self,
        count: int,
        shift: Float64Array | None,
        sums: Float64Array,
        squares: Float64Array,
        least: Float64Array,
        most: Float64Array,
    ) -> None:
        self.count, self.shift, self.least, self.most = count, shift, least, most
        self.is_finite = bool(np.isfinite(sums).all())
        self.mean = sums / count
        self.squares = np.maximum(squares - sums * self.mean, 0)

    @property
    def is_far(self) -> bool:
        """Whether a mean is so large beside the spread that digits are lost."""
        return bool((self.count * self.mean * self.mean > _FAR * self.squares).any())


def _total(reduce: np.ufunc, parts: Sequence[Array]) -> Float64Array:
    """The sum, or an end, of each channel, from those of parts, ``(n, channels, beside)`` each."""
    totals = []
    for part in parts:
        if part.shape[0] == 1 and part.shape[2] == 1:
            totals.append(part[0, :, 0].astype(np.float64))
        else:
            dtype = np.float64 if reduce is np.add else None
            totals.append(reduce.reduce(part, axis=(0, 2), dtype=dtype).astype(np.float64))
    total: Float64Array = totals[0] if len(totals) == 1 else reduce(*totals)
    return total


def _folded(values: Array) -> Iterator[Array]:
    """Rows ``(N, width)`` with narrow ones side by side, many at a time: NumPy is slow with short ones."""
    entries, width = values.shape
    fold = min(entries, -(-_LEAST_WIDTH // width))
    whole = entries // fold * fold
    yield values[:whole].reshape(-1, fold * width)
    if whole < entries:
        yield values[whole:]


def _first_of(values: Array, is_counted: BoolArray) -> Float64Array:
    """The first number that counts in each channel; any one where none counts."""
    by_channel = np.moveaxis(is_counted, 1, 0).reshape(values.shape[1], -1)
    entry, place = np.divmod(by_channel.argmax(axis=1), values.shape[2])
    first: Float64Array = values[entry, np.arange(values.shape[1]), place].astype(np.float64)
    return first
