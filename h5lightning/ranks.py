"""What the DataModule asks of a Trainer: who am I, what did rank 0 find, and what may be said once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from h5lightning.errors import H5LightningError, SplitMismatchError
from h5lightning.sharding import TrainingShards

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

__all__ = ["check_split_kept", "current_epoch", "from_first_rank", "log_tail", "rank_and_world_size"]

T = TypeVar("T")
_log = logging.getLogger(__name__)


def rank_and_world_size(trainer: Trainer | None) -> tuple[int, int]:
    """This process's share of the data; strategies that split a model give several processes the same."""
    # Not trainer.world_size: a tensor-parallel strategy has more processes than shares of the data.
    kwargs = trainer.distributed_sampler_kwargs if trainer is not None else None
    return (int(kwargs["rank"]), int(kwargs["num_replicas"])) if kwargs else (0, 1)


def current_epoch(trainer: Trainer | None) -> int:
    """The epoch that training is in: of a resumed run too, for which Lightning tells the sampler too late."""
    return int(cast("Any", trainer).fit_loop.epoch_progress.current.processed) if trainer is not None else 0


def from_first_rank(trainer: Trainer | None, make: Callable[[], T]) -> T:
    """What ``make`` returns on rank 0, on every rank.

    Raises:
        H5LightningError: what ``make`` raised on rank 0, on every rank: nobody is left waiting.
    """
    if trainer is None or trainer.world_size == 1:
        return make()
    outcome = _outcome(make) if trainer.is_global_zero else None
    shared = trainer.strategy.broadcast(outcome)
    if shared is None or isinstance(shared, H5LightningError):
        raise shared or RuntimeError("rank 0 sent nothing")
    return shared


def _outcome(make: Callable[[], T]) -> T | H5LightningError:
    try:
        return make()
    except H5LightningError as error:
        return error


def log_tail(shards: TrainingShards) -> None:
    """Say, on rank 0, what the last step leaves out or sees twice."""
    if shards.dropped:
        rank_zero_info(f"{shards.dropped} of {shards.size} training samples are dropped in each epoch")
    if shards.repeated:
        rank_zero_info(f"{shards.repeated} of {shards.size} training samples are seen twice in each epoch")


def check_split_kept(difference: str, *, is_training: bool) -> None:
    """What happens when a checkpoint was made with another split.

    Args:
        difference: how the splits differ.
        is_training: whether training would go on; an evaluation on other files is only worth a warning.

    Raises:
        SplitMismatchError: training would go on.
    """
    if is_training:
        raise SplitMismatchError(
            f"the checkpoint was trained with another split: {difference}. Use the files and options of that run, or "
            "keep its split: dm.save_split(path) there, Split(manifest=path, on_new='train') here"
        )
    rank_zero_warn(f"the checkpoint was trained with another split: {difference}")
