"""Epochs of a training loader, numbered over all loaders of a DataModule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

from h5lightning.core.process_local import ProcessLocalRef
from h5lightning.errors import ResumeError
from h5lightning.loading.epochs.epoch_iterator import Delivered, EpochIterator
from h5lightning.loading.epochs.epoch_source import Division, EpochSource
from h5lightning.planning.sampling.rank_epoch import RankEpoch
from h5lightning.planning.sampling.sharding import Share
from h5lightning.planning.sampling.training_progress import TrainingProgress
from h5lightning.planning.sampling.training_shards import TrainingShards

__all__ = ["BegunEpoch", "EpochCounter", "TrainingEpochs"]


@dataclass(slots=True, eq=False)
class BegunEpoch:
    """A training epoch that an iterator has begun.

    Args:
        shards: how the whole epoch is divided.
        position: where it began.
        trainer_epoch: the epoch, as the Trainer counts, in which it began; -1 without a Trainer.
        trainer_steps: steps that the Trainer had counted by then.
        is_counted: whether its batches are counted; not if a foreign loader takes the positions.
        given: the share that the user gave for the loader.
    """

    epoch: RankEpoch
    shards: TrainingShards
    position: TrainingProgress
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

    def after(self, steps: int) -> TrainingProgress:
        """The position of training after some steps of this epoch."""
        return self.position.after(self.position.epoch, self.position.steps + steps, self.shards)

    def now(self) -> TrainingProgress:
        """The position of training if each delivered batch was a step."""
        if not self.is_counted:
            raise ResumeError(
                "the progress of training is unknown: a loader of another library took the samples of "
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

    def next(
        self, asked: int | None, restored: TrainingProgress | None, given: Share | None = None
    ) -> TrainingProgress:
        """Where the next epoch begins.

        Args:
            asked: the number that a user or a Trainer set for one loader; None if none was.
            restored: the position that was restored for one loader.
            given: the share that a user gave for the loader; epochs of other shares are counted separately.
        """

    def steps_counted(self, position: TrainingProgress) -> int:
        """Steps before a position that the training loop counts as steps of the epoch."""

    def begin(self, begun: BegunEpoch) -> None:
        """An epoch has begun."""


class TrainingEpochs(EpochSource):
    """Epochs of one training loader; all loaders of a DataModule share the numbers of epochs.

    Args:
        division: how the samples are divided.
        counter: counts the epochs.
        given: the share that the user gave for this loader.
    """

    def __init__(self, division: Division, counter: EpochCounter, given: Share | None = None) -> None:
        super().__init__(division)
        self._counter = counter
        self._given = given
        self._asked: _Asked | None = None
        self._restored: tuple[TrainingProgress, int] | None = (
            None  # and the version of the counter that it is for
        )
        self._loaded: TrainingProgress | None = None  # as it was, for the next state
        self._begun: list[BegunEpoch] = []  # the last one, and those that still run

    def set_epoch(self, epoch: int, *, by_trainer: bool = False) -> None:
        """See `EpochSource.set_epoch`; later epochs count from this number."""
        self._asked = _Asked(epoch, self._counter.version, by_trainer)

    def peek(self, *, is_divided: bool = True) -> RankEpoch:
        """See `EpochSource.peek`."""
        share, shards = self._division.now(is_divided=is_divided)
        return self._planned(self._position(shards), share, shards)

    def begin(self, asker: EpochIterator | None = None, *, is_divided: bool = True) -> RankEpoch:
        """See `EpochSource.begin`."""
        # Two threads that begin an epoch at the same time begin two.
        return self._counter.alone(lambda: self._begin(asker, is_divided=is_divided))

    def _begin(self, asker: EpochIterator | None, *, is_divided: bool) -> RankEpoch:
        share, shards = self._division.now(is_divided=is_divided)
        position = self._position(shards)
        epoch = self._planned(position, share, shards)
        self._division.tell(share, shards, asker is not None)
        self._asked = self._restored = None
        begun = BegunEpoch(epoch, shards, position, given=self._given)
        if asker is not None:
            begun.delivered, begun.is_counted = asker.delivered, True
            begun.iterator.set(asker)
        self._begun = [*(one for one in self._begun if one.is_running), begun]
        self._counter.begin(begun)
        return epoch

    def _position(self, shards: TrainingShards) -> TrainingProgress:
        """Where the next epoch begins.

        A restored position is continued, unless a user set another epoch after it. An epoch that a Trainer sets does
        not count as such: a Trainer takes an epoch that it stopped in the middle for finished. A restored epoch without
        any batch left is not continued if a later one was set.
        """
        asked = self._asked if self._asked and self._asked.version == self._counter.version else None
        restored = self._restored_position
        if restored is not None and asked is not None:
            rest = restored.remaining_epoch(shards)
            is_over = rest is not None and not rest.shards.steps and asked.epoch > restored.epoch
            if is_over or (not asked.by_trainer and asked.epoch != restored.epoch):
                return TrainingProgress(asked.epoch)
            asked = None
        return self._counter.next(asked.epoch if asked else None, restored, self._given)

    @property
    def _restored_position(self) -> TrainingProgress | None:
        position, version = self._restored or (None, 0)
        return position if version == self._counter.version else None

    def _planned(self, position: TrainingProgress, share: Share, shards: TrainingShards) -> RankEpoch:
        epoch = RankEpoch.of(position.epoch, self.order, shards, share.rank, position.remaining_epoch(shards))
        return replace(epoch, steps_done=self._counter.steps_counted(position))

    def state_dict(self) -> dict[str, Any]:
        """See `EpochSource.state_dict`."""
        # Another iterator may have delivered a batch meanwhile.
        running = [one for one in self._begun if one.is_running] or self._begun
        newest = running[-1] if running else None
        if newest is None or newest.delivered.is_at_end or self._restored_position is not None:
            position = self._position(self._division.now()[1])
            if self._restored_position is not None:
                position = self._loaded if self._loaded and position == self._restored_position else position
            elif newest is not None:
                # What Lightning may go on to count in the next epoch (lightning#19617).
                position = replace(position, counted=newest.position.steps + newest.delivered.batches)
        else:
            position = newest.now()
        return {**self._division.record(), "kind": "training", "position": position.to_plain()}

    def load_state_dict(self, state: dict[str, Any], *, by_trainer: bool = False) -> None:
        """See `EpochSource.load_state_dict`."""
        if self._counter.is_decided:
            return  # Lightning restores loaders, after the DataModule has restored the position of its Trainer
        self._division.check(state, "training")
        position = TrainingProgress.of_plain(state["position"])
        if position.samples > self.order.size:
            raise ResumeError(
                f"the state has consumed {position.samples} samples, but an epoch has {self.order.size}"
            )
        self._loaded = position
        if not by_trainer:
            position = replace(position, counted=None)
        self._asked, self._restored = None, (position, self._counter.version)


class _Asked(NamedTuple):
    """The number of an epoch that was set."""

    epoch: int
    version: int  # of the counter, when it was set
    by_trainer: bool  # a Trainer set it, which has its own count
