"""What each check gets and returns: the run to check, with texts for its samples, and the result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from h5lightning.core.arrays import Float64Array, Int64Array
from h5lightning.core.permutation import derive_key, derive_keys
from h5lightning.core.progress import Advance
from h5lightning.core.star_paths import concrete
from h5lightning.datamodule.setup import PreparedData
from h5lightning.errors import ShardingError, SplitError
from h5lightning.loading.epochs.evaluation_epochs import FixedEpochs
from h5lightning.loading.epochs.sampler import ShardedSampler
from h5lightning.options import Access
from h5lightning.planning.fields import Fields, RowField, SeriesField, StoredField, StoredForm
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.sampling import Order, PathOrder
from h5lightning.planning.sampling.evaluation_shards import EvaluationShards
from h5lightning.planning.sampling.sharding import Shards
from h5lightning.planning.sampling.training_progress import RemainingEpoch
from h5lightning.planning.sampling.training_shards import TrainingShards
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.protocol import DatasetColumn, Reader
from h5lightning.tools.check.settings import CheckSettings

__all__ = ["MOST_NAMED", "CheckResult", "CheckRun", "DrawnUnit", "describe_id", "joined", "layout_in"]

MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check.

    Args:
        name: a short sentence that is true if the check passed.
        scope: the extent of the check: ranks, epochs, files.
        failures: one sentence for each failure; empty if the check passed.
        note: what a user should know although the check passed; may be empty.
    """

    name: str
    scope: str
    failures: tuple[str, ...] = ()
    note: str = ""

    @property
    def has_passed(self) -> bool:
        """Whether there are no failures."""
        return not self.failures


class DrawnUnit(NamedTuple):
    """Some samples of a unit of the catalog: a file, or a match of the ``*`` in one.

    Args:
        unit: its number.
        ids: ids of the samples, ascending, ``(N,)``.
        rows: their first rows, counted in the unit, ``(N,)``.
    """

    unit: int
    ids: Int64Array
    rows: Int64Array


