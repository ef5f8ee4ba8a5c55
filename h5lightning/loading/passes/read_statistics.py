"""Statistics of fields: each row of a split is read once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.loading.passes.block_reader import BlockReader
from h5lightning.loading.passes.group_sums import GroupSums
from h5lightning.loading.passes.known_files import FILE_VALUES, KnownFiles
from h5lightning.loading.passes.row_pass import PassOptions, RowPass
from h5lightning.options import Access
from h5lightning.planning.fields import SeriesField
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.passes.field_groups import Computation, grouped, planned_computations
from h5lightning.planning.passes.file_digests import file_digests
from h5lightning.planning.passes.row_blocks import rows_index, selected_counts
from h5lightning.planning.passes.rows_of_field import is_by_row
from h5lightning.planning.selection import Selection
from h5lightning.planning.splitting.split_plan import SplitPlan
from h5lightning.planning.statistics import FieldStatistics, StatisticsRequest
from h5lightning.planning.summaries.field_summary import FieldSummary, SummaryTotal
from h5lightning.planning.tables.column_fields import TableField
from h5lightning.storage.data_survey import DataSurvey
from h5lightning.storage.indexing.statistics_store import StatisticsStore

__all__ = ["read_statistics"]

_SHARED_AT_ONCE = 256  # values that many rows share


def read_statistics(
    survey: DataSurvey,
    plan: SplitPlan,
    requests: Mapping[str, StatisticsRequest],
    *,
    access: Access,
    reader: str = "auto",
    index_dir: str | None = None,
    threads: int | None = None,
    progress: bool = True,
) -> dict[str, FieldStatistics]:
    """Statistics of the rows of the train split, each once, whatever windows, steps, padding or weights say.

    A value that many rows share, such as an attribute, counts once for each of them. What was read is kept beside the
    index, so that only files that have changed, or of which other rows are in the split, are read again.

    Args:
        survey: the files and the fields.
        plan: the split.
        requests: key of a field → what to compute.
        access: how files are opened.
        reader: ``auto``, ``direct`` or ``h5py``.
        index_dir: directory of the index, where statistics are kept too; None for the user's cache directory.
        threads: threads that read; None for one on each core.
        progress: show a progress bar if standard error is a terminal.

    Raises:
        SplitError: the train split has no rows.
        MissingFieldError: there is no such field.
        FieldError: a field has no numbers, or no fixed channels.
        BadFileError: a file cannot be read.
    """
    index = rows_index(survey.index)
    selection = plan.selection("train", index)
    computations = planned_computations(survey.fields.plans, requests)
    distinct = list({id(one): one for one in computations.values()}.values())
    source = _Source(survey, index, selection, PassOptions(access, reader, threads, in_tiles=True))
    store = StatisticsStore(index_dir, survey.catalog.root)
    summaries: dict[int, FieldSummary] = {}
    for group in grouped(distinct):
        found = _Group(source, group, store).read("statistics" if progress else None)
        summaries |= zip(map(id, group), found, strict=True)
    return {
        key: summaries[id(one)].statistics(one.channels, requests[key].quantiles)
        for key, one in computations.items()
    }


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """The rows that are read."""

    survey: DataSurvey
    index: SampleIndex
    selection: Selection | None
    options: PassOptions

    def files(self) -> Int64Array:
        """The files that have some of the rows, or may have some of a random subset."""
        borders = self.index.first_id[self.index.first_series]
        ranges = None if self.selection is None else Selection(self.selection.ranges)
        return np.flatnonzero(selected_counts(ranges, borders))


class _Group:
    """Computations that read the same datasets."""

    def __init__(self, source: _Source, computations: Sequence[Computation], store: StatisticsStore) -> None:
        self._source, self._index = source, source.index
        self._computations = computations
        by_key = {plan.key: plan for one in computations for plan in one.fields}
        self._plans = list(by_key.values())
        self._known = [KnownFiles(one, store) for one in computations]

    def read(self, progress: str | None) -> list[FieldSummary]:
        """The summary of each computation."""
        source, files = self._source, self._source.files()
        digests = file_digests(source.survey.catalog, source.index, source.selection, files)
        totals = [known.total(digests) for known in self._known]
        if all(total is not None for total in totals):
            return [total for total in totals if total is not None]
        rows = RowPass(source.survey, source.index, source.selection, self._plans, source.options)
        with rows:
            if not any(known.is_stored for known in self._known) and not is_by_row(self._plans[0]):
                return self._of_all(rows.reader)
            is_known = np.logical_and.reduce([known.has(digests) for known in self._known])
            read = self._parts(rows, files[~is_known], progress)
            for digest, known in zip(map(bytes, digests), is_known.tolist(), strict=True):
                parts = (None,) * len(self._known) if known else next(read)
                for one, part in zip(self._known, parts, strict=True):
                    one.add(digest, part)
        return [known.finish(digests) for known in self._known]

    def _parts(
        self, rows: RowPass, files: Int64Array, progress: str | None
    ) -> Iterator[tuple[FieldSummary, ...]]:
        """The summaries of each file, in order."""
        if not is_by_row(self._computations[0].plan):
            yield from self._of_shared(rows.reader, files)
            return
        made = rows.run(lambda _: GroupSums(self._computations), files, progress=progress)
        for _, of_file in groupby(made, key=lambda one: one[0].file):
            totals = [SummaryTotal(one.form, FILE_VALUES) for one in self._computations]
            for _, sums in of_file:
                for total, part in zip(totals, sums.summaries(), strict=True):
                    total.add(part)
            yield tuple(total.summary() for total in totals)

    def _of_shared(self, reader: BlockReader, files: Int64Array) -> Iterator[tuple[FieldSummary, ...]]:
        """The summaries of each file, of fields that are the same for many rows."""
        ids, weights = self._shared()
        borders = self._index.first_id[self._index.first_series]
        for file in files.tolist():
            part = slice(*ids.searchsorted(borders[file : file + 2]).tolist())
            yield self._sums_of(reader, ids[part], weights[part]).summaries()

    def _of_all(self, reader: BlockReader) -> list[FieldSummary]:
        """The summaries of all files, of fields that are the same for many rows, and that no file must be read for."""
        return list(self._sums_of(reader, *self._shared()).summaries())

    def _sums_of(self, reader: BlockReader, ids: Int64Array, weights: Int64Array) -> GroupSums:
        sums = GroupSums(self._computations)
        at_once = 1 if any(plan.spec.varies for plan in self._plans) else _SHARED_AT_ONCE
        for first in range(0, len(ids), at_once):
            part = slice(first, first + at_once)
            sums.add_shared(reader.read_shared(ids[part]), weights[part])
        return sums

    def _shared(self) -> tuple[Int64Array, Int64Array]:
        """The first row of each unit, or of each series, and how many of its rows are selected."""
        index = self._index
        if any(isinstance(plan, (SeriesField, TableField)) for plan in self._plans):
            borders = index.first_id
        else:
            units = np.arange(len(index.rows_of_units) + 1)
            borders = index.first_id[index.units.searchsorted(units)]
        weights = selected_counts(self._source.selection, borders)
        is_used = weights > 0
        return borders[:-1][is_used], weights[is_used]
