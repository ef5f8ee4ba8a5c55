"""Statistics of fields: each row of a split is read once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.loading.passes.block_reader import BlockReader, BlockValues
from h5lightning.loading.passes.row_pass import RowPass
from h5lightning.options import Access
from h5lightning.planning.fields import SeriesField
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.passes.field_groups import Computation, grouped, planned_computations
from h5lightning.planning.passes.row_blocks import rows_index, selected_counts
from h5lightning.planning.passes.rows_of_field import is_by_row
from h5lightning.planning.selection import Selection
from h5lightning.planning.splitting.split_plan import SplitPlan
from h5lightning.planning.statistics import FieldStatistics, StatisticsRequest
from h5lightning.planning.summaries.channels import by_channel, mask_by_channel
from h5lightning.planning.summaries.field_summary import FieldSummary, FieldSums, SummaryTotal
from h5lightning.storage.survey import DataSurvey

__all__ = ["read_statistics"]

Array = npt.NDArray[Any]

_SHARED_AT_ONCE = 256  # values that many rows share


def read_statistics(
    survey: DataSurvey,
    plan: SplitPlan,
    requests: Mapping[str, StatisticsRequest],
    *,
    access: Access,
    reader: str = "auto",
    threads: int | None = None,
    progress: bool = True,
) -> dict[str, FieldStatistics]:
    """Statistics of the rows of the train split, each once, whatever windows, steps, padding or weights say.

    A value that many rows share, such as an attribute, counts once for each of them.

    Args:
        survey: the files and the fields.
        plan: the split.
        requests: key of a field → what to compute.
        access: how files are opened.
        reader: ``auto``, ``direct`` or ``h5py``.
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
    summaries: dict[int, FieldSummary] = {}
    for group in grouped(distinct):
        own = _Group(survey, index, selection, group)
        summaries |= zip(map(id, group), own.read(access, reader, threads, progress=progress), strict=True)
    return {
        key: summaries[id(one)].statistics(one.channels, requests[key].quantiles)
        for key, one in computations.items()
    }


class _Group:
    """Computations that read the same datasets."""

    def __init__(
        self,
        survey: DataSurvey,
        index: SampleIndex,
        selection: Selection | None,
        computations: Sequence[Computation],
    ) -> None:
        self._survey, self._index, self._selection = survey, index, selection
        self._computations = computations
        by_key = {plan.key: plan for one in computations for plan in one.fields}
        self._plans = list(by_key.values())

    def read(self, access: Access, reader: str, threads: int | None, *, progress: bool) -> list[FieldSummary]:
        """The summary of each computation."""
        totals = [SummaryTotal(one.form) for one in self._computations]
        rows = RowPass(
            self._survey,
            self._index,
            self._selection,
            self._plans,
            access=access,
            reader=reader,
            threads=threads,
        )
        with rows as one:
            for parts in self._parts(one, "statistics" if progress else None):
                for total, part in zip(totals, parts, strict=True):
                    total.add(part)
        return [total.summary() for total in totals]

    def _parts(self, rows: RowPass, progress: str | None) -> Iterator[tuple[FieldSummary, ...]]:
        """The summaries of each file, in order."""
        if not is_by_row(self._computations[0].plan):
            yield from self._of_shared(rows.reader, np.flatnonzero(self._index.file_rows))
            return
        made = rows.run(lambda _: _Sums(self._computations), progress=progress)
        for _, of_file in groupby(made, key=lambda one: one[0].file):
            totals = [SummaryTotal(one.form) for one in self._computations]
            for _, sums in of_file:
                for total, part in zip(totals, sums.summaries(), strict=True):
                    total.add(part)
            yield tuple(total.summary() for total in totals)

    def _of_shared(self, reader: BlockReader, files: Int64Array) -> Iterator[tuple[FieldSummary, ...]]:
        """The summaries of each file, of fields that are the same for many rows."""
        index = self._index
        ids, weights = self._shared()
        ends = ids.searchsorted(index.first_id[index.first_series[files + 1]]).tolist()
        at_once = 1 if any(plan.spec.varies for plan in self._plans) else _SHARED_AT_ONCE
        start = 0
        for end in ends:
            sums = _Sums(self._computations)
            for first in range(start, end, at_once):
                part = slice(first, min(first + at_once, end))
                sums.add_shared(reader.read_shared(ids[part]), weights[part])
            start = end
            yield sums.summaries()

    def _shared(self) -> tuple[Int64Array, Int64Array]:
        """The first row of each unit, or of each series, and how many of its rows are selected."""
        index = self._index
        if any(isinstance(plan, SeriesField) for plan in self._plans):
            borders = index.first_id
        else:
            units = np.arange(len(index.rows_of_units) + 1)
            borders = index.first_id[index.units.searchsorted(units)]
        weights = selected_counts(self._selection, borders)
        is_used = weights > 0
        return borders[:-1][is_used], weights[is_used]


class _Sums:
    """What the computations of a group make of the rows of a piece."""

    def __init__(self, computations: Sequence[Computation]) -> None:
        self._computations = computations
        self._sums = [FieldSums(one.form) for one in computations]

    def add(self, values: Mapping[str, BlockValues], ids: Int64Array) -> None:  # noqa: ARG002
        """Add the values of some rows."""
        for one, sums in zip(self._computations, self._sums, strict=True):
            own = values[one.plan.key]
            masks = [None] * len(own.arrays) if one.mask is None else _masks(own, values[one.mask.key])
            for array, mask in zip(own.arrays, masks, strict=True):
                _add(sums, one, array, mask)

    def add_shared(self, values: Mapping[str, BlockValues], weights: Int64Array) -> None:
        """Add values that count so often each."""
        for one, sums in zip(self._computations, self._sums, strict=True):
            (array,) = values[one.plan.key].arrays
            mask = None if one.mask is None else values[one.mask.key].arrays[0]
            each = len(by_channel(array, one.channels, one.per)) // len(array)
            _add(sums, one, array, mask, weights.repeat(each))

    def summaries(self) -> tuple[FieldSummary, ...]:
        """The summary of each computation."""
        return tuple(sums.summary() for sums in self._sums)


def _add(
    sums: FieldSums, one: Computation, array: Array, mask: Array | None, weights: Int64Array | None = None
) -> None:
    is_valid = None if mask is None else mask_by_channel(mask, array, one.channels, one.per)
    sums.add(by_channel(array, one.channels, one.per), is_valid, weights)


def _masks(values: BlockValues, mask: BlockValues) -> list[Array]:
    """The mask of each array of values."""
    if not mask.is_by_row:
        return [mask.arrays[0]] * len(values.arrays)
    # Windows along other axes: the mask of a row holds for all of its entries.
    return [
        own if len(own) == len(array) else own.repeat(len(array) // len(own), axis=0)
        for array, own in zip(values.arrays, mask.arrays, strict=True)
    ]
