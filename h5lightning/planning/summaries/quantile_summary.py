"""Quantiles of any number of values from a small summary of them, which can be merged.

A summary keeps at most so many values, each for an equal share of the ranks, as Greenwald and Khanna do in
"Power-conserving computation of order-statistics over sensor networks" (2004). Leaving values out moves the rank of
each by half a share at most. Summaries of equally many blocks are merged in pairs, as digits are carried when numbers
are counted, so that the values of n blocks are thinned out log2(n) times. Nothing is random.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Float64Array

__all__ = ["MOST_CHANNELS", "QuantileSummary", "SummaryTree", "values_kept"]

_BUDGET_BYTES = 64 * 1024 * 1024
_LIVE = 24  # summaries that are held at the same time, about
_LEAST, _MOST = 2048, 8192  # values that a summary keeps
MOST_CHANNELS = _BUDGET_BYTES // (8 * _LIVE * _LEAST)


def values_kept(channels: int) -> int:
    """The values that summaries of so many channels keep, so that all of them fit into 64 MiB."""
    fitting = _BUDGET_BYTES // (8 * _LIVE * max(1, channels))
    return min(_MOST, max(_LEAST, 1 << max(0, fitting.bit_length() - 1)))


@dataclass(frozen=True, slots=True, eq=False)
class QuantileSummary:
    """Some of many values: each stands for an equal share of them.

    Args:
        values: ascending, ``(n,)``.
        count: how many values it stands for; n if it has all of them.
    """

    values: Float64Array
    count: int

    @classmethod
    def none(cls) -> QuantileSummary:
        """That of no values."""
        return cls(np.zeros(0), 0)

    @classmethod
    def of_sorted(cls, values: npt.NDArray[Any], kept: int) -> QuantileSummary:
        """That of ascending values."""
        count = len(values)
        if count > kept:  # the value in the middle of each share
            values = values[((np.arange(kept) + 0.5) * (count / kept)).astype(np.int64)]
        return cls(values.astype(np.float64), count)

    @classmethod
    def of_weighted(cls, values: npt.NDArray[Any], weights: npt.NDArray[Any], kept: int) -> QuantileSummary:
        """That of values that occur so often each, at least once."""
        order = np.argsort(values, kind="stable")
        count, ends = int(weights.sum()), np.cumsum(weights[order])
        size = min(kept, count)
        middle = (np.arange(size) + 0.5) * (count / size) if size else np.zeros(0)
        return cls(values[order][ends.searchsorted(middle)].astype(np.float64), count)

    def merged(self, other: QuantileSummary, kept: int) -> QuantileSummary:
        """That of the values of both."""
        if not self.count or not other.count:
            return other if not self.count else self
        values = np.concatenate([self.values, other.values])
        order = np.argsort(values, kind="stable")
        values, count = values[order], self.count + other.count
        if len(values) == count <= kept:
            return QuantileSummary(values, count)
        shares = [one.count / len(one.values) for one in (self, other)]
        weights = np.repeat(shares, [len(self.values), len(other.values)])[order]
        size = min(kept, len(values))
        middle = (np.arange(size) + 0.5) * (count / size)
        chosen = np.cumsum(weights).searchsorted(middle)
        return QuantileSummary(values[np.minimum(chosen, len(values) - 1)], count)

    def quantiles(self, shares: Sequence[float]) -> Float64Array:
        """The values below which these shares of all values lie, as `numpy.quantile` has them; NaN if there is none."""
        if not self.count:
            return np.full(len(shares), np.nan)
        weight = self.count / len(self.values)
        middle = (np.arange(len(self.values)) + 0.5) * weight
        return np.interp(np.asarray(shares) * (self.count - 1) + 0.5, middle, self.values)


class SummaryTree:
    """Merges the summaries of blocks in the order in which they come, in pairs of equally many blocks.

    Args:
        kept: values that a summary keeps.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._levels: list[QuantileSummary | None] = []

    def add(self, summary: QuantileSummary) -> None:
        """Add the values of one block."""
        for level, known in enumerate(self._levels):
            if known is None:
                self._levels[level] = summary
                return
            summary = known.merged(summary, self._kept)
            self._levels[level] = None
        self._levels.append(summary)

    def total(self) -> QuantileSummary:
        """The summary of all values."""
        total = QuantileSummary.none()
        for one in self._levels:
            if one is not None:
                total = one.merged(total, self._kept)
        return total

    @classmethod
    def of_all(cls, parts: Iterable[QuantileSummary], kept: int) -> QuantileSummary:
        """The summary of the values of several parts, in their order."""
        tree = cls(kept)
        for part in parts:
            tree.add(part)
        return tree.total()
