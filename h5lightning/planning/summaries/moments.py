"""Mean, spread and extremes of numbers, for each channel; of two parts of the data, those of both.

Merged by the formulas of Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance", in float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from h5lightning.core.arrays import Float64Array, Int64Array
from h5lightning.core.frozen import EqualByValue

__all__ = ["Moments"]


@dataclass(frozen=True, slots=True, eq=False)
class Moments(EqualByValue):
    """Mean, spread and extremes of numbers, for each channel; all arrays ``(channels,)``.

    Args:
        count: how many numbers count.
        mean: their mean; 0 where none counts.
        squares: the sum of the squares of their distances from the mean.
        min: the least of them; infinity where none counts.
        max: the greatest of them; minus infinity where none counts.
        nonfinite: numbers that are NaN or infinite, which do not count.
        masked: numbers that were left out.
    """

    count: Int64Array
    mean: Float64Array
    squares: Float64Array
    min: Float64Array
    max: Float64Array
    nonfinite: Int64Array
    masked: Int64Array

    @classmethod
    def none(cls, channels: int) -> Self:
        """Those of no numbers."""
        zeros, counts = np.zeros(channels), np.zeros(channels, np.int64)
        ends = np.full(channels, np.inf), np.full(channels, -np.inf)
        return cls(counts, zeros, zeros, *ends, counts, counts)

    def merged(self, other: Self) -> Self:
        """Those of both parts of the data."""
        count = self.count + other.count
        share = other.count / np.maximum(count, 1)
        distance = other.mean - self.mean
        with np.errstate(over="ignore", invalid="ignore"):  # as float64 has it
            mean = np.where(self.count == 0, other.mean, self.mean + distance * share)
            squares = self.squares + other.squares + distance * distance * (share * self.count)
        return type(self)(
            count,
            np.where(other.count == 0, self.mean, mean),
            squares,
            np.minimum(self.min, other.min),
            np.maximum(self.max, other.max),
            self.nonfinite + other.nonfinite,
            self.masked + other.masked,
        )

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All arrays by name, to be stored."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """The moments from stored arrays."""
        return cls(**{item.name: arrays[item.name] for item in fields(cls)})
