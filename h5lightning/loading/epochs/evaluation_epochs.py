"""Passes over the samples of an evaluation, and other epochs that are counted by their caller."""

from __future__ import annotations

from typing import Any, cast

from h5lightning.errors import ResumeError
from h5lightning.loading.epochs.epoch_iterator import Delivered, EpochIterator
from h5lightning.loading.epochs.epoch_source import Division, EpochSource
from h5lightning.planning.sampling import Order
from h5lightning.planning.sampling.evaluation_shards import EvaluationShards
from h5lightning.planning.sampling.rank_epoch import RankEpoch
from h5lightning.planning.sampling.sharding import Shards, Share
from h5lightning.planning.sampling.training_progress import RemainingEpoch

__all__ = ["EvaluationEpochs", "FixedEpochs"]


class EvaluationEpochs(EpochSource):
    """Passes over the samples of an evaluation: all equal, unless the epoch that seeds transforms is set."""

    def __init__(self, division: Division) -> None:
        super().__init__(division)
        self._epoch = 0
        self._restored: dict[str, int] | None = None
        self._begun: tuple[RankEpoch, Delivered] | None = None

    def set_epoch(self, epoch: int, *, by_trainer: bool = False) -> None:  # noqa: ARG002 - all numbers count the same
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
        restored = self._restored
        if restored is None:
            return RankEpoch(self._epoch, self.order, shards, share.rank)
        division = _division_of(share.rank, shards)
        if different := [
            f"{name} is {division[name]}, was {restored[name]}"
            for name in division
            if division[name] != restored[name]
        ]:
            raise ResumeError(
                f"an evaluation goes on only as it was divided: {'; '.join(different)}. "
                "Begin it again, without its state"
            )
        return RankEpoch(
            restored["epoch"], self.order, shards.after(restored["steps"]), share.rank, restored["steps"]
        )

    def state_dict(self) -> dict[str, Any]:
        """See `EpochSource.state_dict`."""
        record = {**self._division.record(), "kind": "evaluation"}
        if self._restored is not None:
            return {**record, **self._restored}
        if self._begun is None or self._begun[1].is_at_end:
            return record
        epoch, delivered = self._begun
        cut = _division_of(epoch.rank, cast("EvaluationShards", epoch.shards))
        return {**record, "epoch": epoch.epoch, "steps": epoch.steps_done + delivered.batches, **cut}

    def load_state_dict(self, state: dict[str, Any], *, by_trainer: bool = False) -> None:  # noqa: ARG002 - evaluation counts no steps
        """See `EpochSource.load_state_dict`."""
        self._division.check(state, "evaluation")
        names = ("epoch", "steps", "rank", "world_size", "batch_size", "repeats")
        if "steps" not in state:
            self._restored = None
            return
        restored = {name: state.get(name) for name in names}
        if not all(isinstance(number, int) and number >= 0 for number in restored.values()):
            raise ResumeError(f"this is not a state of an evaluation loader: {restored}")
        self._restored = cast("dict[str, int]", restored)


class FixedEpochs(EvaluationEpochs):
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
        super().__init__(Division(order, lambda _: shards, lambda _: Share(rank, shards.world_size)))
        self._rest = rest

    def _planned(self, share: Share, shards: Shards) -> RankEpoch:
        return RankEpoch.of(self._epoch, self.order, shards, share.rank, self._rest)


def _division_of(rank: int, shards: EvaluationShards) -> dict[str, int]:
    """How an evaluation is divided into steps, in plain types."""
    division = {"rank": rank, "world_size": shards.world_size, "batch_size": shards.batch_size}
    return {**division, "repeats": int(shards.tail == "repeat")}
