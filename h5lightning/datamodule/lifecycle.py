"""What the hooks of a DataModule do with its data: scan, split, resume, close."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from lightning.pytorch.utilities import rank_zero_warn

from h5lightning.core.arrays import Int64Array
from h5lightning.core.visible import visible
from h5lightning.datamodule.decoding_costs import decoding_remarks
from h5lightning.datamodule.distributed import (
    AttachedTrainer,
    check_agreement,
    from_first_rank,
    with_files_of_this_node,
)
from h5lightning.datamodule.epoch_tracker import EpochTracker
from h5lightning.datamodule.found_statistics import FoundStatistics
from h5lightning.datamodule.options import DataModuleOptions
from h5lightning.datamodule.resume import (
    RunRecord,
    RunSeed,
    SavedRun,
    recorded_lines,
    recorded_reach,
    recorded_where,
)
from h5lightning.datamodule.run_classes import RunClasses
from h5lightning.datamodule.run_statistics import RunStatistics, UsedStatistics
from h5lightning.datamodule.run_window import RunWindow
from h5lightning.datamodule.setup import PreparedData, prepare, survey_files
from h5lightning.errors import NotSetUpError
from h5lightning.loading.order_values import OrderValues, order_fields, read_order_values
from h5lightning.options import Shuffle
from h5lightning.options.checks import to_plain
from h5lightning.options.samples import StageSamples
from h5lightning.planning.sampling import Order, fingerprint
from h5lightning.planning.sampling.sharding import Share
from h5lightning.planning.sampling.window_cuts import WINDOW_STEPS
from h5lightning.planning.statistics import StatisticsRequest
from h5lightning.storage.data_survey import DataSurvey

__all__ = ["DataLifecycle"]


class DataLifecycle:
    """The data of one DataModule, from hook to hook."""

    def __init__(self, options: DataModuleOptions, trainer: AttachedTrainer) -> None:
        self._options = options
        self._trainer = trainer
        self._seed = RunSeed(options.seed)
        self._window = RunWindow(options.shuffle)
        self._statistics = RunStatistics(options.normalize)
        self._found = FoundStatistics(options)
        self._used: dict[str, UsedStatistics] | None = None  # as long as neither fields nor statistics change
        self._classes = RunClasses()
        self._survey: DataSurvey | None = None
        self._data: PreparedData | None = None
        self._values: OrderValues | None = None  # of the training samples, read on rank 0
        self._order: Order | None = None
        self._restored: SavedRun | None = None  # until setup has compared it with the data
        self.tracker = EpochTracker(trainer)

    @property
    def seed(self) -> int:
        """The seed of splits, orders and transforms."""
        return self._seed.value

    @property
    def data(self) -> PreparedData:
        """What `setup` prepared."""
        if self._data is None:
            raise NotSetUpError(
                "the data are not set up: call dm.prepare_data() and dm.setup(), or let a Trainer do it"
            )
        return self._data

    @property
    def statistics(self) -> dict[str, UsedStatistics]:
        """Key → what normalises the field."""
        if self._used is not None:
            return self._used
        lacking = self._lacking(self.data)
        if lacking and not self._is_alone:
            # Other ranks may not ask for them, so that nothing can be shared.
            return self._statistics.used(self.data.survey.fields, self._found.read(self.data, lacking))
        self.complete()
        self._used = self._statistics.used(self.data.survey.fields)
        return self._used

    def complete(self) -> None:
        """Read on rank 0 the statistics that are still needed, for all ranks, which all call this.

        Raises:
            FieldError: a field has no number to compute statistics of.
            BadFileError: a file cannot be read.
        """
        data = self.data
        lacking = self._lacking(data)
        if lacking:
            self._statistics.keep(from_first_rank(self._trainer(), partial(self._found.read, data, lacking)))
            self._normalize()

    def class_counts(self, key: str) -> Int64Array:
        """How often each category of a field occurs in the rows of the train split, ``(classes,)``.

        Raises:
            SplitError: there is no train split.
        """
        counts = self._found.read(self.data, {key: StatisticsRequest(per="all")})[key].classes
        assert counts is not None  # the caller knows that it has categories
        return counts

    @property
    def _is_alone(self) -> bool:
        trainer = self._trainer()
        return trainer is None or int(trainer.world_size) == 1

    def _lacking(self, data: PreparedData) -> dict[str, StatisticsRequest]:
        """The statistics that must be read; a field without any waits for those of a checkpoint."""
        if not self._options.normalize or "train" not in data.plan.parts:
            return {}
        lacking = self._statistics.lacking(data.survey.fields.spec())
        return {key: StatisticsRequest.of(one) for key, one in lacking.items()}

    def _lacking_classes(self) -> list[str]:
        """The fields whose numbers of categories in training are not known."""
        return [] if "train" in self.data.plan.parts else self._classes.lacking(self._options.fields)

    def _normalize(self) -> None:
        """Normalise by the statistics that count now, and say where a scale is 1."""
        data, self._used = self.data, None
        data.normalize_by(self._statistics.known)
        for remark in self._statistics.remarks(data.survey.fields):
            rank_zero_warn(visible(remark))

    @property
    def shuffle(self) -> Shuffle:
        """The order of training, with the window of this run in bytes."""
        return self._window.shuffle(self.data)

    def training_order(self) -> Order:
        """The order of the training samples."""
        if self._order is None:
            dataset, values, shuffle = self.data.datasets.get("train"), self._values, self.shuffle
            if values is None and dataset is not None:
                # Set up for another stage than fit: values were not shared, and other ranks may not ask for them.
                values = read_order_values(dataset, shuffle)
            self._order = self.data.training_order(shuffle, values)
        return self._order

    def decoding_remarks(self, share: Share | None = None) -> list[str]:
        """Sentences about what training decodes more than once, by the part of the samples that a rank gets."""
        return list(decoding_remarks(self._options, self.data, self.shuffle, share))

    def remarks(self) -> list[str]:
        """Sentences about the order of training, and about what it decodes more than once."""
        bucket = self._options.shuffle.bucket
        about = f"Training batches have samples of similar {bucket!r}: those of {WINDOW_STEPS} steps are sorted by it"
        about_values = self._statistics.remarks(self.data.survey.fields)
        return [*([] if bucket is None else [about]), *about_values, *self.decoding_remarks()]

    def scan(self) -> None:
        """Discover and scan the files, once; and read the statistics for several ranks.

        In this hook of the Trainer, other ranks wait for as long as it takes: elsewhere for half an hour.
        """
        if self._survey is None:
            self._survey = survey_files(self._options)
        trainer, options = self._trainer(), self._options
        is_shared = not self._is_alone and trainer.is_global_zero and trainer.state.fn == "fit"
        if options.normalize and is_shared and self._data is None:
            data = prepare(options, self._classes.applied(self._survey), self.seed)
            self._found.read(data, self._lacking(data))

    def setup(self, stage: str | None, *, batch_size: int) -> None:
        """Prepare the data for a stage, the same way on every rank, and compare them with a loaded state."""
        if stage == "fit" and not self.tracker.is_running:
            self._begin_fit()
        if self._data is None:
            self._prepare(batch_size)
        if self._restored is not None:
            self._continue(self._restored)
        # In an evaluation, a Trainer loads the checkpoint and its statistics after this.
        if stage in (None, "fit") or self._trainer() is None:
            self.complete()
        if stage in (None, "fit") and self._values is None:
            self._share_values()

    def close(self) -> None:
        """End the fit, and close this process's files."""
        self.tracker.end(self._trainer())
        if self._data is not None:
            self._data.reader.close()

    def state(self) -> dict[str, Any]:
        """The state for a checkpoint; empty before `setup`."""
        return {} if self._data is None else self._record().to_state(self.tracker.now())

    def load_state(self, state: object) -> None:
        """Read a state, and continue at its position, now or in `setup`."""
        is_own = self._trainer() is None
        if not state and not is_own:
            return
        # Evaluation under a Trainer loads the same state, and continues nothing.
        self._restored = SavedRun.of_state(state, continues=self._continues, is_own=is_own)
        if self._data is not None:
            self._continue(self._restored)

    @property
    def _continues(self) -> bool:
        """Whether a run that loads a state continues its training."""
        trainer = self._trainer()
        return trainer is None or bool(trainer.training)

    def _prepare(self, batch_size: int) -> None:
        """Prepare the files that rank 0 scanned."""
        trainer, options = self._trainer(), self._options
        survey, seed = from_first_rank(trainer, lambda: (self._survey or survey_files(options), self.seed))
        self._seed.keep(seed)
        self._survey = with_files_of_this_node(trainer, survey)
        self._data = prepare(options, self._classes.applied(self._survey), seed)
        self._data.lack_classes(self._lacking_classes())
        facts = {"batch_size": batch_size, "tail": options.tail, "drop_last": options.drop_last}
        facts |= {"shuffle": to_plain(self.shuffle), "split": self._data.plan.fingerprint}
        check_agreement(trainer, facts)

    def _prepare_again(self) -> None:
        """Split the same files with the seed that counts now, and deliver the categories that count now."""
        data = self.data
        survey = self._classes.applied(self._survey or data.survey)
        self._data, self._order = prepare(self._options, survey, self.seed, data.reader), None
        if self._data.plan.fingerprint != data.plan.fingerprint:
            self._statistics.forget_own()
        self._data.lack_classes(self._lacking_classes())
        self._normalize()
        if self._values is not None:
            self._share_values()

    def _share_values(self) -> None:
        """Read on rank 0, for all ranks, what the order of the training samples needs, such as weights."""
        dataset, shuffle = self.data.datasets.get("train"), self._options.shuffle
        if dataset and order_fields(shuffle):
            self._values = from_first_rank(self._trainer(), lambda: read_order_values(dataset, shuffle))
        if dataset and shuffle.bucket is not None:
            self.training_order()  # fails now, if samples cannot be bucketed

    def _begin_fit(self) -> None:
        """Forget the last fit; a checkpoint of this one is loaded later."""
        self.tracker.begin_fit()
        if self._restored is not None:
            self._restored = replace(self._restored, position=None)
        if self._window.begin_fit():
            self._order = None
        is_other_seed = self._seed.begin_fit()
        self._classes.begin_fit()
        if is_other_seed or self._are_other_classes():
            self._prepare_again()
        if self._statistics.begin_fit() and self._data is not None:
            self._normalize()

    def _continue(self, saved: SavedRun) -> None:
        """Take over the seed of a saved run, compare its data with these, and continue at its position."""
        self._restored = None
        if not self._continues or "train" not in self.data.plan.parts:
            saved = replace(saved, position=None)
        is_other_seed = self._seed.take_over(saved.record.seed, is_kept=saved.is_own)
        self._classes.take_over(saved.record.classes, is_kept=saved.is_own)
        if is_other_seed or self._are_other_classes():
            self._prepare_again()
        for remark in self._classes.remarks(self._options.fields):
            rank_zero_warn(visible(remark))
        self.data.lack_classes(self._lacking_classes())
        if self._statistics.take_over(saved.record.normalize, is_kept=saved.is_own):
            self._normalize()
        if self._continues:
            self._window.take_over(saved.record.shuffle, is_kept=saved.is_own)
            self._order = None
        position = saved.position_in(self._record(), on_other_data=self._options.on_other_data)
        if position is not None:
            self.tracker.resume(position)

    def _are_other_classes(self) -> bool:
        """Whether other categories count now than those of the prepared data."""
        survey, data = self._survey, self._data
        return (
            survey is not None and data is not None and self._classes.are_others(survey, data.survey.fields)
        )

    def _record(self) -> RunRecord:
        data, options = self.data, self._options
        return RunRecord(
            seed=self.seed,
            samples=to_plain(StageSamples.all_of(options.samples).train),
            shuffle=to_plain(self.shuffle),
            order=fingerprint(self.training_order()) if data.datasets.get("train") else "",
            split=data.plain_split,
            reach=recorded_reach(data.survey.index),
            where=recorded_where(options.where, data.survey.index),
            lines=recorded_lines(data.survey.index, data.plan) if data.survey.has_line_series else ...,
            normalize=self._statistics.to_plain(data.survey.fields),
            classes=self._classes.to_plain(data.survey.fields, self._lacking_classes()),
        )
