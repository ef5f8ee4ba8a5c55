"""What ranks must agree on: which part of the data each delivers, what rank 0 scanned, and what is logged once."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import distributed

from h5lightning.errors import H5LightningError, OptionError, RanksDifferError, ShardingError
from h5lightning.options.checks import check_int, to_plain
from h5lightning.planning.sampling.evaluation_shards import EvaluationShards
from h5lightning.planning.sampling.sharding import Share
from h5lightning.planning.sampling.training_shards import TrainingShards
from h5lightning.storage.data_survey import DataSurvey
from h5lightning.storage.hdf5.external import source_stamp
from h5lightning.storage.hdf5.file_checks import stamp

if TYPE_CHECKING:
    from lightning.pytorch import LightningDataModule, Trainer

__all__ = [
    "AttachedTrainer",
    "Notices",
    "ShareFinder",
    "check_agreement",
    "from_first_rank",
    "given_share",
    "log_tail",
    "with_files_of_this_node",
]

T = TypeVar("T")
_MOST_DIFFERENCES = 5


class AttachedTrainer:
    """Finds the Trainer that a DataModule is attached to; a copy follows no DataModule at first.

    Loaders may outlive the DataModule, so that they hold this instead of it.
    """

    def __init__(self) -> None:
        self._module: weakref.ref[LightningDataModule] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()

    def follow(self, module: LightningDataModule) -> None:
        """Return the Trainer of this DataModule from now on."""
        self._module = weakref.ref(module)

    def __call__(self) -> Any:
        """The Trainer, or None."""
        module = self._module() if self._module is not None else None
        return None if module is None else module.trainer


class ShareFinder:
    """Finds which part of the data this process delivers, each time an epoch begins, unless the user gave it."""

    def __init__(
        self, given: Share | None = None, trainer: Callable[[], Trainer | None] = lambda: None
    ) -> None:
        self._given = given
        self._trainer = trainer
        self.is_of_group = False  # whether the last share was read from the process group

    def __call__(self, is_divided: bool = True) -> Share:
        """The share; no rank waits for another one, and without ``is_divided`` the process group is not asked.

        Raises:
            ShardingError: there are several ranks, and nothing says which one this is.
        """
        self.is_of_group = False
        stated = self.stated()
        if stated is not None:
            return stated
        if not is_divided:
            return Share()
        if distributed.is_available() and distributed.is_initialized():
            self.is_of_group = True
            return Share(distributed.get_rank(), distributed.get_world_size())
        if self._trainer() is None:
            _check_alone()
        return Share()

    def stated(self) -> Share | None:
        """The share that the user gave or that the Trainer states; None without either."""
        if self._given is not None:
            return self._given
        trainer = self._trainer()
        # Not trainer.world_size: a tensor-parallel strategy has more processes than parts of the data.
        kwargs = trainer.distributed_sampler_kwargs if trainer is not None else None
        return Share(int(kwargs["rank"]), int(kwargs["num_replicas"])) if kwargs else None


def given_share(rank: int | None, world_size: int | None) -> Share | None:
    """The share that a user gave.

    Raises:
        OptionError: only one of the two was given, or there is no such rank.
    """
    rank, world_size = to_plain(rank), to_plain(world_size)
    if rank is None and world_size is None:
        return None
    if rank is None or world_size is None:
        raise OptionError(
            f"rank and world_size must be given together, found rank={rank}, world_size={world_size}"
        )
    check_int("world_size", world_size, at_least=1)
    check_int("rank", rank, at_least=0)
    if rank >= world_size:
        raise OptionError(f"rank must be less than world_size={world_size}, found {rank}")
    return Share(rank, world_size)


def _check_alone() -> None:
    """Raise if torchrun has started several ranks; SLURM sets its variables for single processes too."""
    ranks = os.environ.get("WORLD_SIZE", "1")
    if "RANK" in os.environ and ranks.isdecimal() and int(ranks) > 1:
        raise ShardingError(
            f"this is one of {ranks} ranks (WORLD_SIZE={ranks}, RANK={os.environ['RANK']}), but there is no process "
            "group yet that says which samples belong to it. Call torch.distributed.init_process_group first, let a "
            "Trainer do it, or give rank= and world_size= to the *_dataloader() method; rank=0, world_size=1 "
            "delivers all samples on each rank"
        )


def from_first_rank(trainer: Trainer | None, make: Callable[[], T]) -> T:
    """What ``make`` returns on rank 0, on every rank.

    Raises:
        H5LightningError: ``make`` raised it on rank 0; it is raised on every rank, so that no rank waits.
    """
    if trainer is None or trainer.world_size == 1:
        return make()
    outcome: T | H5LightningError | None = None
    if trainer.is_global_zero:
        try:
            outcome = make()
        except H5LightningError as error:
            outcome = error
    shared = trainer.strategy.broadcast(outcome)
    if shared is None or isinstance(shared, H5LightningError):
        raise shared or RuntimeError("rank 0 sent nothing")
    return shared


def log_tail(shards: TrainingShards) -> None:
    """Log on rank 0 how many samples the last step drops or repeats."""
    if shards.dropped:
        rank_zero_info(f"{shards.dropped} of {shards.size} training samples are dropped in each epoch")
    if shards.repeated:
        rank_zero_info(f"{shards.repeated} of {shards.size} training samples come twice in each epoch")


class Notices:
    """Messages about the parts that the loaders of a DataModule deliver; each is logged once, on rank 0."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def of_training(self, share: Share, shards: TrainingShards, _is_whole: bool, *, is_logged: bool) -> None:
        """Log what is dropped, unless it was logged when the loader was made."""
        if not is_logged and self._is_news(f"training {share}"):
            log_tail(shards)

    def of_evaluation(
        self,
        stage: str,
        finder: ShareFinder,
        share: Share,
        shards: EvaluationShards,
        is_whole: bool,
    ) -> None:
        """Log which part of an evaluation this rank has, and warn if some ranks take one step fewer than others."""
        if finder.is_of_group and share.world_size > 1 and self._is_news(f"share of {stage}"):
            rank_zero_info(
                f"{stage}: rank {share.rank} of {share.world_size}: {shards.length(share.rank)} of {shards.size} "
                "samples; rank=0, world_size=1 for all"
            )
        is_equal = shards.are_steps_equal if is_whole else shards.are_plain_steps_equal
        if shards.size and not is_equal and self._is_news(f"steps of {stage}"):
            rank_zero_warn(
                f"{stage}: {shards.size} samples with batch_size={shards.batch_size} make one step fewer on some of "
                f"{shards.world_size} ranks. A collective inside a step, such as all_gather, would hang or mix up "
                "steps. Set eval_tail='repeat' for equal steps; except in predict, a batch_size of at least 2 helps too"
            )

    def of_decoding(self, remarks: Iterable[str]) -> None:
        """Log sentences about what is decoded."""
        for remark in remarks:
            if self._is_news(remark):
                rank_zero_info(remark)

    def _is_news(self, what: str) -> bool:
        is_news = what not in self._said
        self._said.add(what)
        return is_news


