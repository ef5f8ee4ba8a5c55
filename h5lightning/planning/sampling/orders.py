"""The order of an epoch, its fingerprint, and the two orders that ignore chunks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.permutation import KeyedPermutation, derive_key

__all__ = ["FullOrder", "Order", "PathOrder", "fingerprint_of", "spread_indices"]

_FINGERPRINT_INDICES = 2048  # spread over the epoch


class Order(Protocol):
    """Index in an epoch → sample: a permutation of the positions of a split, or draws by weight."""

    @property
    def size(self) -> int:
        """Number of samples."""

    @property
    def lanes(self) -> int:
        """Number of lanes; see `Lanes`."""

    @property
    def block_samples(self) -> int:
        """Length of most shuffle blocks: neighbouring samples that an epoch uses together; 1 without blocks."""

    def lanes_of(self, indices: Int64Array) -> Int64Array:
        """The lane of each index, ``(N,)`` in [0, lanes), the same in each epoch."""

    def samples(self, epoch: int, indices: Int64Array) -> Int64Array:
        """The sample at each index of an epoch: its position in the split, ``(N,)`` in [0, size)."""


@dataclass(frozen=True, slots=True)
class _OneLane:
    """An order without lanes or blocks."""

    size: int

    @property
    def lanes(self) -> int:
        """1."""
        return 1

    @property
    def block_samples(self) -> int:
        """1."""
        return 1

    def lanes_of(self, indices: Int64Array) -> Int64Array:
        """The only lane, ``(N,)``."""
        return np.zeros_like(indices)


@dataclass(frozen=True, slots=True)
class PathOrder(_OneLane):
    """File after file, row after row, the same in each epoch."""

    def samples(self, epoch: int, indices: Int64Array) -> Int64Array:  # noqa: ARG002 - same in each epoch
        """The indices themselves."""
        return indices


@dataclass(frozen=True, slots=True)
class FullOrder(_OneLane):
    """A permutation of all samples: best where a row can be read alone."""

    seed: int

    def samples(self, epoch: int, indices: Int64Array) -> Int64Array:
        """The sample at each index of an epoch; O(1) for each."""
        return KeyedPermutation(self.size, derive_key("full order", self.seed, epoch))(indices)


def spread_indices(size: int) -> Int64Array:
    """Up to 2,048 indices that are spread over so many samples, for a fingerprint."""
    indices = np.linspace(0, max(0, size - 1), _FINGERPRINT_INDICES).astype(np.int64)
    return np.unique(indices)[:size]


def fingerprint_of(order: Order) -> str:
    """A short text, equal for orders that deliver the same samples at the same indices.

    It is a digest of the samples of two epochs at 2,048 indices, and of their lanes.
    """
    indices = spread_indices(order.size)
    digest = hashlib.blake2b(digest_size=16)
    digest.update(np.asarray([order.size, order.lanes], dtype="<i8").tobytes())
    digest.update(order.lanes_of(indices).astype("<i8").tobytes())
    for epoch in (0, 1):
        digest.update(order.samples(epoch, indices).astype("<i8").tobytes())
    return digest.hexdigest()
