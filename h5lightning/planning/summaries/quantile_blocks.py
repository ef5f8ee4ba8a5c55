"""Collects the values of each channel, sorts many of them at a time, and keeps a summary."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray
from h5lightning.planning.summaries.quantile_summary import QuantileSummary, SummaryTree, values_kept

__all__ = ["QuantileBlocks"]

Array = npt.NDArray[Any]

_SORTED_BYTES = 32 * 1024 * 1024  # of all channels
_MOST_SORTED = 524_288  # values of a channel


class QuantileBlocks:
    """The quantiles of one part of the data.

    Args:
        channels: how many channels there are.
    """

    def __init__(self, channels: int) -> None:
        self._kept = values_kept(channels)
        self._trees = [SummaryTree(self._kept) for _ in range(channels)]
        self._waiting: list[list[Array]] = [[] for _ in range(channels)]
        self._sizes = [0] * channels
        self._most = max(2 * self._kept, min(_MOST_SORTED, _SORTED_BYTES // (8 * channels)))

    def add(
        self, values: Array, is_valid: BoolArray | None = None, weights: npt.NDArray[Any] | None = None
    ) -> None:
        """Add a block of numbers; see `MomentSums.add`."""
        is_counted = np.isfinite(values) if values.dtype.kind == "f" else None
        if is_valid is not None:
            is_counted = is_valid if is_counted is None else is_counted & is_valid
        if is_counted is not None:
            is_counted = None if is_counted.all() else np.broadcast_to(is_counted, values.shape)
        times = None if weights is None else np.broadcast_to(weights[:, None], (len(values), values.shape[2]))
        for channel in range(values.shape[1]):
            own = values[:, channel]
            if times is not None:
                chosen = times > 0 if is_counted is None else is_counted[:, channel] & (times > 0)
                one = QuantileSummary.of_weighted(own[chosen], times[chosen], self._kept)
                self._trees[channel].add(one)
                continue
            self._add(channel, own.reshape(-1) if is_counted is None else own[is_counted[:, channel]])

    def summaries(self) -> list[QuantileSummary]:
        """The summary of each channel."""
        for channel in range(len(self._trees)):
            self._sort(channel)
        return [tree.total() for tree in self._trees]

    def _add(self, channel: int, values: Array) -> None:
        for start in range(0, len(values), self._most):
            part = values[start : start + self._most]
            if self._sizes[channel] + len(part) > self._most:
                self._sort(channel)
            self._waiting[channel].append(part.copy())
            self._sizes[channel] += len(part)

    def _sort(self, channel: int) -> None:
        if not self._sizes[channel]:
            return
        values = np.concatenate(self._waiting[channel])
        self._waiting[channel], self._sizes[channel] = [], 0
        # Numbers of 16 bits are sorted by their digits.
        values.sort(kind="stable" if values.dtype.itemsize <= 2 and values.dtype.kind != "f" else None)
        self._trees[channel].add(QuantileSummary.of_sorted(values, self._kept))
