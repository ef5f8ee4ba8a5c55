"""The run that is proven: its files, splits and order, and words for its samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from h5lightning.core.arrays import Float64Array
from h5lightning.datamodule.setup import PreparedData
from h5lightning.errors import ShardingError, SplitError
from h5lightning.loading.epochs.epoch_source import FixedEpochs
from h5lightning.loading.epochs.sampler import ShardedSampler
from h5lightning.options import Access
from h5lightning.planning.fields import Fields
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.sampling import Order, PathOrder
from h5lightning.planning.sampling.position import RemainingEpoch
from h5lightning.planning.sampling.sharding import EvaluationShards, Shards, TrainingShards
from h5lightning.storage.readers.protocol import Reader
from h5lightning.tools.check.settings import ProofSettings

__all__ = ["CheckRun", "describe_id", "listed"]


@dataclass(frozen=True, slots=True, eq=False)
class CheckRun:
    """A run and what is checked of it.

    Args:
        assembly: files, splits and datasets.
        order: the order of the training samples; None without a training split.
        weights: how likely each training sample is to be drawn, ``(N,)``; None where each comes once.
        settings: over what the checks go.
        reader: what training reads with.
        access: how files are opened and trusted.
        stored: keys of the fields whose stored numbers are wanted, whatever a file says around them.
    """

    assembly: PreparedData
    order: Order | None
    weights: Float64Array | None
    settings: ProofSettings
    reader: Reader
    access: Access
    stored: frozenset[str] = frozenset()

    @property
    def index(self) -> SampleIndex:
        """All samples."""
        return self.assembly.survey.index

    def fields_of(self, file: int) -> Fields:
        """The fields of a file: one that is only there to be predicted may lack some."""
        found = self.assembly.survey
        predicted = (found.roles or {}).get("predict")
        is_predicted = predicted is not None and file in predicted
        return (found.predict_fields if is_predicted else None) or found.fields

    @property
    def training_order(self) -> Order:
        """The order of the training samples.

        Raises:
            SplitError: there is no training split.
        """
        if self.order is None:
            raise SplitError("there is no training split whose order could be checked")
        return self.order

    @property
    def is_shuffled(self) -> bool:
        """Whether epochs should differ; of a handful of samples, two orders may be the same."""
        return self.order is not None and not isinstance(self.order, PathOrder) and self.order.size > 8

    def worlds(self) -> list[int]:
        """The numbers of ranks for which there are enough training samples."""
        return [
            world for world in self.settings.ranks_for(self.training_order.size) if self._has_steps(world)
        ]

    def places(self) -> list[tuple[int, int]]:
        """Worlds and ranks whose loaders are started: a rank of the fewest, the first and the last of the most."""
        worlds = self.worlds() or [1]
        return sorted({(min(worlds), 0), (max(worlds), 0), (max(worlds), max(worlds) - 1)})

    def _has_steps(self, world_size: int) -> bool:
        try:
            return self.training_shards(world_size).steps > 0
        except ShardingError:
            return False

    def training_shards(self, world_size: int) -> TrainingShards:
        """How training samples are shared.

        Raises:
            ShardingError: there are too few for so many ranks.
        """
        options = self.settings
        size = len(self.assembly.datasets["train"])
        return TrainingShards(size, options.batch_size, world_size, options.tail, options.drop_last)

    def evaluation_shards(self, stage: str, world_size: int) -> EvaluationShards:
        """How the samples of another stage are shared.

        Raises:
            ShardingError: there are too few for so many ranks.
        """
        size = len(self.assembly.datasets[stage])
        return EvaluationShards(size, world_size, self.settings.batch_size)

    def sampler(
        self,
        stage: str,
        order: Order,
        shards: Shards,
        rank: int,
        epoch: int = 0,
        *,
        rest: RemainingEpoch | None = None,
    ) -> ShardedSampler:
        """The sampler that a DataModule would make; with what is left of an epoch, that of a resumed run."""
        sampler = ShardedSampler(self.assembly.datasets[stage], FixedEpochs(order, shards, rank, rest=rest))
        sampler.set_epoch(epoch)
        return sampler

    def describe(self, stage: str, position: int) -> str:
        """Where a sample of a split lies."""
        return describe_id(self.index, int(self.assembly.datasets[stage].sample_ids([position])[0]))


def describe_id(index: SampleIndex, number: int) -> str:
    """Where a sample of the index lies."""
    where = index.locate([number])
    return f"{index.names[int(where.file[0])]} row {int(where.row[0])}"


def listed(numbers: Sequence[int]) -> str:
    """Numbers in a row: 1, 2, 4."""
    return ", ".join(map(str, numbers))
