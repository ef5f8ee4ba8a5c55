"""How long each sample of a field is, where samples differ; known without reading any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import Frozen
from h5lightning.options import Whole
from h5lightning.planning.box_field import window_axes_of
from h5lightning.planning.catalog.row_index import RowIndex
from h5lightning.planning.fields import FieldPlan, RowField, StoredField, row_field_of
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.ragged import RowShapes
from h5lightning.planning.ragged_fields import RaggedAttributeField, RunField
from h5lightning.planning.row_runs import EntryRuns

__all__ = ["EntryLengths", "SampleLengths", "SeriesLengths", "ShapeLengths", "sample_lengths"]


class SampleLengths(Protocol):
    """The lengths of the samples of one field."""

    def sample_lengths(self, ids: Int64Array) -> Int64Array:
        """The length of each sample, by its id, ``(N,)``."""


@dataclass(frozen=True, eq=False)
class SeriesLengths(Frozen):
    """Samples that are whole series: each is as long as its series.

    Args:
        index: all samples, of `Whole`.
        field: the field; it may have more rows than the others.
        take: the most rows of a sample; None for all.
    """

    index: SampleIndex
    field: RowField
    take: int | None = None

    def sample_lengths(self, ids: Int64Array) -> Int64Array:
        """The length of each sample, by its id, ``(N,)``."""
        return self._of_series(self.index.locate(ids).series)

    def _of_series(self, series: Int64Array) -> Int64Array:
        rows: Int64Array = self.index.series_rows[series]
        if self.take is not None:  # of the rows that all fields have
            return np.minimum(rows, self.take)
        return rows + self.field.extra_rows_of(self.index.units[series])


@dataclass(frozen=True, eq=False)
class EntryLengths(Frozen):
    """Samples that are entries of an index.

    Args:
        index: all samples.
        entries: where the entries of each unit lie.
    """

    index: SampleIndex
    entries: RowIndex

    def sample_lengths(self, ids: Int64Array) -> Int64Array:
        """The length of each sample, by its id, ``(N,)``."""
        units, rows = self.index.locate_in_units(ids)
        lengths: Int64Array = self.entries.lengths[self.entries.first[units] + rows]
        return lengths


@dataclass(frozen=True, eq=False)
class ShapeLengths(Frozen):
    """Samples of one shape in each unit.

    Args:
        index: all samples.
        shapes: the shapes of the rows of a field.
        axis: the axis of a row.
    """

    index: SampleIndex
    shapes: RowShapes
    axis: int

    def sample_lengths(self, ids: Int64Array) -> Int64Array:
        """The length of each sample, by its id, ``(N,)``."""
        units = self.index.units[self.index.locate(ids).series]
        lengths: Int64Array = self.shapes.shapes[self.shapes.of_unit[units], self.axis]
        return lengths


def sample_lengths(plan: FieldPlan, index: SampleIndex) -> SampleLengths | None:
    """The lengths of the samples of a field along the axis that differs; None unless one axis does.

    Args:
        plan: the field.
        index: all samples.
    """
    field = row_field_of(plan)
    varying = [axis for axis, length in enumerate(plan.spec.shape) if length is None]
    if field is not None and varying and varying == list(window_axes_of(plan)[:1]):
        if isinstance(field, RunField) and isinstance(field.runs, EntryRuns):
            return EntryLengths(index, field.runs.row_numbers.index)
        if isinstance(index.samples, Whole):
            return SeriesLengths(index, field, index.samples.take)
    shapes = plan.shapes if isinstance(plan, StoredField) else None
    if isinstance(plan, RaggedAttributeField):
        shapes = RowShapes(plan.values.shapes, plan.values.of_unit)
    if shapes is None or len(varying) != 1:
        return None
    return ShapeLengths(index, shapes, varying[0] - (len(plan.spec.shape) - shapes.shapes.shape[1]))
