"""Which epoch is next for a loader, and which part of it is this process's: decided when the epoch begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from h5lightning.epoch_iterator import Delivered, EpochIterator
from h5lightning.errors import ResumeError
from h5lightning.ordering import Order, fingerprint
from h5lightning.position import Position, Rest
from h5lightning.process_local import ProcessLocalRef
from h5lightning.rank_epoch import RankEpoch
from h5lightning.sharding import EvaluationShards, Shards, Share, TrainingShards

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
    """

    epoch: RankEpoch
    shards: TrainingShards
    position: Position
    delivered: Delivered = field(default_factory=Delivered)
    iterator: ProcessLocalRef[EpochIterator] = field(default_factory=ProcessLocalRef)
    trainer_epoch: int = -1
    trainer_steps: int = 0

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
        if self.delivered.is_at_end:
            return Position(self.position.epoch + 1)
        return self.after(self.delivered.batches)


class EpochCounter(Protocol):
    """Counts the epochs of all training loaders of one DataModule."""

    version: int  # changes when somebody sets the next epoch of all loaders

    @property
    def is_decided(self) -> bool:
        """Whether a Trainer decides the next epoch, whatever was set or restored for one loader."""

    def alone(self, begin: Callable[[], RankEpoch]) -> RankEpoch:
        """What ``begin`` returns, called while no other thread begins an epoch."""

    def next(self, asked: int | None, restored: Position | None) -> Position:
        """Where the next epoch begins.

        Args:
            asked: the number that was set for one loader; None if none was.
            restored: the position that was restored for one loader.
        """

    def counts_done(self, position: Position) -> bool:
        """Whether whoever trains counts the steps that were done before a position as steps of the epoch."""

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
        self.batch_size = divide_alone(divide).batch_size
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


def divide_alone(divide: Callable[[int], Shards]) -> Shards:
    """The division of a process that is alone; it fails where there are too few samples for any number of ranks."""
    return divide(1)


class FixedEpochs:
    """Epochs of a rank that is known, by the number that was set last.

    Args:
        order: position in an epoch → sample.
        shards: how a whole epoch is divided.
        rank: this rank.
        rest: what is left of the epoch that a resumed run goes on with.
    """

    def __init__(self, order: Order, shards: Shards, rank: int = 0, *, rest: Rest | None = None) -> None:
        if order.size != shards.size:
            raise ValueError(f"an order of {order.size} samples and shards of {shards.size}")
        self.order = order
        self.batch_size = shards.batch_size
        self._shards = shards
        self._rank = rank
        self._rest = rest
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
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

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `state_dict`."""


class EvaluationEpochs:
    """Passes over the samples of an evaluation: all alike, unless somebody sets the epoch that seeds transforms.

    Args:
        division: how the samples are divided.
    """

    def __init__(self, division: Division) -> None:
        self._division = division
        self._epoch = 0
        self._restored: dict[str, int] | None = None
        self._begun: tuple[RankEpoch, Delivered] | None = None

    @property
    def order(self) -> Order:
        """Position in an epoch → sample."""
        return self._division.order

    @property
    def batch_size(self) -> int:
        """Samples of this process in one step."""
        return self._division.batch_size

    def set_epoch(self, epoch: int) -> None:
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
        here = {"rank": share.rank, "world_size": share.world_size, "batch_size": shards.batch_size}
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
        division = {"world_size": epoch.shards.world_size, "batch_size": epoch.shards.batch_size}
        steps = epoch.steps_done + delivered.batches
        return {**record, "epoch": epoch.epoch, "steps": steps, "rank": epoch.rank, **division}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `EpochSource.load_state_dict`."""
        self._division.check(state, "evaluation")
        names = ("epoch", "steps", "rank", "world_size", "batch_size")
        self._restored = {name: int(state[name]) for name in names} if "steps" in state else None


class TrainingEpochs:
    """Epochs of one training loader, whose numbers all loaders of a DataModule share.

    Args:
        division: how the samples are divided.
        counter: counts the epochs.
    """

    def __init__(self, division: Division, counter: EpochCounter) -> None:
        self._division = division
        self._counter = counter
        self._asked: tuple[int, int] | None = (
            None  # the number, and the version of the counter that it is for
        )
        self._restored: Position | None = None
        self._begun: BegunEpoch | None = None

    @property
    def order(self) -> Order:
        """Position in an epoch → sample."""
        return self._division.order

    @property
    def batch_size(self) -> int:
        """Samples of this process in one step."""
        return self._division.batch_size

    def set_epoch(self, epoch: int) -> None:
        """See `EpochSource.set_epoch`; the epochs after it count on from there."""
        self._asked = epoch, self._counter.version

    def peek(self, *, is_divided: bool = True) -> RankEpoch:
        """See `EpochSource.peek`."""
        share, shards = self._division.now(is_divided=is_divided)
        return self._planned(self._position(), share, shards)

    def begin(self, asker: EpochIterator | None = None, *, is_divided: bool = True) -> RankEpoch:
        """See `EpochSource.begin`."""
        # Two threads that begin an epoch at the same time begin two.
        return self._counter.alone(lambda: self._begin(asker, is_divided=is_divided))

    def _begin(self, asker: EpochIterator | None, *, is_divided: bool) -> RankEpoch:
        share, shards = self._division.now(is_divided=is_divided)
        position = self._position()
        epoch = self._planned(position, share, shards)
        self._division.tell(share, shards, asker is not None)
        self._asked = self._restored = None
        begun = BegunEpoch(epoch, shards, position)
        if asker is not None:
            begun.delivered = asker.delivered
            begun.iterator.set(asker)
            self._begun = begun
        self._counter.begin(begun)
        return epoch

    def _position(self) -> Position:
        is_asked = self._asked is not None and self._asked[1] == self._counter.version
        return self._counter.next(self._asked[0] if self._asked and is_asked else None, self._restored)

    def _planned(self, position: Position, share: Share, shards: TrainingShards) -> RankEpoch:
        epoch = RankEpoch.of(position.epoch, self.order, shards, share.rank, position.rest(shards))
        return epoch if self._counter.counts_done(position) else replace(epoch, steps_done=0)

    def state_dict(self) -> dict[str, Any]:
        """See `EpochSource.state_dict`."""
        position = self._position() if self._restored or not self._begun else self._begun.now()
        return {**self._division.record(), "kind": "training", "position": position.to_plain()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `EpochSource.load_state_dict`."""
        if self._counter.is_decided:
            return  # Lightning restores loaders, after the DataModule has restored the position of its Trainer
        self._division.check(state, "training")
        self._restored = Position.of_plain(state["position"])
