"""How a run goes on: where it began in its epoch, where it is now, and whether the data are still the same."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from lightning.pytorch.utilities import rank_zero_warn

from h5lightning.errors import ResumeError, SplitMismatchError
from h5lightning.position import Position, Rest
from h5lightning.sharding import TrainingShards
from h5lightning.splitting.manifest import describe_difference

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

__all__ = ["Progress", "check_same_data", "explain_difference"]

# Lightning knows of loaders that keep their position themselves, not of a DataModule that does.
_NOT_RESUMABLE = "You're resuming from a checkpoint that ended before the epoch ended"


class Progress:
    """The position of one DataModule: that of the checkpoint which it resumed, and from there Lightning's counters.

    Counters of our own would be one batch ahead when a step fails, and many when batches are made ahead.
    """

    def __init__(self) -> None:
        self._start = Position()
        self._shards: TrainingShards | None = None
        self._reload_every: int | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_reload_every": None}  # what was changed in a Trainer, which no copy has

    def begin(self) -> None:
        """A new fit begins, which may resume a checkpoint later."""
        self._start, self._shards = Position(), None

    def resume(self, position: Position) -> None:
        """Go on from a checkpoint."""
        self._start = position

    def end(self, trainer: Trainer | None) -> None:
        """The fit is over, or was broken off: the Trainer gets back what was changed in it."""
        if trainer is not None:
            self._reload(trainer, is_needed=False)

    def epoch(self, trainer: Trainer | None) -> int:
        """The epoch that training is in, or will be once Lightning has restored its counters."""
        # A scheduler that asks for estimated_stepping_batches has the loader made before that (lightning#20550).
        return max(_current_epoch(trainer), self._start.epoch)

    def rest(self, trainer: Trainer | None, shards: TrainingShards) -> Rest | None:
        """What is left of the epoch that is resumed; the loader that is made with it may live for many epochs.

        Args:
            trainer: whose loader it is.
            shards: how a whole epoch is divided.
        """
        self._shards = shards
        self._skip_stale_steps(trainer)
        rest = self._start.rest(shards)
        is_now = rest is not None and rest.epoch == self.epoch(trainer)
        if is_now:
            warnings.filterwarnings("ignore", _NOT_RESUMABLE)
        if trainer is not None:
            # Lightning counts the steps of a loader once: a resumed epoch of other length must not set that of all.
            is_other = rest is not None and rest.steps_done + rest.shards.steps != shards.steps
            self._reload(trainer, is_needed=is_now and is_other)
        return rest if is_now else None

    def now(self, trainer: Trainer | None) -> Position:
        """Where training is, for a checkpoint."""
        epoch = _current_epoch(trainer)
        if self._shards is None:
            return Position(epoch)
        return self._start.after(epoch, _steps_done(trainer), self._shards)

    def _skip_stale_steps(self, trainer: Trainer | None) -> None:
        """Begin an epoch where Lightning believes to be in it.

        A checkpoint of an epoch's last step lets the next epoch begin. Its counter of steps is only set back if the
        loader is not longer than that of the run before.
        """
        epoch = self.epoch(trainer)
        if trainer is None or self._reload_every is None or epoch == self._start.epoch:
            return
        loop = cast("Any", trainer).fit_loop.epoch_loop
        if loop.restarting and loop.batch_progress.current.processed:
            self._start = Position(epoch, int(loop.batch_progress.current.processed))

    def _reload(self, trainer: Trainer, *, is_needed: bool) -> None:
        settings = cast("Any", trainer)
        if is_needed and self._reload_every is None:
            self._reload_every = settings.reload_dataloaders_every_n_epochs
            settings.reload_dataloaders_every_n_epochs = 1
        elif not is_needed and self._reload_every is not None:
            settings.reload_dataloaders_every_n_epochs = self._reload_every
            self._reload_every = None


def _current_epoch(trainer: Trainer | None) -> int:
    return int(cast("Any", trainer).fit_loop.epoch_progress.current.processed) if trainer is not None else 0


def _steps_done(trainer: Trainer | None) -> int:
    """Steps that were done in the current epoch."""
    if trainer is None:
        return 0
    loop = cast("Any", trainer).fit_loop
    is_inside = loop.epoch_progress.current.started > loop.epoch_progress.current.processed
    return int(loop.epoch_loop.batch_progress.current.processed) if is_inside else 0


# ── the same data ────────────────────────────────────────────────────────────────────────────────────


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
            rank_zero_warn(f"the checkpoint was trained with another split: {differences['split']}")
        return
    if not differences:
        return
    what = "; ".join(differences.values())
    if on_other_data == "restart_epoch":
        rank_zero_warn(f"training goes on with other data, from the beginning of the epoch: {what}")
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
