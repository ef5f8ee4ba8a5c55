"""Draw samples with replacement by weight: slot of an epoch → sample, computed for each slot alone.

The samples, laid end to end by weight, are cut into as many equal strata as there are samples. Each slot draws one
point of its stratum::

    weights    ▕ a ▕ b ▕         c         ▕ d ▕ e ▕
    slots      ▕   0   ▕   1   ▕   2   ▕   3   ▕   4   ▕      0: a or b,  1 and 2: c,  3: c or d,  4: d or e

A random slot draws each sample with a probability exactly proportional to its weight. In an epoch a sample comes as
often as its weight says, to within two draws; independent draws would vary more. Slots are in the order of the samples,
so that they can be kept together by chunk.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Float64Array, Int64Array
from h5lightning.core.frozen import once
from h5lightning.core.permutation import derive_key, derive_keys

__all__ = ["StratifiedSampler", "class_weights"]

_FRACTION_BITS = 53  # of a float in [0, 1)


def class_weights(labels: npt.NDArray[np.generic]) -> Float64Array:
    """Weights that make all classes equally likely, and all samples of a class.

    Args:
        labels: the class of each sample, ``(N,)``.

    Returns:
        ``(N,)``, each the inverse of the size of the sample's class.
    """
    _, which, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    weights: Float64Array = 1.0 / sizes[which]
    return weights


@dataclass(frozen=True, eq=False)
class StratifiedSampler:
    """As many draws in an epoch as there are samples; O(log samples) for each of them.

    Args:
        below: weight of each sample and of all before it, not descending, ``(N,)``.
        seed: the seed of the draws.
    """

    below: Float64Array
    seed: int

    def __post_init__(self) -> None:
        if not self.below.size or not 0 < self.below[-1] < np.inf or not self.below[0] >= 0:
            raise ValueError("weights must be finite, at least 0, and not all 0")
        if not np.all(np.diff(self.below) >= 0):
            raise ValueError("weights must be at least 0")

    @classmethod
    def of(cls, weights: Float64Array, seed: int) -> StratifiedSampler:
        """The sampler for the weights of all samples, ``(N,)``, each finite and at least 0."""
        # Scaled by a power of two, which is exact, so that the sum of the largest floats does not overflow.
        _, exponent = np.frexp(weights.max(initial=0.0))
        return cls(np.cumsum(np.ldexp(weights, -exponent), dtype=np.float64), seed)

    @property
    def size(self) -> int:
        """Number of samples, and of draws in an epoch."""
        return int(self.below.size)

    def samples(self, epoch: int, slots: Int64Array) -> Int64Array:
        """The sample that each slot draws in an epoch, ``(N,)``; slots and samples are in [0, size)."""
        keys = derive_keys(derive_key("weighted draw", self.seed, epoch), slots)
        inside = (keys >> np.uint64(64 - _FRACTION_BITS)) * 2.0**-_FRACTION_BITS
        points = (slots + inside) * self._stratum
        # In ascending order the search is three times as fast, since neighbours look at the same weights.
        ascending = np.argsort(points)
        drawn = np.empty(points.shape, dtype=np.int64)
        # side="right": a point at the end of a sample belongs to the next one, and none to a sample without weight.
        drawn[ascending] = np.searchsorted(self.below, points[ascending], side="right")
        return np.minimum(drawn, self._last)

    def slots_before(self, samples: Int64Array) -> Int64Array:
        """The number of slots that mostly draw from samples before the given ones, ``(N,)`` in [0, size]."""
        weight = np.where(samples > 0, self.below[np.maximum(samples, 1) - 1], 0.0)
        return np.rint(weight / self._stratum).astype(np.int64)

    @once
    def _stratum(self) -> float:
        return float(self.below[-1]) / self.size

    @once
    def _last(self) -> int:
        """The last sample with weight; rounding may put a point at the very end."""
        return int(np.searchsorted(self.below, self.below[-1], side="left"))