def check_agreement(trainer: Trainer | None, facts: Mapping[str, object]) -> None:
    """Compare what must be the same on all ranks.

    Raises:
        RanksDifferError: on every rank, if one of them differs from rank 0.
    """
    by_rank = _gathered(trainer, dict(facts))
    differences = [
        f"{name} is {of_rank[name]!r} on rank {rank}, {by_rank[0][name]!r} on rank 0"
        for rank, of_rank in enumerate(by_rank)
        for name in facts
        if of_rank[name] != by_rank[0][name]
    ]
    if differences:
        raise RanksDifferError(
            f"the ranks would train on different data: {'; '.join(differences[:_MOST_DIFFERENCES])}. Start all ranks "
            "with the same options and the same version of h5lightning"
        )


def with_files_of_this_node(trainer: Trainer | None, survey: DataSurvey) -> DataSurvey:
    """The survey of rank 0 with the times of the files on this node: a copy of a file has other ones.

    Raises:
        RanksDifferError: on every rank, if a node lacks files, or has files of other sizes under the same names.
    """
    if trainer is None or trainer.world_size == 1:
        return survey
    own, differences = survey, list[str]()
    if trainer.node_rank > 0:
        own, differences = _seen_on_this_node(survey)
    by_rank = _gathered(trainer, differences)
    listed = [f"on rank {rank} {text}" for rank, texts in enumerate(by_rank) for text in texts]
    if listed:
        raise RanksDifferError(
            f"the nodes see different files: {'; '.join(listed[:_MOST_DIFFERENCES])}. All nodes need the same files at "
            "the same paths: use a shared file system, or copy them to each node"
        )
    return own


def _seen_on_this_node(survey: DataSurvey) -> tuple[DataSurvey, list[str]]:
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
    for path, size, expected in zip(
        sources.paths, sources.stamps[:, 0].tolist(), catalog.sources.stamps[:, 0].tolist(), strict=True
    ):
        if size != expected and expected >= 0:
            text = f"has {size} bytes" if size >= 0 else "does not exist"
            differences.append(f"{path} {text}, {expected} on rank 0")
    return replace(survey, catalog=replace(catalog, stamps=stamps, sources=sources)), differences


def _gathered(trainer: Trainer | None, value: T) -> list[T]:
    """The values of all ranks, on every rank."""
    if trainer is None or trainer.world_size == 1 or not distributed.is_initialized():
        return [value]
    by_rank: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(by_rank, value)
    return by_rank
