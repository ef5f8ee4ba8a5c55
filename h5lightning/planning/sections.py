"""The samples of all stages: one index after the other, one for each layout of samples, with ids that go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import Frozen
from h5lightning.core.sample_numbers import to_numbers
from h5lightning.errors import H5LightningError, OptionError
from h5lightning.options.samples import Samples, StageSamples
from h5lightning.planning.fields import Fields
from h5lightning.planning.file_runs import run_reach
from h5lightning.planning.grid import Grid
from h5lightning.planning.index import Location, SampleIndex
from h5lightning.planning.passes.rows_of_field import is_by_entry
from h5lightning.planning.reach import reach_of_units
from h5lightning.planning.row_filter import RowFilter
from h5lightning.planning.selection import Selection
from h5lightning.planning.series.series_lengths import check_span

__all__ = ["Section", "Sections", "fields_of_stages", "home_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Section(Frozen):
    """The samples of the stages that have one layout, and the fields of a batch of them.

    Args:
        index: the samples; its files and series are those of all sections.
        fields: what a batch is made of.
    """

    index: SampleIndex
    fields: Fields

    def with_classes(self, classes: Mapping[str, Sequence[str]]) -> Section:
        """The section with other categories; see `Fields.with_classes`."""
        return replace(self, fields=self.fields.with_classes(classes))


@dataclass(frozen=True, eq=False)
class Sections(Frozen):
    """All samples of a data set, of all stages.

    Args:
        indices: the samples of each layout, in the order of their ids; those of training come first.
        of_stage: the section of each stage.
    """

    indices: tuple[SampleIndex, ...]
    of_stage: Mapping[str, Section]

    @classmethod
    def of(
        cls,
        index: SampleIndex,
        samples: StageSamples,
        fields: Mapping[str, Fields],
        predicted: Fields | None = None,
        predict_units: Int64Array | None = None,
    ) -> Sections:
        """One section for each distinct layout.

        Args:
            index: the samples of training.
            samples: the layout in each stage.
            fields: the fields of each stage.
            predicted: the fields of some units that may lack fields; None if all units have the same.
            predict_units: these units.

        Raises:
            OptionError: windows of training are longer than every series.
        """
        indices, of_stage, made = [], {}, dict[tuple[int, int], Section]()
        for number, (layout, stages) in enumerate(samples.stages_of.items()):
            first = int(index.first_id[-1]) if number else index.first
            reach = reach_of_units(layout, fields[stages[0]], predicted, predict_units)
            given = reach.of(index.units)
            if index.runs is not None:
                given = run_reach(given, index.runs)
            grid = Grid.of(layout, _other_lengths(fields[stages[0]], predicted, predict_units))
            index = replace(index, samples=layout, first=first, given_reach=given, grid=grid)
            indices.append(index)
            if not number:
                check_span(index)
            for stage in stages:
                # Stages that share a section also share what is made from it.
                key = number, id(fields[stage])
                of_stage[stage] = made.setdefault(key, Section(index, fields[stage]))
        return cls(tuple(indices), of_stage)

    def with_filter(self, rows: RowFilter) -> Sections:
        """The same samples, of which those are left out that read one of some rows."""
        made: dict[int, SampleIndex] = {}
        sections: dict[int, Section] = {}
        for section in self.of_stage.values():
            index = section.index
            if id(index) not in made:
                # An entry of an index is one row, whatever its length.
                fields = tuple(field for field in section.fields.row_fields if not is_by_entry(field))
                made[id(index)] = replace(index, filter=replace(rows, fields=fields))
            sections.setdefault(id(section), Section(made[id(index)], section.fields))
        of_stage = {stage: sections[id(section)] for stage, section in self.of_stage.items()}
        return Sections(tuple(made[id(index)] for index in self.indices), of_stage)

    def __len__(self) -> int:
        return int(self.indices[-1].first_id[-1])

    def __getitem__(self, stage: str) -> Section:
        """The section of a stage."""
        return self.of_stage[stage]

    def with_classes(self, classes: Mapping[str, Sequence[str]]) -> Sections:
        """The sections with other categories; stages that share one still do."""
        made = {id(section): section.with_classes(classes) for section in self.of_stage.values()}
        return replace(self, of_stage={stage: made[id(one)] for stage, one in self.of_stage.items()})

    def stages_of(self, index: SampleIndex) -> list[str]:
        """The stages whose samples are in one of the indices."""
        return [stage for stage, section in self.of_stage.items() if section.index is index]

    def locate(self, ids: npt.ArrayLike) -> Location:
        """File, series and first row of samples of any stages; all sections number files and series alike.

        Args:
            ids: ids of samples, ``(N,)``.

        Raises:
            TypeError: masks, floats, or anything else but integers.
            IndexError: an id is in no section.
        """
        numbers = to_numbers(ids, "ids")
        if len(self.indices) == 1:
            return self.indices[0].locate(numbers)
        if numbers.size and (numbers.min() < 0 or numbers.max() >= len(self)):
            raise IndexError(
                f"sample ids must lie in [0, {len(self)}), found {numbers.min()}..{numbers.max()}"
            )
        section = self._section_of(numbers)
        file, series, row, cell = np.zeros((4, *numbers.shape), np.int64)
        for number, index in enumerate(self.indices):
            which = np.flatnonzero(section == number)
            where = index.locate(numbers[which])
            file[which], series[which], row[which] = where.file, where.series, where.row
            cell[which] = 0 if where.cell is None else where.cell
        return Location(file, series, row, cell)

    def starts(self, ids: npt.ArrayLike) -> list[tuple[int, ...]]:
        """The first entry of samples along each axis of their windows; errors as `locate`."""
        numbers = to_numbers(ids, "ids")
        found: list[tuple[int, ...]] = [()] * len(numbers)
        section = self._section_of(numbers)
        for number, index in enumerate(self.indices):
            which = np.flatnonzero(section == number)
            starts = index.starts(index.locate(numbers[which])).tolist()
            for slot, start in zip(which.tolist(), starts, strict=True):
                found[slot] = tuple(start)
        return found

    def _section_of(self, ids: Int64Array) -> Int64Array:
        """The number of the index that has each id, ``(N,)``."""
        return np.searchsorted([index.first for index in self.indices], ids, side="right") - 1


def _other_lengths(
    fields: Fields, predicted: Fields | None, predict_units: Int64Array | None
) -> Int64Array | None:
    """The lengths of the other axes of windows, where some units have fields of their own."""
    lengths: Int64Array | None = fields.other_lengths
    if lengths is None or predicted is None or predicted.other_lengths is None or predict_units is None:
        return lengths
    lengths = lengths.copy()
    lengths[predict_units] = predicted.other_lengths[predict_units]
    return lengths


def fields_of_stages(samples: StageSamples, plan: Callable[[Samples], Fields]) -> dict[str, Fields]:
    """The fields of each stage; stages with one layout share them.

    Args:
        samples: the layout in each stage.
        plan: plans the fields of a layout; its errors get the name of the stage, if layouts differ.
    """
    planned: dict[str, Fields] = {}
    layouts = samples.stages_of
    for layout, stages in layouts.items():
        try:
            fields = plan(layout)
        except H5LightningError as error:
            # What is not about samples fails for training, which comes first.
            if len(layouts) == 1 or ("train" in stages and not isinstance(error, OptionError)):
                raise
            raise type(error)(f"samples.{stages[0]}: {error}") from error
        planned |= dict.fromkeys(stages, fields)
    return planned


def home_of(sample_id: int, splits: Mapping[str, Selection], sections: Sections | None) -> str:
    """Where a sample is that a dataset lacks, for an error.

    Args:
        sample_id: its id.
        splits: the samples of each stage.
        sections: the samples of all stages, divided or not; None where one index has them all.
    """
    for stage, selection in splits.items():
        if selection.positions([sample_id])[0] >= 0:
            return f"in {stage!r}: read it from the {stage}_dataset"
    for index in sections.indices if sections is not None and len(sections.indices) > 1 else ():
        if index.first <= sample_id < index.first_id[-1]:
            stages = " and ".join(map(repr, sections.stages_of(index) if sections is not None else ()))
            return f"in no split: the numbers of {stages} count {index.samples!r}, and none of these has its rows"
    indices = () if sections is None else sections.indices
    if any(index.filter is not None for index in indices):
        return (
            "in no split: it reads a row that 'where' leaves out, or was left out when the data were divided"
        )
    return "in no split: it was left out when the data were divided"
