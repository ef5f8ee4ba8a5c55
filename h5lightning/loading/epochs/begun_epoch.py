"""Training epochs that have begun: how far they have come, and what counts them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from h5lightning.core.process_local import ProcessLocalRef
from h5lightning.errors import ResumeError
from h5lightning.loading.epochs.epoch_iterator import Delivered, EpochIterator
from h5lightning.planning.sampling.position import Position
from h5lightning.planning.sampling.rank_epoch import RankEpoch
from h5lightning.planning.sampling.sharding import Share
from h5lightning.planning.sampling.training_shards import TrainingShards

__all__ = ["BegunEpoch", "EpochCounter"]


@dataclass(slots=True, eq=False)
class BegunEpoch:
    """A training epoch that an iterator has begun.

    Args:
        epoch: what it delivers.
        shards: how the whole epoch is divided.
        position: where it began.
        delivered: what it has delivered.
        iterator: delivers it.
        trainer_epoch: the epoch, as the Trainer counts, in which it began; -1 without a Trainer.
        trainer_steps: steps that the Trainer had counted by then.
        is_counted: whether its batches are counted; not if a foreign loader takes the positions.
        given: the share that the user gave for the loader.
    """

    epoch: RankEpoch
    shards: TrainingShards
    position: Position
    delivered: Delivered = field(default_factory=Delivered)
    iterator: ProcessLocalRef[EpochIterator] = field(default_factory=ProcessLocalRef)
    trainer_epoch: int = -1
    trainer_steps: int = 0
    is_counted: bool = False
    given: Share | None = None

    @property
    def is_running(self) -> bool:
        """Whether its iterator has delivered a batch and may deliver more."""
        is_there = self.iterator.get() is not None and not self.delivered.is_at_end
        return is_there and self.delivered.batches > 0

    def after(self, steps: int) -> Position:
        """The position of training after some steps of this epoch."""
        return self.position.after(self.position.epoch, self.position.steps + steps, self.shards)

    def now(self) -> Position:
        """The position of training if each delivered batch was a step."""
        if not self.is_counted:
            raise ResumeError(
                "it cannot be said how far training has come: a loader that is not of h5lightning took the samples of "
                f"epoch {self.position.epoch}. Save the state of that loader, or count its batches"
            )
        return self.after(self.delivered.batches)


class EpochCounter(Protocol):
    """Counts the epochs of all training loaders of one DataModule."""

    version: int  # changes when the next epoch of all loaders is set

    @property
    def is_decided(self) -> bool:
        """Whether a Trainer decides the next epoch, whatever was set or restored for one loader."""

    def alone(self, begin: Callable[[], RankEpoch]) -> RankEpoch:
        """Call ``begin`` while no other thread begins an epoch."""

    def next(self, asked: int | None, restored: Position | None, given: Share | None = None) -> Position:
        """Where the next epoch begins.

        Args:
            asked: the number that a user or a Trainer set for one loader; None if none was.
            restored: the position that was restored for one loader.
            given: the share that a user gave for the loader; epochs of other shares are counted separately.
        """

    def steps_counted(self, position: Position) -> int:
        """Steps before a position that the training loop counts as steps of the epoch."""

    def begin(self, begun: BegunEpoch) -> None:
        """An epoch has begun."""
