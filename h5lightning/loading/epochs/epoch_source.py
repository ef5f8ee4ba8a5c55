"""What decides which epoch a loader delivers."""

from __future__ import annotations

from typing import Any, Protocol

from h5lightning.planning.sampling import Order
from h5lightning.planning.sampling.rank_epoch import RankEpoch

__all__ = ["EpochSource"]


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
