"""The division of the indices of an epoch among ranks.

Rank and world size are arguments, never read from `torch.distributed`. See `training_shards` and `evaluation_shards`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from h5lightning.core.arrays import BoolArray, Int64Array

__all__ = ["LanesOf", "Shards", "Share"]

LanesOf = Callable[[Int64Array], Int64Array]  # index in the epoch → lane


class Share(NamedTuple):
    """The part of the data that a process delivers, by its rank, from 0."""

    rank: int = 0
    world_size: int = 1


class Shards(Protocol):
    """The division of the indices of an epoch among ranks."""

    @property
    def size(self) -> int:
        """Number of samples in the epoch."""

    @property
    def batch_size(self) -> int:
        """Samples of a full batch."""

    @property
    def world_size(self) -> int:
        """Number of ranks."""

    def length(self, rank: int) -> int:
        """Number of samples of a rank."""

    def batches(self, rank: int) -> tuple[int, tuple[int, ...]]:
        """Number of full batches of a rank, and the size of each of its batches after them."""

    def repeats(self, rank: int, start: int, stop: int) -> BoolArray | None:
        """Which of a rank's samples ``[start, stop)`` are repeated, ``(stop - start,)``; None if not recorded."""

    def indices(self, rank: int, start: int, stop: int, lanes_of: LanesOf | None = None) -> Int64Array:
        """The indices in the epoch of a rank's samples ``[start, stop)``, ``(stop - start,)``.

        Args:
            rank: the rank.
            start: number of its first sample.
            stop: one past the number of its last sample, cut to the length of the rank.
            lanes_of: index in the epoch → lane; None for a single lane.
        """