@dataclass(frozen=True, slots=True, eq=False)
class CheckRun:
    """A run to check.

    Args:
        data: files, splits and datasets.
        order: the order of the training samples; None without a training split.
        weights: how likely each training sample is to be drawn, ``(N,)``; None where each comes once.
        settings: the extent of the checks.
        reader: the reader that training uses.
        access: how files are opened and trusted.
        stored: keys of the fields that deliver the stored numbers, whatever they stand for.
        stage: the stage whose samples are read, with those of all stages that have the same layout.
    """

    data: PreparedData
    order: Order | None
    weights: Float64Array | None
    settings: CheckSettings
    reader: Reader
    access: Access
    stored: frozenset[str] = frozenset()
    stage: str = "train"

    @property
    def index(self) -> SampleIndex:
        """All samples of the layout that the stage has."""
        return self.data.survey.sections[self.stage].index

    def files(self, advance: Advance) -> Iterator[int]:
        """The number of each file; reports to ``advance`` after each."""
        for file in range(len(self.index.names)):
            yield file
            advance(1)

    def open_files(self) -> HandlePool:
        """A pool of open files for a check alone."""
        return HandlePool(self.access, scanned_files=self.data.survey.scanned_files)

    def fields_of(self, file: int) -> Fields:
        """The fields of a file; a file of ``predict`` alone may lack some."""
        survey = self.data.survey
        predicted = (survey.roles or {}).get("predict")
        is_predicted = predicted is not None and file in predicted
        return (survey.predict_fields if is_predicted else None) or survey.sections[self.stage].fields

    def id_range(self, file: int) -> tuple[int, int]:
        """The first id of a file, and one past the last."""
        first, stop = self.index.first_id[self.index.first_series[file : file + 2]].tolist()
        return first, stop

    def drawn_ids(self, file: int) -> Int64Array:
        """Ids of a file, ascending: the first, the last, and one of each of equal parts between them."""
        first, stop = self.id_range(file)
        size, most = stop - first, self.settings.samples_per_file
        if size <= most:
            return np.arange(first, stop)
        borders = np.linspace(0, size, max(most - 1, 1)).astype(np.int64)
        lengths = np.diff(borders)
        numbers = np.arange(len(lengths)) + file * len(lengths)
        keys = derive_keys(derive_key("check of readers", self.data.seed), numbers)
        inside = borders[:-1] + (keys % np.maximum(lengths, 1).astype(np.uint64)).astype(np.int64)
        return first + np.unique(np.concatenate([[0], inside, [size - 1]]))

    def drawn_units(self, file: int) -> Iterator[DrawnUnit]:
        """The drawn samples of a file, unit after unit."""
        ids = self.drawn_ids(file)
        units, borders, rows, _ = self.index.locate_ascending(ids)
        for number, unit in enumerate(units.tolist()):
            own = slice(borders[number], borders[number + 1])
            yield DrawnUnit(unit, ids[own], rows[own])

    def text_of(self, unit: int) -> str:
        """What the ``*`` in paths matched in a unit; empty if units are files."""
        return "" if self.index.unit_texts is None else self.index.unit_texts[unit]

    def name_of(self, unit: int) -> str:
        """The name of the file of a unit, and of its series if a ``*`` matched it."""
        matches, names = self.data.survey.catalog.matches, self.index.names
        if matches is None:
            return names[unit]
        return f"{names[int(self.index.unit_files[unit])]} series {matches.name(unit)!r}"

    def path_in(self, plan: StoredField, unit: int) -> str:
        """The path of the dataset of a field in one unit."""
        return concrete(plan.path, self.text_of(unit))

    def column_in(self, plan: StoredField, unit: int) -> DatasetColumn:
        """The dataset column that a reader reads for a field in one unit."""
        leading = plan.leading if isinstance(plan, RowField) else 1
        row_shape = plan.row_shape if plan.shapes is None else plan.shapes.shape_in(unit)
        column = DatasetColumn(plan.path, plan.member, layout_in(plan, unit).dtype, row_shape, leading)
        return column.at(self.text_of(unit))

    def first_rows(self, plan: RowField | SeriesField, drawn: DrawnUnit) -> Int64Array:
        """The row of the dataset of a field with which each drawn sample begins, ``(N,)``."""
        if isinstance(plan, RowField) and plan.row_numbers.is_in_unit:
            return drawn.rows
        where = self.index.locate(drawn.ids)
        if isinstance(plan, SeriesField):
            return where.series - int(self.index.units.searchsorted(drawn.unit))
        return where.row  # all series share its rows

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
        """Whether epochs should differ; two orders of a few samples may be equal by chance."""
        return self.order is not None and not isinstance(self.order, PathOrder) and self.order.size > 8

    def worlds(self) -> list[int]:
        """The world sizes for which there are enough training samples."""
        worlds = self.settings.ranks_for(self.training_order.size)
        return [world for world in worlds if self._has_steps(world)]

    def loader_ranks(self) -> list[tuple[int, int]]:
        """World size and rank of each loader to start: one of the smallest world, first and last of the largest."""
        worlds = self.worlds() or [1]
        return sorted({(min(worlds), 0), (max(worlds), 0), (max(worlds), max(worlds) - 1)})

    def _has_steps(self, world_size: int) -> bool:
        try:
            return self.training_shards(world_size).steps > 0
        except ShardingError:
            return False

    def training_shards(self, world_size: int) -> TrainingShards:
        """The division of training samples.

        Raises:
            ShardingError: there are too few samples for this world size.
        """
        options = self.settings
        size = len(self.data.datasets["train"])
        return TrainingShards(size, options.batch_size, world_size, options.tail, options.drop_last)

    def evaluation_shards(self, stage: str, world_size: int) -> EvaluationShards:
        """The division of the samples of another stage.

        Raises:
            ShardingError: there are too few samples for this world size.
        """
        return EvaluationShards(len(self.data.datasets[stage]), world_size, self.settings.batch_size)

    def sampler(
        self,
        stage: str,
        order: Order,
        shards: Shards,
        rank: int,
        epoch: int = 0,
        *,
        remaining: RemainingEpoch | None = None,
    ) -> ShardedSampler:
        """The sampler that a DataModule would make; with ``remaining``, that of a resumed run."""
        epochs = FixedEpochs(order, shards, rank, rest=remaining)
        sampler = ShardedSampler(self.data.datasets[stage], epochs)
        sampler.set_epoch(epoch)
        return sampler

    def describe(self, stage: str, position: int) -> str:
        """File and row of a position in a split."""
        index = self.data.survey.sections[stage].index
        return describe_id(index, int(self.data.datasets[stage].sample_ids([position])[0]))


def describe_id(index: SampleIndex, sample_id: int) -> str:
    """File, series and row of an id."""
    where = index.locate([sample_id])
    name = index.series_name(int(where.series[0]))
    series = f" series {name!r}" if name else ""
    return f"{index.names[int(where.file[0])]}{series} row {int(where.row[0])}"


def joined(numbers: Sequence[int]) -> str:
    """Numbers as text: 1, 2, 4."""
    return ", ".join(map(str, numbers))


def layout_in(plan: StoredField, unit: int) -> StoredForm:
    """The type and encoding of a field in one unit, which may differ from unit to unit."""
    return plan.forms[plan.form_in(unit)]
