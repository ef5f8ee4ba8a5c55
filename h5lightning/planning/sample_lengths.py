"""How long each sample of a field is, where samples differ; known without reading any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import Frozen
from h5lightning.options import Whole
from h5lightning.planning.fields import FieldPlan, RowField, row_field_of
from h5lightning.planning.index import SampleIndex

__all__ = ["SampleLengths", "SeriesLengths", "sample_lengths"]


class SampleLengths(Protocol):
    """The lengths of the samples of one field."""

    @property
    def range(self) -> tuple[int, int]:
        """The least and the greatest length of all samples."""

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

    @property
    def range(self) -> tuple[int, int]:
        """The least and the greatest length of all samples."""
        lengths = self._of_series(np.flatnonzero(self.index.series_samples))
        return int(lengths.min(initial=0)), int(lengths.max(initial=0))

    def sample_lengths(self, ids: Int64Array) -> Int64Array:
        """The length of each sample, by its id, ``(N,)``."""
        return self._of_series(self.index.locate(ids).series)

    def _of_series(self, series: Int64Array) -> Int64Array:
        extra = self.field.extra_rows_of(self.index.units[series])
        lengths: Int64Array = self.index.series_rows[series] + extra
        return lengths if self.take is None else np.minimum(lengths, self.take)


def sample_lengths(plan: FieldPlan, index: SampleIndex) -> SampleLengths | None:
    """The lengths of the samples of a field; None if its samples have one length, whatever the data are.

    Args:
        plan: the field.
        index: all samples.
    """
    # A kind of field whose samples differ in length, such as rows of an index, has its case here.
    field = row_field_of(plan)
    if field is not None and isinstance(index.samples, Whole):
        return SeriesLengths(index, field, index.samples.take)
    return None
