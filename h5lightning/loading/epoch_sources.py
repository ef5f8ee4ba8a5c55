"""Which epoch is next for a loader, and which part of it is this process's: decided when the epoch begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol, cast

from h5lightning.core.process_local import ProcessLocalRef
from h5lightning.errors import ResumeError
from h5lightning.loading.epoch_iterator import Delivered, EpochIterator
from h5lightning.planning.sampling import Order, fingerprint
from h5lightning.planning.sampling.evaluation_shards import EvaluationShards
from h5lightning.planning.sampling.position import Position, RemainingEpoch
from h5lightning.planning.sampling.rank_epoch import RankEpoch
from h5lightning.planning.sampling.sharding import Shards, Share
from h5lightning.planning.sampling.training_shards import TrainingShards

__all__ = ["BegunEpoch", "Division", "EpochCounter", "EvaluationEpochs", "FixedEpochs", "TrainingEpochs"]


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
        is_counted: whether what it delivers is counted; not where a loader that is not ours takes the numbers.
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
        """Whether its iterator has delivered something and may deliver more."""
        is_there = self.iterator.get() is not None and not self.delivered.is_at_end
        return is_there and self.delivered.batches > 0

    def after(self, steps: int) -> Position:
        """Where training is when some steps of it were done."""
        return self.position.after(self.position.epoch, self.position.steps + steps, self.shards)

    def now(self) -> Position:
        """Where training is if it has done a step with each batch that was delivered."""
        if not self.is_counted:
            raise ResumeError(
                "it cannot be said how far training has come: a loader that is not of h5lightning took the samples of "
                f"epoch {self.position.epoch}. Save the state of that loader, or count its batches"
            )
        return self.after(self.delivered.batches)


class EpochCounter(Protocol):
    """Counts the epochs of all training loaders of one DataModule."""

    version: int  # changes when somebody sets the next epoch of all loaders

    @property
    def is_decided(self) -> bool:
        """Whether a Trainer decides the next epoch, whatever was set or restored for one loader."""

    def alone(self, begin: Callable[[], RankEpoch]) -> RankEpoch:
        """What ``begin`` returns, called while no other thread begins an epoch."""

    def next(self, asked: int | None, restored: Position | None, given: Share | None = None) -> Position:
        """Where the next epoch begins.

        Args:
            asked: the number that a user or a Trainer set for one loader; None if none was.
            restored: the position that was restored for one loader.
            given: the share that a user gave for the loader: epochs of other shares are counted for themselves.
        """

    def steps_counted(self, position: Position) -> int:
        """Steps before a position that whoever trains counts as steps of the epoch."""

    def begin(self, begun: BegunEpoch) -> None:
        """An epoch has begun."""


class Division:
    """How the samples of one loader are divided.

    Args:
        order: position in an epoch → sample.
        divide: number of ranks → how a whole epoch is divided.
        share: whether this process is asked for its part of the samples alone → its rank, and how many there are.
        tell: called with the share and the division that each epoch begins with, and with whether its batches are
            those of the division; says what a user should know of it.
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
        # Where there are too few samples for one rank, this fails when the loader is made.
        self.batch_size = divide(1).batch_size
        self._divide = divide
        self._share = share
        self._fingerprint: str | None = None

    def now(self, *, is_divided: bool = True) -> tuple[Share, Any]:
        """This process's share, and the division."""
        share = self._share(is_divided)
        return share, self._divide(share.world_size)

    def record(self) -> dict[str, Any]:
        """What a state must have in common with the loader that loads it."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self.order)
        return {"version": 1, "samples": self.order.size, "order": self._fingerprint}

    def check(self, state: dict[str, Any], kind: str) -> None:
        """Raise unless a state is that of the same samples, in the same order.

        Raises:
            ResumeError: it is not.
        """
        own = {**self.record(), "kind": kind}
        for name in ("version", "kind", "samples", "order"):
            if state.get(name) != own[name]:
                raise ResumeError(
                    f"this state is not one of this loader: {name} is {state.get(name)!r}, expected {own[name]!r}. "
                    "Load it into a loader of the same files, split, seed, shuffle and samples"
                )


class _DividedEpochs:
    """Epochs whose samples are divided when they begin.

    Args:
        division: how the samples are divided.
    """

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


class FixedEpochs:
    """Epochs of a rank that is known, by the number that was set last.

    Args:
        order: position in an epoch → sample.
        shards: how a whole epoch is divided.
        rank: this rank.
        rest: what is left of the epoch that a resumed run goes on with.
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

    def set_epoch(self, epoch: int, *, by_trainer: bool = False) -> None:  # noqa: ARG002 - one number is like another
        """See `EpochSource.set_epoch`."""
        self._epoch = epoch

    def peek(self, *, is_divided: bool = True) -> RankEpoch:  # noqa: ARG002 - the rank was given
        """See `EpochSource.peek`."""
        return RankEpoch.of(self._epoch, self.order, self._shards, self._rank, self._rest)

    def begin(self, asker: Any = None, *, is_divided: bool = True) -> RankEpoch:  # noqa: ARG002 - see `peek`
        """See `EpochSource.begin`."""
        return self.peek()

    def state_dict(self) -> dict[str, Any]:
        """Nothing: whoever gave the rank says where it goes on."""
        return {}

    def load_state_dict(self, state: dict[str, Any], *, by_trainer: bool = False) -> None:
        """See `state_dict`."""


