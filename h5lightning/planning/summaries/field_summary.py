"""All that is computed of one field, for a part of the data; merged, for all of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.planning.statistics import FieldStatistics
from h5lightning.planning.summaries.moment_sums import MomentSums
from h5lightning.planning.summaries.moments import Moments
from h5lightning.planning.summaries.quantile_blocks import QuantileBlocks
from h5lightning.planning.summaries.quantile_summary import QuantileSummary, SummaryTree, values_kept

__all__ = ["FieldSummary", "FieldSums", "SummaryForm", "SummaryTotal"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class SummaryForm:
    """What is computed of a field.

    Args:
        channels: how many channels have statistics of their own.
        classes: how many categories there are; None for a field without categories.
        has_quantiles: whether quantiles are asked for.
    """

    channels: int
    classes: int | None = None
    has_quantiles: bool = False

    def nbytes(self, kept: int) -> int:
        """Bytes of a summary that keeps so many values for the quantiles of each channel, at most."""
        quantiles = kept + 2 if self.has_quantiles else 0
        return 8 * (self.channels * (7 + quantiles) + (self.classes or 0))


@dataclass(frozen=True, slots=True, eq=False)
class FieldSummary:
    """What was computed of one part of the data.

    Args:
        moments: of each channel.
        classes: how often each category occurs, ``(classes,)``; None for a field without categories.
        quantiles: of each channel; empty unless asked for.
    """

    moments: Moments
    classes: Int64Array | None = None
    quantiles: tuple[QuantileSummary, ...] = ()

    def statistics(self, channels: tuple[int, ...], quantiles: Iterable[float]) -> FieldStatistics:
        """The statistics of the field; ``channels`` is the shape that they have."""
        moments, shares = self.moments, tuple(quantiles)
        is_empty = moments.count == 0
        with np.errstate(over="ignore", invalid="ignore"):
            std = np.sqrt(moments.squares / np.maximum(moments.count, 1))
        found = np.stack([one.quantiles(shares) for one in self.quantiles]) if shares else None
        return FieldStatistics(
            mean=np.where(is_empty, np.nan, moments.mean).reshape(channels),
            std=np.where(is_empty, np.nan, std).reshape(channels),
            min=np.where(is_empty, np.nan, moments.min).reshape(channels),
            max=np.where(is_empty, np.nan, moments.max).reshape(channels),
            count=moments.count.reshape(channels),
            nonfinite=moments.nonfinite.reshape(channels),
            masked=moments.masked.reshape(channels),
            quantiles={}
            if found is None
            else {share: found[:, number].reshape(channels) for number, share in enumerate(shares)},
            classes=self.classes,
        )

    def arrays(self) -> dict[str, Array]:
        """All arrays by name, to be stored."""
        found: dict[str, Array] = dict(self.moments.arrays())
        if self.classes is not None:
            found["classes"] = self.classes
        if self.quantiles:
            found["values"] = np.concatenate([one.values for one in self.quantiles])
            found["sizes"] = np.asarray([len(one.values) for one in self.quantiles])
            found["counts"] = np.asarray([one.count for one in self.quantiles])
        return found

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> FieldSummary:
        """The summary from stored arrays."""
        quantiles: tuple[QuantileSummary, ...] = ()
        if "values" in arrays:
            parts = np.split(arrays["values"], np.cumsum(arrays["sizes"])[:-1])
            counts = arrays["counts"].tolist()
            quantiles = tuple(QuantileSummary(*one) for one in zip(parts, counts, strict=True))
        return cls(Moments.from_arrays(arrays), arrays.get("classes"), quantiles)


class SummaryTotal:
    """Merges the summaries of parts of the data in their order.

    Args:
        form: what is computed.
        kept: values that are kept for the quantiles of each channel; None for as many as fit.
    """

    def __init__(self, form: SummaryForm, kept: int | None = None) -> None:
        self._moments = Moments.none(form.channels)
        self._classes = None if form.classes is None else np.zeros(form.classes, np.int64)
        kept = kept or values_kept(form.channels)
        self._trees = [SummaryTree(kept) for _ in range(form.channels if form.has_quantiles else 0)]

    def add(self, part: FieldSummary) -> None:
        """Add the next part."""
        self._moments = self._moments.merged(part.moments)
        if self._classes is not None and part.classes is not None:
            self._classes = self._classes + part.classes
        for tree, one in zip(self._trees, part.quantiles, strict=True):
            tree.add(one)

    def summary(self) -> FieldSummary:
        """That of all parts."""
        return FieldSummary(self._moments, self._classes, tuple(tree.total() for tree in self._trees))


class FieldSums:
    """Adds up the numbers of one field in a part of the data."""

    def __init__(self, form: SummaryForm) -> None:
        self._form = form
        self._moments = MomentSums(form.channels)
        self._classes = None if form.classes is None else np.zeros(form.classes, np.int64)
        self._quantiles = QuantileBlocks(form.channels) if form.has_quantiles else None

    def add(
        self, values: Array, is_valid: BoolArray | None = None, weights: Int64Array | None = None
    ) -> None:
        """Add numbers ``(N, channels, M)``; see `MomentSums.add`."""
        self._moments.add(values, is_valid, weights)
        if self._quantiles is not None:
            self._quantiles.add(values, is_valid, weights)
        if self._classes is not None:
            self._count(values, is_valid, weights)

    def summary(self) -> FieldSummary:
        """What was computed."""
        quantiles = () if self._quantiles is None else tuple(self._quantiles.summaries())
        return FieldSummary(self._moments.moments(), self._classes, quantiles)

    def _count(self, values: Array, is_valid: BoolArray | None, weights: Int64Array | None) -> None:
        """Count the categories; a number that is none of them does not count."""
        assert self._classes is not None
        is_class = (values >= 0) & (values < len(self._classes))
        if is_valid is not None:
            is_class &= is_valid
        numbers = values[is_class].astype(np.int64)
        times = None
        if weights is not None:
            times = np.broadcast_to(weights[:, None, None], values.shape)[is_class]
        counts = np.bincount(numbers, weights=times, minlength=len(self._classes))
        self._classes = self._classes + counts.astype(np.int64)
