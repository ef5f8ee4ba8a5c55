"""Makes the loaders of a DataModule: samples, order and part of the data in, batches out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from h5lightning.core.process_local import ProcessLocalSet
from h5lightning.datamodule.decoding_costs import check_window
from h5lightning.datamodule.distributed import AttachedTrainer, Notices, ShareFinder, log_tail
from h5lightning.datamodule.epoch_tracker import EpochTracker
from h5lightning.datamodule.options import DataModuleOptions
from h5lightning.datamodule.setup import PreparedData
from h5lightning.loading.batch_finisher import IS_REPEAT
from h5lightning.loading.epochs.epoch_source import Division
from h5lightning.loading.epochs.evaluation_epochs import EvaluationEpochs
from h5lightning.loading.epochs.sampler import ShardedSampler
from h5lightning.loading.epochs.training_epochs import TrainingEpochs
from h5lightning.loading.loader import H5DataLoader, default_threads, make_loader
from h5lightning.loading.sample_dataset import SampleDataset
from h5lightning.planning.sampling import Order, PathOrder
from h5lightning.planning.sampling.evaluation_shards import EvaluationShards
from h5lightning.planning.sampling.sharding import Share
from h5lightning.planning.sampling.training_shards import TrainingShards

__all__ = ["Loaders"]


class Loaders:
    """The loaders of one DataModule; ``tracker`` counts the epochs of all training loaders."""

    def __init__(self, options: DataModuleOptions, trainer: AttachedTrainer, tracker: EpochTracker) -> None:
        self._options = options
        self._trainer = trainer
        self._tracker = tracker
        self._notices = Notices()
        self._made: ProcessLocalSet[H5DataLoader] = ProcessLocalSet()

    def training(
        self,
        data: PreparedData,
        order: Callable[[], Order],
        batch_size: int,
        given: Share | None,
        *,
        remarks: Callable[[Share | None], Iterable[str]] = lambda _: (),
    ) -> H5DataLoader:
        """A loader of the training samples, with equally many steps on each rank; ``given`` None finds the share.

        Args:
            data: what is trained on.
            order: the order of its samples.
            batch_size: samples of a batch.
            given: the part of the samples that the loader delivers.
            remarks: makes sentences about what is decoded repeatedly, to be logged once, by the part of a rank.

        Raises:
            OptionError: the shuffle window is larger than what the cache can hold.
        """
        dataset, options = data.datasets["train"], self._options
        shards_of = partial(
            TrainingShards, len(dataset), batch_size, tail=options.tail, drop_last=options.drop_last
        )
        finder = ShareFinder(given, self._trainer)
        stated = finder.stated()
        check_window(options, data, stated)
        self._notices.of_decoding(remarks(stated))
        if stated is not None:
            log_tail(shards_of(stated.world_size))
            self._tracker.prepare(shards_of(stated.world_size))
        elif self._trainer() is not None:
            self._tracker.prepare(shards_of(1))
        log = partial(self._notices.of_training, is_logged=stated is not None)
        division = Division(order(), shards_of, finder, log)
        sampler = ShardedSampler(dataset, TrainingEpochs(division, self._tracker, given))
        return self._make(data, dataset, sampler, batch_size)

    def evaluation(
        self, data: PreparedData, stage: str, batch_size: int, given: Share | None, *, allow_empty: bool
    ) -> H5DataLoader:
        """A loader of ``val``, ``test`` or ``predict``: each sample once, in path order; see `training`."""
        dataset = data.datasets[stage]
        shards_of = partial(
            EvaluationShards,
            len(dataset),
            batch_size=batch_size,
            tail=self._options.eval_tail,
            allow_empty=allow_empty,
        )
        finder = ShareFinder(given, self._trainer)
        if (stated := finder.stated()) is not None:
            shards_of(stated.world_size)  # fails now if there are too few samples
        log = partial(self._notices.of_evaluation, stage, finder)
        division = Division(PathOrder(len(dataset)), shards_of, finder, log)
        return self._make(data, dataset, ShardedSampler(dataset, EvaluationEpochs(division)), batch_size)

    def close(self) -> None:
        """End the threads and worker processes of all loaders."""
        for loader in self._made:
            loader.close()

    def _make(
        self, data: PreparedData, dataset: SampleDataset, sampler: ShardedSampler, batch_size: int
    ) -> H5DataLoader:
        lacking = data.survey.fields.spec().keys() - dataset.field_spec.keys()
        if dataset.stage == "train" and self._options.eval_tail == "repeat":
            lacking |= {IS_REPEAT}  # only evaluation marks repeated samples
        options, keys = self._options, self._options.as_tuple
        loader = make_loader(
            dataset,
            sampler,
            batch_size=batch_size,
            num_workers=options.num_workers,
            threads=default_threads(options.reader) if options.threads is None else options.threads,
            pin_memory=options.pin_memory,
            as_tuple=None if keys is None else [key for key in keys if key not in lacking],
            for_workers=options.for_workers,
        )
        self._made.add(loader)
        return loader
