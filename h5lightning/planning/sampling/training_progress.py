"""The progress of training in an epoch, in numbers that are the same on each rank.

Each step takes the next samples of the epoch's order, so that the consumed samples are a prefix of it, for any number
of ranks and any batch size: one number says which samples are left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from h5lightning.errors import ResumeError
from h5lightning.planning.sampling.training_shards import TrainingShards

__all__ = ["RemainingEpoch", "TrainingProgress"]


@dataclass(frozen=True, slots=True)
class RemainingEpoch:
    """The rest of an epoch that has begun, after ``steps_done`` steps of each rank: ``shards`` divides what is left."""

    epoch: int
    steps_done: int
    shards: TrainingShards


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """The progress of training.

    Args:
        epoch: the epoch that training is in, from 0.
        steps: steps that each rank has done in it.
        samples: samples that all ranks together have consumed in it.
        world_size: number of ranks of the last run, for information only.
        batch_size: samples of one of its ranks in one step, for information only.
        goes_on_in: the epoch, as the Trainer counts, in which a run continues; None for `epoch`. Lightning counts an
            epoch that it stopped in the middle as done.
        counted: steps that the Trainer counts in that epoch; None for `steps`.
        is_stopped: the Trainer counted the epoch as done.
    """

    epoch: int = 0
    steps: int = 0
    samples: int = 0
    world_size: int = 1
    batch_size: int = 1
    goes_on_in: int | None = None
    counted: int | None = None
    is_stopped: bool = False

    def __post_init__(self) -> None:
        if min(self.epoch, self.steps, self.samples, self.trainer_epoch, self.trainer_steps) < 0:
            raise ValueError(f"a position cannot be negative: {self}")

    @classmethod
    def of_plain(cls, plain: Mapping[str, int | None]) -> TrainingProgress:
        """Read a mapping that `to_plain` made.

        Raises:
            ResumeError: the mapping has the wrong form.
        """
        try:
            values = {name: plain.get(name) for name in cls.__slots__}
            numbers = {name: int(value) for name, value in values.items() if value is not None}
            return cls(**{**numbers, "is_stopped": bool(numbers.get("is_stopped"))})  # type: ignore[arg-type]
        except (AttributeError, TypeError, ValueError) as error:
            raise ResumeError(f"this is not a position of a training loader: {plain!r} ({error})") from error

    @property
    def trainer_epoch(self) -> int:
        """The epoch, as the Trainer counts, in which a run continues."""
        return self.epoch if self.goes_on_in is None else self.goes_on_in

    @property
    def trainer_steps(self) -> int:
        """Steps that the Trainer counts in the epoch in which a run continues."""
        return self.steps if self.counted is None else self.counted

    def to_plain(self) -> dict[str, Any]:
        """Plain integers, for a checkpoint."""
        return asdict(self)

    def after(self, epoch: int, steps: int, shards: TrainingShards) -> TrainingProgress:
        """The position of a run that began here.

        Args:
            epoch: the current epoch of the run.
            steps: steps that each rank has done in it, including those before this position.
            shards: the division of a whole epoch in the run.
        """
        begin = self if self.epoch == epoch else TrainingProgress(epoch)
        part, done = shards.after(begin.samples), max(0, steps - begin.steps)
        # Samples dropped at the end of an epoch do not come back with fewer ranks.
        samples = shards.size if steps and done >= part.steps else begin.samples + done * shards.step_samples
        return TrainingProgress(epoch, begin.steps + done, samples, shards.world_size, shards.batch_size)

    def remaining_epoch(self, shards: TrainingShards) -> RemainingEpoch | None:
        """The rest of the epoch in a run that divides a whole epoch by ``shards``; None if it has not begun."""
        return RemainingEpoch(self.epoch, self.steps, shards.after(self.samples)) if self.steps else None

    def restarted(self) -> TrainingProgress:
        """The same steps, but with all samples of the epoch left."""
        return replace(self, samples=0)
