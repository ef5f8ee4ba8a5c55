"""What decides which epoch a loader delivers, and how its samples are divided between processes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from h5lightning.errors import ResumeError
from h5lightning.loading.epochs.epoch_iterator import EpochIterator
from h5lightning.planning.sampling import Order, fingerprint
from h5lightning.planning.sampling.rank_epoch import RankEpoch
from h5lightning.planning.sampling.sharding import Shards, Share

__all__ = ["Division", "EpochSource"]


class Division:
    """How the samples of one loader are divided.

    Args:
        order: position in an epoch → sample.
        divide: number of ranks → how a whole epoch is divided.
        share: whether this process delivers only its own part → its rank, and the number of ranks.
        tell: called when an epoch begins, with the share, the division, and whether the batches are those of the
            division; logs what a user should know.
    """

    def __init__(
        self,
        order: Order,
        divide: Callable[[int], Shards],
        share: Callable[[bool], Share] = lambda _: Share(),
        tell: Callable[[Share, Any, bool], None] = lambda *_: None,
    ) -> None:
        self.order = order
        self.tell = tell
        # If there are too few samples for one rank, this fails when the loader is made.
        self.batch_size = divide(1).batch_size
        self._divide = divide
        self._share = share
        self._fingerprint: str | None = None

    def now(self, *, is_divided: bool = True) -> tuple[Share, Any]:
        """The share of this process, and the division."""
        share = self._share(is_divided)
        return share, self._divide(share.world_size)

    def record(self) -> dict[str, Any]:
        """The part of a state that must equal that of the loader which loads it."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self.order)
        return {"version": 1, "samples": self.order.size, "order": self._fingerprint}

    def check(self, state: dict[str, Any], kind: str) -> None:
        """Raise unless a state belongs to the same samples, in the same order.

        Raises:
            ResumeError: it does not.
        """
        own = {**self.record(), "kind": kind}
        for name in ("version", "kind", "samples", "order"):
            if state.get(name) != own[name]:
                raise ResumeError(
                    f"this state belongs to another loader: {name} is {state.get(name)!r}, expected {own[name]!r}. "
                    "Load it into a loader of the same files, split, seed, shuffle and samples"
                )


class EpochSource(ABC):
    """Decides which epoch is next, and which part of it this process delivers."""

    def __init__(self, division: Division) -> None:
        self._division = division

    @property
    def order(self) -> Order:
        """Position in an epoch → sample."""
        return self._division.order

    @property
    def batch_size(self) -> int:
        """Samples of this process in one step."""
        return self._division.batch_size

    @abstractmethod
    def set_epoch(self, epoch: int, *, by_trainer: bool = False) -> None:
        """Set the number of the epoch that begins next, from 0; ``by_trainer`` if it is the count of a Trainer."""

    @abstractmethod
    def peek(self, *, is_divided: bool = True) -> RankEpoch:
        """The epoch that would begin now: this process's own part, unless the caller divides the samples."""

    @abstractmethod
    def begin(self, asker: EpochIterator | None = None, *, is_divided: bool = True) -> RankEpoch:
        """The epoch that begins now; see `peek`. ``asker`` delivers it."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """How far the newest epoch has come, in plain types."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any], *, by_trainer: bool = False) -> None:
        """Let the next epoch continue from a state.

        Args:
            state: see `state_dict`.
            by_trainer: Lightning loads it, and continues its own counter of steps.

        Raises:
            ResumeError: it is the state of other samples.
        """