class EvaluationEpochs(_DividedEpochs):
    """Passes over the samples of an evaluation: all alike, unless somebody sets the epoch that seeds transforms.

    Args:
        division: how the samples are divided.
    """

    def __init__(self, division: Division) -> None:
        super().__init__(division)
        self._epoch = 0
        self._restored: dict[str, int] | None = None
        self._begun: tuple[RankEpoch, Delivered] | None = None

    def set_epoch(self, epoch: int, *, by_trainer: bool = False) -> None:  # noqa: ARG002 - as for `FixedEpochs`
        """Set the number of this and all following passes."""
        self._epoch = epoch

    def peek(self, *, is_divided: bool = True) -> RankEpoch:
        """See `EpochSource.peek`."""
        return self._planned(*self._division.now(is_divided=is_divided))

    def begin(self, asker: EpochIterator | None = None, *, is_divided: bool = True) -> RankEpoch:
        """See `EpochSource.begin`."""
        share, shards = self._division.now(is_divided=is_divided)
        epoch = self._planned(share, shards)
        self._division.tell(share, shards, asker is not None)
        self._restored = None
        if asker is not None:
            self._begun = epoch, asker.delivered
        return epoch

    def _planned(self, share: Share, shards: EvaluationShards) -> RankEpoch:
        done = self._restored
        if done is None:
            return RankEpoch(self._epoch, self.order, shards, share.rank)
        here = _cut_of(share.rank, shards)
        if different := [
            f"{name} is {here[name]}, was {done[name]}" for name in here if here[name] != done[name]
        ]:
            raise ResumeError(
                f"an evaluation goes on only as it was divided: {'; '.join(different)}. "
                "Begin it again, without its state"
            )
        return RankEpoch(done["epoch"], self.order, shards.after(done["steps"]), share.rank, done["steps"])

    def state_dict(self) -> dict[str, Any]:
        """See `EpochSource.state_dict`."""
        record = {**self._division.record(), "kind": "evaluation"}
        if self._restored is not None:
            return {**record, **self._restored}
        if self._begun is None or self._begun[1].is_at_end:
            return record
        epoch, delivered = self._begun
        cut = _cut_of(epoch.rank, cast("EvaluationShards", epoch.shards))
        return {**record, "epoch": epoch.epoch, "steps": epoch.steps_done + delivered.batches, **cut}

    def load_state_dict(self, state: dict[str, Any], *, by_trainer: bool = False) -> None:  # noqa: ARG002 - nobody counts
        """See `EpochSource.load_state_dict`."""
        self._division.check(state, "evaluation")
        names = ("epoch", "steps", "rank", "world_size", "batch_size", "repeats")
        if "steps" not in state:
            self._restored = None
            return
        found = {name: state.get(name) for name in names}
        if not all(isinstance(number, int) and number >= 0 for number in found.values()):
            raise ResumeError(f"this is no state of an evaluation loader: {found}")
        self._restored = cast("dict[str, int]", found)


def _cut_of(rank: int, shards: EvaluationShards) -> dict[str, int]:
    """What the steps of an evaluation depend on, in plain types."""
    division = {"rank": rank, "world_size": shards.world_size, "batch_size": shards.batch_size}
    return {**division, "repeats": int(shards.tail == "repeat")}


class TrainingEpochs(_DividedEpochs):
    """Epochs of one training loader, whose numbers all loaders of a DataModule share.

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
        self._restored: tuple[Position, int] | None = None  # and the version of the counter that it is for
        self._loaded: Position | None = None  # as it was, for the next state
        self._begun: list[BegunEpoch] = []  # the last one, and those that still run

    def set_epoch(self, epoch: int, *, by_trainer: bool = False) -> None:
        """See `EpochSource.set_epoch`; the epochs after it count on from there."""
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

    def _position(self, shards: TrainingShards) -> Position:
        """Where the next epoch begins.

        A position that was restored is gone on from, unless a user set another epoch after it. The number of a Trainer
        is no such thing: an epoch that it stopped in the middle is over for it. Nor does the rest of an epoch count
        that has no batch left, where the next one was set.
        """
        asked = self._asked if self._asked and self._asked.version == self._counter.version else None
        restored = self._restored_position
        if restored is not None and asked is not None:
            rest = restored.remaining_epoch(shards)
            is_over = rest is not None and not rest.shards.steps and asked.epoch > restored.epoch
            if is_over or (not asked.by_trainer and asked.epoch != restored.epoch):
                return Position(asked.epoch)
            asked = None
        return self._counter.next(asked.epoch if asked else None, restored, self._given)

    @property
    def _restored_position(self) -> Position | None:
        position, version = self._restored or (None, 0)
        return position if version == self._counter.version else None

    def _planned(self, position: Position, share: Share, shards: TrainingShards) -> RankEpoch:
        epoch = RankEpoch.of(position.epoch, self.order, shards, share.rank, position.remaining_epoch(shards))
        return replace(epoch, steps_done=self._counter.steps_counted(position))

    def state_dict(self) -> dict[str, Any]:
        """See `EpochSource.state_dict`."""
        # Somebody may have looked at a batch of another iterator meanwhile.
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
        position = Position.of_plain(state["position"])
        if position.samples > self.order.size:
            raise ResumeError(f"this state is {position.samples} samples into an epoch of {self.order.size}")
        self._loaded = position
        if not by_trainer:
            position = replace(position, counted=None)
        self._asked, self._restored = None, (position, self._counter.version)


class _Asked(NamedTuple):
    """The number of an epoch that was set.

    Args:
        epoch: the number.
        version: that of the counter when it was set.
        by_trainer: a Trainer set it, which counts for itself.
    """

    epoch: int
    version: int
    by_trainer: bool
