"""Samples that are boxes of a dataset: rows along another axis than the first, or windows along several axes."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.options import Samples, Whole, Windows
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.planning.row_numbers import AlongAxes

__all__ = ["BoxWindows"]


@dataclasses.dataclass(frozen=True, slots=True)
class BoxWindows:
    """The boxes that samples take of a dataset.

    Args:
        shape: the shape of the dataset; of the one with most numbers, where files differ.
        axes: the axes along which windows lie; rows lie along the first one.
        series_axis: the axis whose entries are series; None if there is none.
        lengths: entries of a window along each of the axes, from its first to its last one.
        strides: entries from the start of one window to that of the next one; 1 where windows are jittered.
        numbers: numbers of all datasets.
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    series_axis: int | None
    lengths: tuple[int, ...]
    strides: tuple[int, ...]
    numbers: int

    @classmethod
    def of(
        cls, numbers: AlongAxes, samples: Samples, schema: DatasetSchema, lengths: Int64Array
    ) -> BoxWindows:
        """The boxes of datasets that are stored in the same way but for the lengths along these axes.

        Args:
            numbers: the axes of the field.
            samples: how samples lie in a series.
            schema: the largest of the datasets.
            lengths: lengths of all datasets, ``(datasets, ndim)``.
        """
        ndim = len(schema.shape)
        shape = tuple(lengths[int(lengths.prod(axis=1).argmax())].tolist())
        axes = tuple(axis % ndim for axis in numbers.axes)
        sizes, strides = (1,) * len(axes), (1,) * len(axes)
        if isinstance(samples, Whole):
            sizes = (shape[axes[0]],)
        elif isinstance(samples, Windows):
            sizes = (samples.span_rows, *samples.lengths[1:])[: len(axes)]
            strides = strides if samples.jitter else samples.strides[: len(axes)]
        numbers_of_all = int(lengths.clip(0).prod(axis=1).sum())
        return cls(shape, axes, numbers.series_axis, sizes, strides, numbers_of_all)

    @property
    def row_axes(self) -> tuple[int, ...]:
        """The axes whose lengths, multiplied, are the rows."""
        return self.axes[:1] if self.series_axis is None else (self.series_axis, self.axes[0])

    @property
    def sizes(self) -> tuple[int, ...]:
        """Entries of a box along each axis of the dataset."""
        sizes = list(self.shape)
        for axis, length in zip(self.axes, self.lengths, strict=True):
            sizes[axis] = min(length, sizes[axis])
        if self.series_axis is not None:
            sizes[self.series_axis] = 1
        return tuple(sizes)

    def chunks_of_box(self, chunks: tuple[int, ...]) -> float:
        """Chunks that a box lies in, on average over all boxes of the largest dataset."""
        strides = dict(zip(self.axes, self.strides, strict=True))
        return math.prod(
            _touched(length, size, strides.get(axis, 1), chunk)
            for axis, (length, size, chunk) in enumerate(zip(self.shape, self.sizes, chunks, strict=True))
        )


def _touched(length: int, size: int, stride: int, chunk: int) -> float:
    """Chunks along one axis that a window lies in, on average over its starts."""
    starts = np.arange(0, max(1, length - size + 1), stride)
    return float(((starts + max(1, size) - 1) // chunk - starts // chunk + 1).mean())
