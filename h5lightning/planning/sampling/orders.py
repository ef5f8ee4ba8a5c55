"""What an order is, and the two that know nothing of chunks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.permutation import KeyedPermutation, derive_key

__all__ = ["FullOrder", "Order", "PathOrder"]


class Order(Protocol):
    """The samples of an epoch: a bijection of the positions of a split, or draws by weight; others in each epoch."""

    @property
    def size(self) -> int:
        """Number of samples."""

    @property
    def lanes(self) -> int:
        """Number of lanes: samples of one lane come from the same few chunks."""

    @property
    def block_samples(self) -> int:
        """Samples that lie side by side and come close together in an epoch: those of most blocks; 1 for none."""

    def lanes_of(self, positions: Int64Array) -> Int64Array:
        """The lane, ``(N,)`` in [0, lanes), of the positions, ``(N,)``, of any epoch."""

    def samples(self, epoch: int, positions: Int64Array) -> Int64Array:
        """The samples, ``(N,)`` in [0, size), at the positions, ``(N,)``, of an epoch."""


@dataclass(frozen=True, slots=True)
class PathOrder:
    """File after file, row after row, the same in each epoch."""

    size: int

    @property
    def lanes(self) -> int:
        """One: neighbours share their chunks."""
        return 1

    @property
    def block_samples(self) -> int:
        """One: what comes together already lies side by side."""
        return 1

    def lanes_of(self, positions: Int64Array) -> Int64Array:
        """The only lane."""
        return np.zeros_like(positions)

    def samples(self, epoch: int, positions: Int64Array) -> Int64Array:  # noqa: ARG002 - same in each epoch
        """The positions themselves."""
        return positions


@dataclass(frozen=True, slots=True)
class FullOrder:
    """A permutation of all samples: best where a row can be read alone."""

    size: int
    seed: int

    @property
    def lanes(self) -> int:
        """One: all samples are alike."""
        return 1

    @property
    def block_samples(self) -> int:
        """One: there are no blocks."""
        return 1

    def lanes_of(self, positions: Int64Array) -> Int64Array:
        """The only lane."""
        return np.zeros_like(positions)

    def samples(self, epoch: int, positions: Int64Array) -> Int64Array:
        """The samples at the positions of an epoch; O(1) for each."""
        return KeyedPermutation(self.size, derive_key("full order", self.seed, epoch))(positions)
