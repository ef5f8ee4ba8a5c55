"""What the DataModule asks of a Trainer: who am I, what did rank 0 find, and what may be said once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from lightning.pytorch.utilities import rank_zero_info
from torch import distributed

from h5lightning.errors import H5LightningError, RanksDifferError
from h5lightning.foreign import source_stamp
from h5lightning.guarding import stamp
from h5lightning.sharding import TrainingShards
from h5lightning.surveying import Survey

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

__all__ = [
    "check_agreement",
    "from_first_rank",
    "log_tail",
    "rank_and_world_size",
    "with_files_of_this_node",
]

T = TypeVar("T")
_MOST_DIFFERENCES = 5


def rank_and_world_size(trainer: Trainer | None) -> tuple[int, int]:
    """This process's share of the data; strategies that split a model give several processes the same."""
    # Not trainer.world_size: a tensor-parallel strategy has more processes than shares of the data.
    kwargs = trainer.distributed_sampler_kwargs if trainer is not None else None
    return (int(kwargs["rank"]), int(kwargs["num_replicas"])) if kwargs else (0, 1)


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


def check_agreement(trainer: Trainer | None, facts: Mapping[str, object]) -> None:
    """Compare what must be the same on all ranks.

    Raises:
        RanksDifferError: on every rank, if one of them differs from rank 0.
    """
    theirs = _gathered(trainer, dict(facts))
    found = [
        f"{name} is {facts_there[name]!r} on rank {rank}, {theirs[0][name]!r} on rank 0"
        for rank, facts_there in enumerate(theirs)
        for name in facts
        if facts_there[name] != theirs[0][name]
    ]
    if found:
        raise RanksDifferError(
            f"the ranks would train on different data: {'; '.join(found[:_MOST_DIFFERENCES])}. Start all of them with "
            "the same options and the same version of h5lightning"
        )


def with_files_of_this_node(trainer: Trainer | None, survey: Survey) -> Survey:
    """The survey of rank 0 with what this node knows of the files; a copy of a file has times of its own.

    Raises:
        RanksDifferError: on every rank, if a node lacks files, or has others of the same names.
    """
    if trainer is None or trainer.world_size == 1:
        return survey
    own, differences = survey, list[str]()
    if trainer.node_rank > 0:
        own, differences = _seen_here(survey)
    found = [
        f"on rank {rank} {difference}"
        for rank, listed in enumerate(_gathered(trainer, differences))
        for difference in listed
    ]
    if found:
        raise RanksDifferError(
            f"the nodes see different files: {'; '.join(found[:_MOST_DIFFERENCES])}. All nodes need the same files at "
            "the same paths: use a shared file system, or copy them to each node"
        )
    return own


def _seen_here(survey: Survey) -> tuple[Survey, list[str]]:
    catalog, stamps, differences = survey.catalog, survey.catalog.stamps.copy(), []
    for number, name in enumerate(catalog.names):
        path = os.path.join(catalog.root, name)
        try:
            stamps[number] = stamp(os.stat(path))
        except OSError as error:
            differences.append(f"{path} cannot be opened ({error.strerror})")
            continue
        if stamps[number, 0] != catalog.stamps[number, 0]:
            differences.append(f"{path} has {stamps[number, 0]} bytes, {catalog.stamps[number, 0]} on rank 0")
    sources = catalog.sources.seen(source_stamp)
    for path, found, expected in zip(
        sources.paths, sources.stamps[:, 0].tolist(), catalog.sources.stamps[:, 0].tolist(), strict=True
    ):
        if found != expected and expected >= 0:
            differences.append(
                f"{path} {f'has {found} bytes' if found >= 0 else 'is not there'}, {expected} on rank 0"
            )
    return replace(survey, catalog=replace(catalog, stamps=stamps, sources=sources)), differences


def _gathered(trainer: Trainer | None, mine: T) -> list[T]:
    """What each rank has, on every rank."""
    if trainer is None or trainer.world_size == 1 or not distributed.is_initialized():
        return [mine]
    theirs: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(theirs, mine)
    return theirs
