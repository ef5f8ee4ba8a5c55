"""The progress of training in an epoch, in numbers that are the same on each rank.

Each step takes the next samples of the epoch's order, so that the consumed samples are a prefix of it, for any number
of ranks and any batch size: one number says which samples are left. Two more say which windows of a bucketed order the
run was in, which a run with other steps finishes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from h5lightning.errors import ResumeError
from h5lightning.planning.sampling.training_shards import TrainingShards
from h5lightning.planning.sampling.window_cuts import WindowCut, WindowCuts

__all__ = ["RemainingEpoch", "TrainingProgress"]


@dataclass(frozen=True, slots=True)
class RemainingEpoch:
    """The rest of an epoch that has begun, after ``steps_done`` steps of each rank: ``shards`` divides what is left.

    ``windows`` are those in which the run before was stopped, for a bucketed order; None if it is not known.
    """

    epoch: int
    steps_done: int
    shards: TrainingShards
    windows: WindowCut | None = None


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """The progress of training.

    Args:
        epoch: the epoch that training is in, from 0.
        steps: steps that each rank has done in it.
        samples: samples that all ranks together have consumed in it.
        world_size: number of ranks of the last run.
        batch_size: samples of one of its ranks in one step.
        goes_on_in: the epoch, as the Trainer counts, in which a run continues; None for `epoch`. Lightning counts an
            epoch that it stopped in the middle as done.
        counted: steps that the Trainer counts in that epoch; None for `steps`.
        is_stopped: the Trainer counted the epoch as done.
        window_start: index at which the present windows of a bucketed order begin; see `WindowCut`. None where they are
            those of a run that began the epoch with this world and batch size.
        window_step: samples of a step in these windows.
    """

    epoch: int = 0
    steps: int = 0
    samples: int = 0
    world_size: int = 1
    batch_size: int = 1
    goes_on_in: int | None = None
    counted: int | None = None
    is_stopped: bool = False
    window_start: int | None = None
    window_step: int | None = None

    def __post_init__(self) -> None:
        if min(self.epoch, self.steps, self.samples, self.trainer_epoch, self.trainer_steps) < 0:
            raise ValueError(f"a position cannot be negative: {self}")
        if self.windows is not None and self.windows.start > self.samples:
            raise ValueError(f"the windows of a position cannot begin after it: {self}")

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

    @property
    def windows(self) -> WindowCut | None:
        """The present windows of a bucketed order; None if the epoch has all of its samples left."""
        if not self.samples:
            return None
        if self.window_start is None or self.window_step is None:
            return WindowCut(0, self.world_size * self.batch_size)
        return WindowCut(self.window_start, self.window_step)

    def to_plain(self) -> dict[str, Any]:
        """Plain integers, for a checkpoint; without windows where a run was not resumed with other steps."""
        plain = asdict(self)
        if self.window_start is None:
            del plain["window_start"], plain["window_step"]
        return plain

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
        position = TrainingProgress(epoch, begin.steps + done, samples, shards.world_size, shards.batch_size)
        if samples in (0, shards.size):
            return position
        windows = WindowCuts.of(begin.windows, begin.samples, shards.step_samples).at(samples)
        if windows == WindowCut(0, shards.step_samples):
            return position
        return replace(position, window_start=windows.start, window_step=windows.step_samples)

    def remaining_epoch(self, shards: TrainingShards) -> RemainingEpoch | None:
        """The rest of the epoch in a run that divides a whole epoch by ``shards``; None if it has not begun."""
        if not self.steps:
            return None
        return RemainingEpoch(self.epoch, self.steps, shards.after(self.samples), self.windows)

    def restarted(self) -> TrainingProgress:
        """The same steps, but with all samples of the epoch left."""
        return replace(self, samples=0, window_start=None, window_step=None)
