"""Reads whole series along another axis than the first, each with its own number of rows; see `BoxRunField`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.loading.fields.field_decoder import FieldDecoder
from h5lightning.loading.fields.field_reader import FieldReader, ReadContext
from h5lightning.loading.fields.located_batch import LocatedBatch
from h5lightning.loading.fields.ragged_layout import RaggedLayout
from h5lightning.loading.fields.row_requests import RowRequest
from h5lightning.planning.ragged_fields import BoxRunField
from h5lightning.planning.row_runs import SampleRows
from h5lightning.storage.readers.box_request import BoxRequest, DatasetArray

__all__ = ["BoxRunReader"]

Array = npt.NDArray[Any]


class _Sample(NamedTuple):
    """One sample to be read.

    Args:
        number: its index in the batch, sorted by unit and row.
        form: the number of the form in which its file stores the field.
        target: its place in the buffer, with all axes of the dataset.
        read: where it is read to.
        rows: the rows of what was read that it takes; None for all of them.
    """

    number: int
    form: int
    target: Array
    read: Array
    rows: Int64Array | None


class BoxRunReader(FieldReader):
    """Reads one box for each sample, since each has its own size."""

    def __init__(self, plan: BoxRunField, context: ReadContext) -> None:
        super().__init__(plan, context)
        self.plan: BoxRunField = plan
        self._decoder = None if plan.is_uniform and not context.checks_each else FieldDecoder(plan)

    def layout(self, batch: LocatedBatch) -> RaggedLayout | None:
        """See `FieldReader.layout`."""
        return self._located(batch)[1]

    def _located(self, batch: LocatedBatch) -> tuple[SampleRows, RaggedLayout | None]:
        """The rows of each sample of a batch, and where they go, found once for the buffer and for what fills it."""
        known: Any = batch.kept.get(self)
        if known is None:
            plan, found = self.plan, self.plan.runs.of(batch)
            layout = None
            if plan.ragged is not None:
                shapes = np.tile(np.asarray(plan.sample_shape, np.int64), (len(batch.slots), 1))
                shapes[batch.slots, plan.window_axes[0]] = found.counts
                layout = RaggedLayout.of(shapes)
            known = batch.kept[self] = found, layout
        located: tuple[SampleRows, RaggedLayout | None] = known
        return located

    def fill(self, batch: LocatedBatch, out: Array) -> Iterator[Sequence[RowRequest]]:
        """See `FieldReader.fill`."""
        found, layout = self._located(batch)
        files = np.arange(len(batch.units)).repeat(batch.sizes).tolist()
        ends = np.cumsum(found.counts)
        samples, asked = [], []
        for number, (file, target) in enumerate(
            zip(files, self._targets(batch, out, found, layout), strict=True)
        ):
            firsts = int(found.firsts[number])
            rows = (
                None if found.rows is None else found.rows[ends[number] - found.counts[number] : ends[number]]
            )
            span = (firsts, int(found.counts[number]))
            if rows is not None:
                span = (int(rows[0]), int(rows[-1] - rows[0]) + 1) if rows.size else (firsts, 0)
            sample = self._sample(batch, number, file, target, span[1], rows)
            samples.append(sample)
            asked.append(RowRequest(self._request(batch, sample, span[0]), (file,)))
        yield asked
        for sample in samples:
            self._put(batch, sample)

    def _targets(
        self, batch: LocatedBatch, out: Array, found: SampleRows, layout: RaggedLayout | None
    ) -> Iterator[Array]:
        """The place of each sample in the buffer, with all axes of the dataset."""
        plan = self.plan
        for number, slot in enumerate(batch.slots.tolist()):
            sizes = list(plan.sizes)
            sizes[plan.row_axis] = int(found.counts[number])
            shape = (1, *sizes, *plan.element_shape)
            if not out.size:
                yield np.empty(shape, out.dtype)
            elif layout is None:
                yield out[slot].reshape(shape)
            else:
                start = int(layout.starts[slot])
                yield out[start : start + int(np.prod(shape))].reshape(shape)

    def _sample(
        self, batch: LocatedBatch, number: int, file: int, target: Array, count: int, rows: Int64Array | None
    ) -> _Sample:
        """Where a sample is read to: its place, unless it must be decoded, or has drawn rows."""
        form = self.plan.form_in(int(batch.units[file]))
        if self._decoder is None and rows is None:
            return _Sample(number, form, target, target, None)
        dtype = target.dtype
        if self._decoder is not None:
            dtype = np.dtype(self.plan.forms[form].dtype).newbyteorder("=")
        shape = list(target.shape)
        shape[self.plan.row_axis + 1] = count
        inside = None if rows is None else rows - (rows[0] if rows.size else 0)
        return _Sample(number, form, target, np.empty(shape, dtype), inside)

    def _request(self, batch: LocatedBatch, sample: _Sample, first: int) -> BoxRequest:
        plan = self.plan
        starts = np.zeros((1, len(plan.sizes)), np.int64)
        starts[0, plan.row_axis] = first
        if plan.row_numbers.series_axis is not None:
            starts[0, plan.row_numbers.series_axis] = batch.series_numbers[sample.number]
        source = DatasetArray(
            plan.path, plan.member, plan.forms[sample.form].dtype, len(plan.sizes), plan.element_shape
        )
        sizes = sample.read.shape[1 : len(plan.sizes) + 1]
        return BoxRequest(source, np.asarray([0, 1]), starts, sizes, np.zeros(1, np.int64), sample.read)

    def _put(self, batch: LocatedBatch, sample: _Sample) -> None:
        """Put what was read into its place, if it was read to another one."""
        values = sample.read
        if values is sample.target:
            return
        if sample.rows is not None:
            values = values.take(sample.rows, axis=self.plan.row_axis + 1)
        if self._decoder is not None:
            values = self._decoder.entries(values, sample.form, batch, np.asarray([sample.number]))
        sample.target[...] = values
