"""Statistics of the rows of the train split, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Float64Array, Int64Array
from h5lightning.options import Normalize

QUANTILES = (0.01, 0.99)  # that `Normalize` puts at −1 and 1

__all__ = ["FieldStatistics", "StatisticsRequest"]


@dataclass(frozen=True, slots=True)
class StatisticsRequest:
    """What to compute of a field.

    Args:
        per: what has statistics of its own; see `Normalize`.
        where: the key of the field that says which elements count; None for all.
        quantiles: the quantiles to compute, such as 0.01; they take longer.
    """

    per: str = "last"
    where: str | None = None
    quantiles: tuple[float, ...] = ()

    @classmethod
    def of(cls, normalize: Normalize) -> StatisticsRequest:
        """What a normalisation needs."""
        quantiles = QUANTILES if normalize.kind == "quantile" else ()
        return cls(normalize.per, normalize.where, quantiles)


@dataclass(frozen=True, slots=True, eq=False)
class FieldStatistics:
    """Statistics of the decoded values of one field, each row of the train split once.

    All arrays have one shape, which `Normalize.per` says: that of the last axis of a row (``last``), of its first axis
    (``first``), of a row (``element``), or none (``all``). Values that are not finite, and those that ``where`` leaves
    out, do not count.

    Args:
        mean: means.
        std: standard deviations, divided by the number of values (ddof 0).
        min: least values; NaN where no value counts.
        max: greatest values.
        count: number of values.
        nonfinite: number of values that are NaN or infinite; missing values among them.
        masked: number of values that ``where`` leaves out.
        quantiles: quantile, such as 0.01 → its value; empty unless asked.
        classes: how often each category occurs, ``(classes,)``; None for a field without categories.
    """

    mean: Float64Array
    std: Float64Array
    min: Float64Array
    max: Float64Array
    count: Int64Array
    nonfinite: Int64Array
    masked: Int64Array
    quantiles: Mapping[float, Float64Array]
    classes: npt.NDArray[np.int64] | None = None
