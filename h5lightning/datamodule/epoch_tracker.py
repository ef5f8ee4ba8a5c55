"""Counts training epochs, and says how far training has come in the current one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from h5lightning.core.monitor import Guard
from h5lightning.core.process_local import ProcessLocal
from h5lightning.errors import ResumeError
from h5lightning.loading.epochs.training_epochs import BegunEpoch
from h5lightning.loading.loader import H5DataLoader
from h5lightning.planning.sampling.rank_epoch import RankEpoch
from h5lightning.planning.sampling.sharding import Share
from h5lightning.planning.sampling.training_progress import TrainingProgress
from h5lightning.planning.sampling.training_shards import TrainingShards

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

__all__ = ["EpochTracker"]


class EpochTracker:
    """The next epoch of the training loaders of one DataModule, and how far training has come in the current one.

    Under a Trainer, the Trainer's counters say both. Counters of delivered batches would be one batch ahead when a step
    fails, and many when batches are prefetched. Only the iterator that the Trainer trains with counts; others may be
    used at the same time. Without a Trainer each pass is the next epoch, and delivered batches count as trained.
    """

    def __init__(self, trainer: Callable[[], Trainer | None] = lambda: None) -> None:
        self._trainer = trainer
        self.version = 0
        self._first = 0
        self._next: dict[Share | None, int] = {}  # share that the user gave → its next epoch
        self._restored: TrainingProgress | None = None  # where the next epoch begins, without a Trainer
        self._resumed: set[Share | None] = set()  # the shares that have begun that epoch
        self._start = TrainingProgress()  # where the fit of the Trainer began
        self._trained: BegunEpoch | None = None  # the last epoch that the Trainer began
        self._begun: list[BegunEpoch] = []  # without a Trainer: the last epoch, and those that still run
        self._reload_every: int | None = None
        self._guard: ProcessLocal[Guard] = ProcessLocal()

    def __getstate__(self) -> dict[str, Any]:
        # A copy has no Trainer, so that it takes along nothing that a Trainer counted.
        return {**self.__dict__, "_reload_every": None, "_trained": None, "_start": TrainingProgress()}

    def set_next(self, number: int) -> None:
        """Set the next epoch of all loaders; under a Trainer, the Trainer's epoch counts."""
        self.version += 1
        self._first, self._next, self._restored = number, {}, None
        self._resumed = set()
        self._begun = [epoch for epoch in self._begun if epoch.is_running]

    def alone(self, begin: Callable[[], RankEpoch]) -> RankEpoch:
        """See `EpochCounter.alone`."""
        return self._guard.get(Guard).run(begin)

    def next(
        self, asked: int | None, restored: TrainingProgress | None, given: Share | None = None
    ) -> TrainingProgress:
        """See `EpochCounter.next`."""
        trainer = self._fitting
        if trainer is not None:
            # A scheduler that asks for estimated_stepping_batches has the loader made before Lightning restores its
            # counters (lightning#20550).
            epoch = max(_current_epoch(trainer), self._start.trainer_epoch)
            is_start = self._start.trainer_epoch == epoch and self._start.trainer_steps > 0
            return self._start if is_start else TrainingProgress(epoch)
        restored = restored or (self._restored if given not in self._resumed else None)
        if restored is not None and asked in (None, restored.epoch):
            return restored
        return TrainingProgress(self._next.get(given, self._first) if asked is None else asked)

    @property
    def is_decided(self) -> bool:
        """See `EpochCounter.is_decided`."""
        return self._fitting is not None

    def steps_counted(self, position: TrainingProgress) -> int:
        """See `EpochCounter.steps_counted`."""
        trainer = self._fitting
        # If Lightning counted a stopped epoch as done, it keeps its counter of steps only under max_steps.
        if trainer is not None and position.is_stopped and int(trainer.max_steps) == -1:
            return 0
        return position.trainer_steps

    def begin(self, begun: BegunEpoch) -> None:
        """See `EpochCounter.begin`."""
        trainer = self._fitting
        if trainer is None:
            self._next[begun.given] = begun.position.epoch + 1
            self._resumed.add(begun.given)
            self._begun = [*(epoch for epoch in self._begun if epoch.is_running), begun]
        elif _is_trained(trainer, begun, self._trained):
            begun.trainer_epoch = _current_epoch(trainer)
            begun.trainer_steps = _steps(trainer)
            self._trained = begun

    @property
    def _fitting(self) -> Trainer | None:
        """The Trainer, while it trains."""
        trainer = self._trainer()
        state: Any = getattr(trainer, "state", None)
        return trainer if state is not None and (state.status, state.fn) == ("running", "fit") else None

    @property
    def is_running(self) -> bool:
        """Whether the fit of a Trainer has begun to take batches."""
        trainer: Any = self._fitting
        return trainer is not None and trainer.fit_loop._data_fetcher is not None  # noqa: SLF001 - there is no public name

    def begin_fit(self) -> None:
        """Forget the last fit: a new one begins, which may load a checkpoint afterwards."""
        self._start, self._trained, self._restored = TrainingProgress(), None, None
        self._begun = []

    def resume(self, position: TrainingProgress) -> None:
        """Continue from the position of a checkpoint."""
        if self._fitting is None:
            self.set_next(position.epoch)
            self._restored = replace(position, goes_on_in=None, counted=None, is_stopped=False)
        else:
            self._start = position

    def end(self, trainer: Trainer | None) -> None:
        """The fit has ended or failed: undo what was changed in the Trainer."""
        if trainer is not None:
            self._reload(trainer, is_needed=False)

    def prepare(self, shards: TrainingShards) -> None:
        """Note that a loader is made, which the Trainer may keep for many epochs."""
        trainer = self._fitting
        if trainer is None or not _needs_loader(trainer):
            return
        self._skip_stale_steps(trainer)
        position = self.next(None, None)
        remaining = position.remaining_epoch(shards)
        # Lightning counts the steps of a loader once: a resumed epoch of another length must not set that of all.
        steps = shards.steps if remaining is None else remaining.shards.steps
        self._reload(trainer, is_needed=self.steps_counted(position) + steps != shards.steps)

    def _skip_stale_steps(self, trainer: Trainer) -> None:
        """Begin an epoch at the step where Lightning counts itself.

        After a checkpoint of an epoch's last step, the next epoch begins. Lightning resets its counter of steps only
        if the loader is not longer than the one of the earlier run.
        """
        epoch = max(_current_epoch(trainer), self._start.trainer_epoch)
        if self._start.trainer_steps and epoch == self._start.trainer_epoch:
            return
        if cast("Any", trainer).fit_loop.epoch_loop.restarting and _steps(trainer):
            self._start = TrainingProgress(epoch, _steps(trainer))

    def _reload(self, trainer: Trainer, *, is_needed: bool) -> None:
        settings = cast("Any", trainer)
        if is_needed and self._reload_every is None:
            self._reload_every = settings.reload_dataloaders_every_n_epochs
            settings.reload_dataloaders_every_n_epochs = 1
        elif not is_needed and self._reload_every is not None:
            settings.reload_dataloaders_every_n_epochs = self._reload_every
            self._reload_every = None

    def now(self) -> TrainingProgress:
        """Where training is, for a checkpoint.

        Raises:
            ResumeError: several iterators deliver, and no Trainer says which of them counts.
        """
        trainer = self._trainer()
        if trainer is not None and _has_trained(trainer):
            return self._now_of(trainer)
        running = [epoch for epoch in self._begun if epoch.is_running]
        if len(running) > 1:
            raise ResumeError(
                f"{len(running)} iterators over training loaders of this DataModule deliver batches at the same time: "
                "it is unknown which of them is used for training. Save the loader.state_dict() of the one that you "
                "train with, and load it with loader.load_state_dict()"
            )
        newest = (
            running
            or [epoch for epoch in self._begun if epoch.delivered.batches or not epoch.is_counted][-1:]
        )
        if not newest or newest[0].delivered.is_at_end:
            return self.next(None, None, newest[0].given if newest else None)
        return newest[0].now()

    def _now_of(self, trainer: Trainer) -> TrainingProgress:
        epoch, begun = _current_epoch(trainer), self._trained
        counted, is_inside = _steps(trainer), _is_inside(trainer)
        if begun is None:
            is_start = self._start.trainer_epoch == epoch
            return (
                self._start
                if is_start
                else TrainingProgress(epoch, counted=counted, is_stopped=not is_inside)
            )
        steps = max(0, counted - begun.trainer_steps)
        if begun.trainer_epoch == epoch and is_inside:
            goes_on_in = epoch if epoch != begun.position.epoch else None
            return replace(begun.after(steps), goes_on_in=goes_on_in, counted=counted)
        if begun.trainer_epoch == epoch - 1 and not is_inside and not _is_complete(trainer):
            # max_steps or should_stop ended the run: Lightning counts the epoch, but it has samples left.
            return replace(begun.after(steps), goes_on_in=epoch, counted=counted, is_stopped=True)
        # Lightning may keep its counter of steps in the next epoch (lightning#19617), which must then be longer.
        return TrainingProgress(epoch, counted=counted, is_stopped=not is_inside)


