"""Which rows conditions leave out: each row is read once, and what was found is kept beside the index."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.core.bits import Bits
from h5lightning.errors import OptionError
from h5lightning.loading.passes.block_reader import BlockValues
from h5lightning.loading.passes.row_pass import PassOptions, RowPass
from h5lightning.options import Access
from h5lightning.planning.fields import FieldPlan, RowField, row_field_of
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.passes.file_digests import file_digests
from h5lightning.planning.passes.row_blocks import Piece, rows_index
from h5lightning.planning.passes.rows_of_field import is_by_entry, is_by_row, same_values
from h5lightning.planning.ragged_fields import RunField
from h5lightning.planning.row_conditions import RowConditions, RowTest
from h5lightning.planning.row_filter import RowFilter
from h5lightning.planning.row_runs import EntryRuns
from h5lightning.storage.data_survey import DataSurvey
from h5lightning.storage.indexing.row_set_store import RowSetStore

__all__ = ["with_conditions"]

_SHARED_AT_ONCE = 256  # values that many rows share


def with_conditions(
    survey: DataSurvey,
    *,
    access: Access,
    reader: str = "auto",
    index_dir: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> DataSurvey:
    """The survey without the samples that read a row that conditions leave out; as it is without conditions.

    Decoded values are compared, before they are normalised. Rows of files that have not changed are not read again.

    Args:
        survey: the files, the fields and the conditions.
        access: how files are opened.
        reader: ``auto``, ``direct`` or ``h5py``.
        index_dir: directory of the index, where the rows are kept too; None for the user's cache directory.
        progress: show a progress bar if standard error is a terminal.

    Raises:
        OptionError: a condition that values cannot fulfil.
        BadFileError: a file cannot be read.
    """
    conditions = survey.conditions
    if conditions is None and survey.rows_without_line is None:
        return survey
    rows, every, options = _Rows(survey), np.arange(len(survey.catalog)), PassOptions(access, reader)
    if conditions is None:
        rows.leave_out_without_line()
        return replace(survey, sections=survey.sections.with_filter(rows.filter()))
    stored = conditions.of_plans(_is_of_files)
    if stored.plans or stored.predicted:
        digests = [bytes(one) for one in file_digests(survey.catalog, rows.index, None, every)]
        store = RowSetStore(index_dir, survey.catalog.root, _identity(stored, rows.extra))
        known = store.load()
        for number, digest in enumerate(digests):
            if digest in known:
                rows.set_file(number, known[digest])
        new = np.asarray([number for number, digest in enumerate(digests) if digest not in known], np.int64)
        if len(new):
            rows.read(stored, new, options, progress=progress)
            store.save({digest: rows.of_file(number) for number, digest in enumerate(digests)})
    others = conditions.of_plans(lambda plan: not _is_of_files(plan))
    rows.read(others, every, options, progress=progress)
    rows.leave_out_without_line()
    return replace(survey, sections=survey.sections.with_filter(rows.filter()))


def _is_of_files(plan: FieldPlan) -> bool:
    """Whether values are read from the rows of files: others are known, or few, or lie in a table beside the files."""
    first = row_field_of(plan)
    return first is not None and not first.path.startswith("table:")


def _identity(conditions: RowConditions, extra: int) -> list[str]:
    """What the rows that are left out depend on, beside the files."""
    plans = [*conditions.plans.items(), *conditions.predicted.items()]
    return [
        *(
            f"{key}: {conditions.where[key]!r} {same_values(plan)!r} {plan.spec.columns!r}"
            for key, plan in plans
        ),
        str(extra),
    ]


class _Rows:
    """Which rows of all series are left out.

    Args:
        survey: the files and the fields.

    Attributes:
        extra: rows after those of each series that only some fields have.
        index: the rows of all series, with the extra ones.
    """

    def __init__(self, survey: DataSurvey) -> None:
        self._survey = survey
        plain = rows_index(survey.index)
        fields = [one for section in survey.sections.of_stage.values() for one in section.fields.row_fields]
        extra = [int(np.max(one.extra_rows, initial=0)) for one in fields]
        self.extra = 0 if survey.index.runs is not None else max(extra, default=0)
        self.index = replace(plain, series_rows=plain.series_rows + self.extra) if self.extra else plain
        self._plain = plain
        self._is_left_out = np.zeros(len(self.index), np.bool_)

    def _span(self, file: int) -> slice:
        first = self.index.first_id[self.index.first_series[file : file + 2]].tolist()
        return slice(*first)

    def set_file(self, file: int, is_left_out: BoolArray) -> None:
        """Write down the rows of a file that are left out."""
        self._is_left_out[self._span(file)] = is_left_out

    def of_file(self, file: int) -> BoolArray:
        """Which rows of a file are left out."""
        return self._is_left_out[self._span(file)]

    def read(
        self, conditions: RowConditions, files: Int64Array, options: PassOptions, *, progress: bool
    ) -> None:
        """Leave out the rows of some files that do not fulfil conditions."""
        catalog = self._survey.catalog
        is_predicted = np.zeros(len(catalog), np.bool_)
        is_predicted[catalog.unit_files[conditions.predict_units]] = True
        for plans, some in ((conditions.plans, ~is_predicted), (conditions.predicted, is_predicted)):
            own = files[some[files]]
            tests = {plan.key: RowTest.of(key, conditions.where[key], plan) for key, plan in plans.items()}
            if len(own) and plans:
                self._read(list(plans.values()), tests, own, options, progress=progress)

    def leave_out_without_line(self) -> None:
        """Leave out the rows that have no line in the table, if there are such rows."""
        lacking = self._survey.rows_without_line
        if lacking is not None:
            rows = np.flatnonzero(lacking.bools())
            series = self._plain.first_id.searchsorted(rows, side="right") - 1
            self._is_left_out[rows + (self.index.first_id - self._plain.first_id)[series]] = True

    def filter(self) -> RowFilter:
        """The rows that are left out, for the index of samples."""
        first, runs = self.index.first_id[:-1], self._survey.index.runs
        if runs is None:
            return RowFilter(first, Bits.of_bools(self._is_left_out))
        pieces = (
            self._is_left_out[first[file] : first[file] + runs.rows[file]] for file in runs.order.tolist()
        )
        return RowFilter(runs.first_rows, Bits.of_pieces(pieces, len(self._is_left_out)))

    def _read(
        self,
        plans: list[FieldPlan],
        tests: Mapping[str, RowTest],
        files: Int64Array,
        options: PassOptions,
        *,
        progress: bool,
    ) -> None:
        by_row = [plan for plan in plans if is_by_row(plan)]
        # Rows that only some fields have are read for these alone.
        longer = [
            plan for plan in by_row if isinstance(plan, RowField) and np.any(plan.extra_rows) and self.extra
        ]
        groups: list[list[FieldPlan]] = [[plan for plan in by_row if plan not in longer]]
        groups += [[plan] for plan in longer]
        for group in groups:
            if group:
                self._read_rows(group, tests, files, options, progress=progress)
        shared = [plan for plan in plans if not is_by_row(plan)]
        if shared:
            self._read_shared(shared, tests, files, options)

    def _read_rows(
        self,
        plans: list[FieldPlan],
        tests: Mapping[str, RowTest],
        files: Int64Array,
        options: PassOptions,
        *,
        progress: bool,
    ) -> None:
        index = self._index_of(plans[0])
        with RowPass(self._survey, index, None, plans, options) as rows:
            made = rows.run(
                lambda piece: _PieceTests(piece, index, plans, tests),
                files,
                progress="conditions of rows" if progress else None,
            )
            for piece, found in made:
                ids = slice(piece.start, piece.stop)
                if index is not self.index:
                    places = np.arange(piece.start, piece.stop)
                    series = index.first_id.searchsorted(places, side="right") - 1
                    places += (self.index.first_id - index.first_id)[series]
                    self._is_left_out[places] |= ~found.fulfils
                else:
                    self._is_left_out[ids] |= ~found.fulfils

    def _index_of(self, plan: FieldPlan) -> SampleIndex:
        """The rows of all series that a field has."""
        if not self.extra or not isinstance(plan, RowField):
            return self._plain
        extra = plan.extra_rows_of(self._plain.units)
        return (
            replace(self._plain, series_rows=self._plain.series_rows + extra)
            if np.any(extra)
            else self._plain
        )

    def _read_shared(
        self,
        plans: list[FieldPlan],
        tests: Mapping[str, RowTest],
        files: Int64Array,
        options: PassOptions,
    ) -> None:
        """Test values that all rows of a series share."""
        index = self._plain
        series = np.flatnonzero(np.isin(index.series_file, files) & (index.series_rows > 0))
        at_once = 1 if any(plan.spec.varies for plan in plans) else _SHARED_AT_ONCE
        with RowPass(self._survey, index, None, plans, options) as rows:
            for first in range(0, len(series), at_once):
                some = series[first : first + at_once]
                values = rows.reader.read_shared(index.first_id[some])
                fulfils = np.ones(len(some), np.bool_)
                for plan in plans:
                    (array,) = values[plan.key].arrays
                    fulfils &= tests[plan.key](array)
                for one in some[~fulfils].tolist():
                    self._is_left_out[self.index.first_id[one] : self.index.first_id[one + 1]] = True


class _PieceTests:
    """Which rows of a piece fulfil all conditions on some fields."""

    def __init__(
        self, piece: Piece, index: SampleIndex, plans: Iterable[FieldPlan], tests: Mapping[str, RowTest]
    ) -> None:
        self._start, self._index, self._plans, self._tests = piece.start, index, plans, tests
        self.fulfils = np.ones(piece.stop - piece.start, np.bool_)

    def add(self, values: Mapping[str, BlockValues], ids: Int64Array) -> None:
        """Test the values of some rows."""
        for plan in self._plans:
            fulfils = np.concatenate(list(self._tested(plan, values[plan.key])))
            counts = self._counts(plan, ids)
            if counts is not None:
                fulfils = _all_of(fulfils, counts)
            elif len(fulfils) != len(ids) > 0:  # entries along the other axes of windows
                fulfils = np.logical_and.reduce(fulfils.reshape(len(ids), -1), axis=1)
            self.fulfils[ids - self._start] &= fulfils

    def _tested(self, plan: FieldPlan, values: BlockValues) -> Iterator[BoolArray]:
        if len(values.arrays) > 1:
            raise OptionError(
                f"where.{self._tests[plan.key].key}: {plan.title} has rows of different shapes in one file, which no "
                "condition compares: name another field"
            )
        return (self._tests[plan.key](array) for array in values.arrays)

    def _counts(self, plan: FieldPlan, ids: Int64Array) -> Int64Array | None:
        """Entries of each row, where a row is an entry of an index; None for other fields."""
        if not is_by_entry(plan) or not isinstance(plan, RunField) or not isinstance(plan.runs, EntryRuns):
            return None
        units, rows = self._index.locate_in_units(ids)
        numbers = plan.runs.row_numbers.index
        counts: Int64Array = numbers.lengths[numbers.first[units] + rows]
        return counts


def _all_of(fulfils: BoolArray, counts: Int64Array) -> BoolArray:
    """Whether all of so many neighbours are True, ``(N,)``; all of none are."""
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(~fulfils)])
    ends = np.cumsum(counts)
    found: BoolArray = before[ends] == before[ends - counts]
    return found
