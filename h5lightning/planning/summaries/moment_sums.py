"""Adds up numbers of all channels, a block at a time, in memory that the processor's cache holds.

Numbers are summed as distances from a number of their own channel, in float64. So a mean that is large beside the
spread costs no digits: the sum of squares is at least the square of the largest distance, and each rounding is small
beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray, Float64Array, Int64Array
from h5lightning.planning.summaries.moments import Moments

__all__ = ["MomentSums"]

Array = npt.NDArray[Any]

_BLOCK = 65_536  # numbers, so that they and their distances lie in the cache of a core
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
        self._work = np.empty(0)
        self._tiled: dict[int, Float64Array] = {}  # the shift, as often as entries lie side by side

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
        parts = [*_folded(values)]
        found = [_reduced(part, self._distances(part)) for part in parts]
        if not all(np.isfinite(sums).all() for sums, *_ in found):
            return False
        for each in found:
            sums, squares, least, most = (one.reshape(-1, self._channels) for one in each)
            self._sum += sums.sum(axis=0)
            self._squares += squares.sum(axis=0)
            np.minimum(self._min, least.min(axis=0), out=self._min)
            np.maximum(self._max, most.max(axis=0), out=self._max)
        self._count += values.shape[0] * values.shape[2]
        return True

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
        self._tiled.clear()
        self._all_shifted = bool(self._is_shifted.all())

    def _distances(self, values: Array) -> Float64Array:
        """The distances of numbers ``(N, channels, M)``, whose channels may be repeated, from those of the channels."""
        if self._work.size < values.size:
            self._work = np.empty(values.size)
        out = self._work[: values.size].reshape(values.shape)
        width = values.shape[1]
        if width not in self._tiled:
            self._tiled[width] = np.tile(self._shift, width // self._channels)
        np.subtract(values, self._tiled[width][:, None], out=out, dtype=np.float64, casting="unsafe")
        return out


def _folded(values: Array) -> Iterator[Array]:
    """The numbers with narrow entries side by side, many at a time: NumPy is slow with short ones."""
    entries, channels, beside = values.shape
    fold = min(entries, -(-_LEAST_WIDTH // channels))
    if beside > 1 or fold < 2:
        yield values
        return
    whole = entries // fold * fold
    yield values[:whole].reshape(-1, fold * channels, 1)
    if whole < entries:
        yield values[whole:]


def _reduced(values: Array, distances: Float64Array) -> tuple[Array, ...]:
    """The sum of the distances, that of their squares, and the ends of the numbers, in each channel.

    The distances are lost.
    """
    sums = _by_channel(np.add, distances)
    np.multiply(distances, distances, out=distances)
    squares = _by_channel(np.add, distances)
    return sums, squares, _by_channel(np.minimum, values), _by_channel(np.maximum, values)


def _by_channel(reduce: np.ufunc, values: Array) -> Array:
    """The sum, or the least or greatest number, of each channel of contiguous numbers ``(N, channels, M)``."""
    if values.shape[2] == 1:
        return reduce.reduce(values[..., 0], axis=0)  # type: ignore[no-any-return]
    return reduce.reduce(reduce.reduce(values, axis=2), axis=0)  # type: ignore[no-any-return]


def _first_of(values: Array, is_counted: BoolArray) -> Float64Array:
    """The first number that counts in each channel; any one where none counts."""
    by_channel = np.moveaxis(is_counted, 1, 0).reshape(values.shape[1], -1)
    entry, place = np.divmod(by_channel.argmax(axis=1), values.shape[2])
    first: Float64Array = values[entry, np.arange(values.shape[1]), place].astype(np.float64)
    return first
