"""How a run goes on: where it began in its epoch, where it is now, and whether the data are still the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from lightning.pytorch.utilities import rank_zero_warn

from h5lightning.core.monitor import Guard
from h5lightning.core.process_local import ProcessLocal
from h5lightning.core.visible import visible
from h5lightning.errors import ResumeError, SplitMismatchError
from h5lightning.loading.epochs.training_epochs import BegunEpoch
from h5lightning.loading.loader import H5DataLoader
from h5lightning.planning.sampling.position import Position
from h5lightning.planning.sampling.rank_epoch import RankEpoch
from h5lightning.planning.sampling.sharding import Share, TrainingShards
from h5lightning.planning.splitting.manifest import describe_difference

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

__all__ = ["EpochTracker", "check_same_data", "check_state", "explain_difference"]


class EpochTracker:
    """Which epoch is next for the training loaders of one DataModule, and how far training has come.

    Under a Trainer its counters say both: counters of our own would be one batch ahead when a step fails, and many
    when batches are made ahead. Only the iterator that the Trainer trains with counts; anybody may look at others.
    Without a Trainer each pass is the next epoch, and what was delivered is taken to be trained on.

    Args:
        trainer: the Trainer that the DataModule is attached to, if there is one.
    """

    def __init__(self, trainer: Callable[[], Trainer | None] = lambda: None) -> None:
        self._trainer = trainer
        self.version = 0
        self._first = 0
        self._next: dict[Share | None, int] = {}  # by the share that a user gave
        self._restored: Position | None = None  # where the next epoch without a Trainer goes on
        self._gone_on: set[Share | None] = set()  # the shares that have begun it
        self._start = Position()  # where the run of the Trainer began
        self._trained: BegunEpoch | None = None  # the last epoch that the Trainer began
        self._begun: list[BegunEpoch] = []  # without a Trainer: the last one, and those that still run
        self._reload_every: int | None = None
        self._guard: ProcessLocal[Guard] = ProcessLocal()

    def __getstate__(self) -> dict[str, Any]:
        # A copy has no Trainer: nothing that it counted, and nothing that was changed in it.
        return {**self.__dict__, "_reload_every": None, "_trained": None, "_start": Position()}

    # ── the next epoch ───────────────────────────────────────────────────────────────────────────────

    def set_next(self, epoch: int) -> None:
        """Set the next epoch of all loaders; under a Trainer, its number decides."""
        self.version += 1
        self._first, self._next, self._restored = epoch, {}, None
        self._gone_on = set()
        self._begun = [one for one in self._begun if one.is_running]

    def alone(self, begin: Callable[[], RankEpoch]) -> RankEpoch:
        """See `EpochCounter.alone`."""
        return self._guard.get(Guard).run(begin)

    def next(self, asked: int | None, restored: Position | None, given: Share | None = None) -> Position:
        """See `EpochCounter.next`."""
        trainer = self._fitting
        if trainer is not None:
            # A scheduler that asks for estimated_stepping_batches has the loader made before Lightning has restored
            # its counters (lightning#20550).
            epoch = max(_current_epoch(trainer), self._start.trainer_epoch)
            is_start = self._start.trainer_epoch == epoch and self._start.trainer_steps > 0
            return self._start if is_start else Position(epoch)
        restored = restored or (self._restored if given not in self._gone_on else None)
        if restored is not None and asked in (None, restored.epoch):
            return restored
        return Position(self._next.get(given, self._first) if asked is None else asked)

    @property
    def is_decided(self) -> bool:
        """See `EpochCounter.is_decided`."""
        return self._fitting is not None

    def steps_counted(self, position: Position) -> int:
        """See `EpochCounter.steps_counted`."""
        trainer = self._fitting
        # Where Lightning took the epoch for done, it goes on with its counter of steps only if steps limit the run.
        if trainer is not None and position.is_stopped and int(trainer.max_steps) == -1:
            return 0
        return position.trainer_steps

    def begin(self, begun: BegunEpoch) -> None:
        """See `EpochCounter.begin`."""
        trainer = self._fitting
        if trainer is None:
            self._next[begun.given] = begun.position.epoch + 1
            self._gone_on.add(begun.given)
            self._begun = [*(one for one in self._begun if one.is_running), begun]
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

    # ── runs of a Trainer ────────────────────────────────────────────────────────────────────────────

    @property
    def is_running(self) -> bool:
        """Whether a Trainer takes batches: its fit has begun long since."""
        trainer: Any = self._fitting
        return trainer is not None and trainer.fit_loop._data_fetcher is not None  # noqa: SLF001 - nothing public says so

    def begin_fit(self) -> None:
        """A new fit begins, which may resume a checkpoint later."""
        self._start, self._trained, self._restored = Position(), None, None
        self._begun = []

    def resume(self, position: Position) -> None:
        """Go on from a checkpoint."""
        if self._fitting is None:
            self.set_next(position.epoch)
            self._restored = replace(position, goes_on_in=None, counted=None, is_stopped=False)
        else:
            self._start = position

    def end(self, trainer: Trainer | None) -> None:
        """The fit is over, or was broken off: the Trainer gets back what was changed in it."""
        if trainer is not None:
            self._reload(trainer, is_needed=False)

    def prepare(self, shards: TrainingShards) -> None:
        """A loader is made: if the Trainer asks for it, it may live for many epochs.

        Args:
            shards: how a whole epoch is divided.
        """
        trainer = self._fitting
        if trainer is None or not _wants_loader(trainer):
            return
        self._skip_stale_steps(trainer)
        position = self.next(None, None)
        rest = position.rest(shards)
        # Lightning counts the steps of a loader once: a resumed epoch of other length must not set that of all.
        left = shards.steps if rest is None else rest.shards.steps
        self._reload(trainer, is_needed=self.steps_counted(position) + left != shards.steps)

    def _skip_stale_steps(self, trainer: Trainer) -> None:
        """Begin an epoch where Lightning believes to be in it.

        A checkpoint of an epoch's last step lets the next epoch begin. Its counter of steps is only set back if the
        loader is not longer than that of the run before.
        """
        epoch = max(_current_epoch(trainer), self._start.trainer_epoch)
        if self._start.trainer_steps and epoch == self._start.trainer_epoch:
            return
        if cast("Any", trainer).fit_loop.epoch_loop.restarting and _steps(trainer):
            self._start = Position(epoch, _steps(trainer))

    def _reload(self, trainer: Trainer, *, is_needed: bool) -> None:
        settings = cast("Any", trainer)
        if is_needed and self._reload_every is None:
            self._reload_every = settings.reload_dataloaders_every_n_epochs
            settings.reload_dataloaders_every_n_epochs = 1
        elif not is_needed and self._reload_every is not None:
            settings.reload_dataloaders_every_n_epochs = self._reload_every
            self._reload_every = None

    # ── the position ─────────────────────────────────────────────────────────────────────────────────

    def now(self) -> Position:
        """Where training is, for a checkpoint.

        Raises:
            ResumeError: several iterators deliver, and no Trainer says which of them counts.
        """
        trainer = self._trainer()
        if trainer is not None and _has_trained(trainer):
            return self._now_of(trainer)
        running = [one for one in self._begun if one.is_running]
        if len(running) > 1:
            raise ResumeError(
                f"{len(running)} iterators over training loaders of this DataModule deliver batches at the same time, "
                "so that it cannot say how far training has come: save the loader.state_dict() of the one that you "
                "train with, and load it with loader.load_state_dict()"
            )
        newest = running or [one for one in self._begun if one.delivered.batches or not one.is_counted][-1:]
        if not newest or newest[0].delivered.is_at_end:
            return self.next(None, None, newest[0].given if newest else None)
        return newest[0].now()

    def _now_of(self, trainer: Trainer) -> Position:
        epoch, begun = _current_epoch(trainer), self._trained
        counted, is_inside = _steps(trainer), _is_inside(trainer)
        if begun is None:
            is_start = self._start.trainer_epoch == epoch
            return self._start if is_start else Position(epoch, counted=counted, is_stopped=not is_inside)
        steps = max(0, counted - begun.trainer_steps)
        if begun.trainer_epoch == epoch and is_inside:
            goes_on_in = epoch if epoch != begun.position.epoch else None
            return replace(begun.after(steps), goes_on_in=goes_on_in, counted=counted)
        if begun.trainer_epoch == epoch - 1 and not is_inside and not _is_complete(trainer):
            # max_steps, or should_stop, ended the run: Lightning counts the epoch, but nobody has seen its rest.
            return replace(begun.after(steps), goes_on_in=epoch, counted=counted, is_stopped=True)
        # Lightning may go on with its counter of steps in the next epoch (lightning#19617): that must be longer.
        return Position(epoch, counted=counted, is_stopped=not is_inside)


# ── what Lightning counts ────────────────────────────────────────────────────────────────────────────


def _wants_loader(trainer: Trainer) -> bool:
    """Whether the Trainer has no loader, or wants a new one; a callback may make others."""
    loop: Any = cast("Any", trainer).fit_loop
    return loop._combined_loader is None or bool(loop._should_reload_train_dl)  # noqa: SLF001 - nothing public says so


def _current_epoch(trainer: Trainer) -> int:
    return int(cast("Any", trainer).fit_loop.epoch_progress.current.processed)


def _steps(trainer: Trainer) -> int:
    """Steps that were done in the epoch that training is in, or was in last."""
    return int(cast("Any", trainer).fit_loop.epoch_loop.batch_progress.current.processed)


def _is_inside(trainer: Trainer) -> bool:
    """Whether an epoch was begun and has not come to its end; its first hooks may still be called."""
    current = cast("Any", trainer).fit_loop.epoch_progress.current
    return bool(max(current.ready, current.started) > current.processed)


def _is_complete(trainer: Trainer) -> bool:
    """Whether all steps that were wanted of the last epoch were done."""
    return bool(cast("Any", trainer).fit_loop.epoch_loop._num_ready_batches_reached())  # noqa: SLF001 - nothing public says so


def _has_trained(trainer: Trainer) -> bool:
    return bool(cast("Any", trainer).fit_loop.epoch_progress.total.ready) or trainer.training


def _is_trained(trainer: Trainer, begun: BegunEpoch, last: BegunEpoch | None) -> bool:
    """Whether the Trainer itself takes the batches of an epoch; a callback may look at others."""
    loader: Any = cast("Any", trainer).fit_loop._combined_loader  # noqa: SLF001 - nothing public says so
    iterator = begun.iterator.get()
    if loader is None or iterator is None:
        return False
    modes = getattr(loader, "_iterator", None)
    if any(one is iterator for one in getattr(modes, "iterators", ())):
        return True
    # In something of the user's that is no loader of ours, the first one of an epoch is taken for it.
    is_wrapped = not any(isinstance(one, H5DataLoader) for one in loader.flattened)
    is_first = last is None or last.trainer_epoch != _current_epoch(trainer)
    return is_wrapped and is_first and trainer.training


# ── the same data ────────────────────────────────────────────────────────────────────────────────────


def check_state(state: object) -> None:
    """Raise unless something is the state of a DataModule.

    Raises:
        ResumeError: it is not.
    """
    if isinstance(state, Mapping) and state.keys() >= {"seed", "split"}:
        return
    if not state:
        raise ResumeError("the state is empty: it was taken before setup(), and nothing can go on from it")
    raise ResumeError(
        f"this is no state of an H5DataModule: found {str(state)[:80]}, expected what dm.state_dict() returns. The "
        "state of a loader is loaded with loader.load_state_dict()"
    )


def explain_difference(saved: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, str]:
    """What a run was trained on and what it would go on with, as far as they differ: name → words.

    Args:
        saved: the split, and what the order of samples depends on, of the checkpoint.
        found: the same of this run.
    """
    differences = {"split": describe_difference(saved["split"], found["split"])}
    for name in ("seed", "samples", "shuffle"):
        if name in saved and saved[name] != found[name]:
            differences[name] = f"{name} was {saved[name]!r}, is {found[name]!r}"
    found_differences = {name: words for name, words in differences.items() if words}
    if not found_differences and saved.get("order", found["order"]) != found["order"]:
        return {
            "order": "the order of samples is another one: files were written again with other chunks or weights"
        }
    return found_differences


def check_same_data(differences: Mapping[str, str], *, is_training: bool, on_other_data: str) -> None:
    """What happens when a checkpoint was made with other data.

    Args:
        differences: see `explain_difference`.
        is_training: whether training would go on; an evaluation on another split is only worth a warning.
        on_other_data: ``raise`` or ``restart_epoch``.

    Raises:
        SplitMismatchError: training would go on with another split.
        ResumeError: training would go on with another order.
    """
    if not is_training:
        if "split" in differences:
            text = f"the checkpoint was trained with another split: {differences['split']}"
            rank_zero_warn(visible(text))
        return
    if not differences:
        return
    what = "; ".join(differences.values())
    if on_other_data == "restart_epoch":
        text = f"training goes on with other data, from the beginning of the epoch: {what}"
        rank_zero_warn(visible(text))
        return
    go_on = "To go on all the same, from the beginning of the epoch, set on_other_data='restart_epoch'"
    if "split" in differences:
        raise SplitMismatchError(
            f"the checkpoint was trained with another split: {what}. Use the files and options of that run, or keep "
            f"its split: dm.save_split(path) there, Split(manifest=path, on_new='train') here. {go_on}"
        )
    raise ResumeError(
        f"the checkpoint was trained in another order: {what}. Use the options of that run. {go_on}"
    )