def _needs_loader(trainer: Trainer) -> bool:
    """Whether the Trainer has no loader, or is about to replace it; callbacks may make loaders too."""
    loop: Any = cast("Any", trainer).fit_loop
    return loop._combined_loader is None or bool(loop._should_reload_train_dl)  # noqa: SLF001 - there is no public name


def _current_epoch(trainer: Trainer) -> int:
    return int(cast("Any", trainer).fit_loop.epoch_progress.current.processed)


def _steps(trainer: Trainer) -> int:
    """Steps that were done in the current epoch, or in the last one."""
    return int(cast("Any", trainer).fit_loop.epoch_loop.batch_progress.current.processed)


def _is_inside(trainer: Trainer) -> bool:
    """Whether an epoch has begun and not ended; its first hooks may still be running."""
    current = cast("Any", trainer).fit_loop.epoch_progress.current
    return bool(max(current.ready, current.started) > current.processed)


def _is_complete(trainer: Trainer) -> bool:
    """Whether all steps of the last epoch were done."""
    return bool(cast("Any", trainer).fit_loop.epoch_loop._num_ready_batches_reached())  # noqa: SLF001 - there is no public name


def _has_trained(trainer: Trainer) -> bool:
    return bool(cast("Any", trainer).fit_loop.epoch_progress.total.ready) or trainer.training


def _is_trained(trainer: Trainer, begun: BegunEpoch, last: BegunEpoch | None) -> bool:
    """Whether the Trainer itself takes the batches of an epoch, rather than a callback."""
    loader: Any = cast("Any", trainer).fit_loop._combined_loader  # noqa: SLF001 - there is no public name
    iterator = begun.iterator.get()
    if loader is None or iterator is None:
        return False
    modes = getattr(loader, "_iterator", None)
    if any(used is iterator for used in getattr(modes, "iterators", ())):
        return True
    # Inside an object of the user that wraps a loader, the first iterator of an epoch counts.
    is_wrapped = not any(isinstance(used, H5DataLoader) for used in loader.flattened)
    is_first = last is None or last.trainer_epoch != _current_epoch(trainer)
    return is_wrapped and is_first and trainer.training
