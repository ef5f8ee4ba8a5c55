"""What decides which epoch a loader delivers; `FixedEpochs` is the simplest one."""

from __future__ import annotations

from typing import Any, Protocol

from h5lightning.planning.sampling import Order
from h5lightning.planning.sampling.position import RemainingEpoch
from h5lightning.planning.sampling.rank_epoch import RankEpoch
from h5lightning.planning.sampling.sharding import Shards

__all__ = ["EpochSource", "FixedEpochs"]


class EpochSource(Protocol):
    """Decides which epoch is next, and which part of it this process delivers."""

    @property
    def order(self) -> Order:
        """Position in an epoch → sample."""

    @property
    def batch_size(self) -> int:
        """Samples of this process in one step."""

    def set_epoch(self, epoch: int, *, by_trainer: bool = False) -> None:
        """Set the number of the epoch that begins next.

        Args:
            epoch: from 0.
            by_trainer: a Trainer sets its own count.
        """

    def peek(self, *, is_divided: bool = True) -> RankEpoch:
        """The epoch that would begin now.

        Args:
            is_divided: this process delivers its own part; otherwise the caller divides the samples.
        """

    def begin(self, asker: Any = None, *, is_divided: bool = True) -> RankEpoch:
        """The epoch that begins now.

        Args:
            asker: the `EpochIterator` that delivers it, if any.
            is_divided: see `peek`.
        """

    def state_dict(self) -> dict[str, Any]:
        """How far the newest epoch has come, in plain types."""

    def load_state_dict(self, state: dict[str, Any], *, by_trainer: bool = False) -> None:
        """Let the next epoch continue from a state.

        Args:
            state: see `state_dict`.
            by_trainer: Lightning loads it, and continues its own counter of steps.

        Raises:
            ResumeError: it is the state of other samples.
        """


class FixedEpochs:
    """Epochs of a given rank, by the number that was set last.

    Args:
        order: position in an epoch → sample.
        shards: how a whole epoch is divided.
        rank: this rank.
        rest: the remaining samples of the epoch that a resumed run continues.
    """

    def __init__(
        self, order: Order, shards: Shards, rank: int = 0, *, rest: RemainingEpoch | None = None
    ) -> None:
        if order.size != shards.size:
            raise ValueError(f"an order of {order.size} samples and shards of {shards.size}")
        self.order = order
        self.batch_size = shards.batch_size
        self._shards = shards
        self._rank = rank
        self._rest = rest
        self._epoch = 0

    def set_epoch(self, epoch: int, *, by_trainer: bool = False) -> None:  # noqa: ARG002 - all numbers count the same
        """See `EpochSource.set_epoch`."""
        self._epoch = epoch

    def peek(self, *, is_divided: bool = True) -> RankEpoch:  # noqa: ARG002 - the rank was given
        """See `EpochSource.peek`."""
        return RankEpoch.of(self._epoch, self.order, self._shards, self._rank, self._rest)

    def begin(self, asker: Any = None, *, is_divided: bool = True) -> RankEpoch:  # noqa: ARG002 - see `peek`
        """See `EpochSource.begin`."""
        return self.peek()

    def state_dict(self) -> dict[str, Any]:
        """Empty: the caller that gave the rank decides where to continue."""
        return {}

    def load_state_dict(self, state: dict[str, Any], *, by_trainer: bool = False) -> None:
        """See `state_dict`."""
