"""Which rows of a dataset make each sample, where samples have different numbers of rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import Frozen
from h5lightning.planning.row_numbers import LocatedRows, OfEntries, RowNumbers

__all__ = ["EntryRuns", "LocatedSeries", "RowRuns", "SampleRows", "WholeRuns"]


class SampleRows(NamedTuple):
    """The rows of each sample of a batch.

    Args:
        firsts: the first row of each, ``(N,)``.
        counts: how many rows it has, ``(N,)``.
        rows: the rows of all samples, one sample after the other, ``(counts.sum(),)``; None if those of each sample
            follow each other.
    """

    firsts: Int64Array
    counts: Int64Array
    rows: Int64Array | None = None


class LocatedSeries(LocatedRows, Protocol):
    """Samples of a batch, sorted by unit and row; all arrays ``(N,)``."""

    @property
    def series_rows(self) -> Int64Array:
        """Rows of the series of each sample."""

    def drawn(self, take: int) -> tuple[Int64Array, Int64Array]:
        """Rows drawn of each series, and how many each sample has; see `SampleDraws.rows`."""


class RowRuns(ABC, Frozen):
    """How the rows of samples are found; each kind is a subclass."""

    __slots__ = ()

    @abstractmethod
    def of(self, located: LocatedSeries) -> SampleRows:
        """The rows of each sample of a batch, counted in the dataset."""


@dataclass(frozen=True, slots=True, eq=False)
class WholeRuns(RowRuns):
    """The rows of a whole series, or some of them.

    Args:
        row_numbers: which row of the dataset is the first one of a series.
        extra_rows: rows of the dataset beyond those of a series; one number, or one for each unit, ``(units,)``.
        take: rows that are drawn of each series; None for all of them.
    """

    row_numbers: RowNumbers
    extra_rows: int | Int64Array = 0
    take: int | None = None

    def of(self, located: LocatedSeries) -> SampleRows:
        """See `RowRuns.of`."""
        firsts = self.row_numbers.first_rows(located)
        if self.take is not None:
            rows, sizes = located.drawn(self.take)
            return SampleRows(firsts, sizes, firsts.repeat(sizes) + rows)
        extra = self.extra_rows
        more = extra if isinstance(extra, int) else extra[located.sample_units]
        return SampleRows(firsts, located.series_rows + more)


@dataclass(frozen=True, slots=True, eq=False)
class EntryRuns(RowRuns):
    """The rows of an entry of an index.

    Args:
        row_numbers: finds the entries.
    """

    row_numbers: OfEntries

    def of(self, located: LocatedSeries) -> SampleRows:
        """See `RowRuns.of`."""
        entries, index = self.row_numbers.entries(located), self.row_numbers.index
        return SampleRows(index.starts[entries], index.lengths[entries])
