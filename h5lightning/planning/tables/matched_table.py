"""A table whose lines are matched with series or rows: what fields, splits and groups get of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.core.bits import Bits
from h5lightning.core.frozen import Frozen
from h5lightning.core.visible import visible_logger
from h5lightning.options import Field
from h5lightning.options.samples import Samples, StageSamples
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.row_values import RowValues
from h5lightning.planning.fields import FieldPlan, Fields
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.splitting.given_split import GivenSeries
from h5lightning.planning.splitting.groups import Labels
from h5lightning.planning.tables.column_fields import TableField, plan_column_fields, with_column_fields
from h5lightning.planning.tables.column_splits import column_labels, given_by_column, given_rows_by_column
from h5lightning.planning.tables.match_rows import RowLines
from h5lightning.planning.tables.match_series import SeriesLines
from h5lightning.planning.tables.row_columns import RowColumns, values_of_rows

__all__ = ["MatchedTable", "RowsOfTable", "SeriesOfTable"]

_logger = visible_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MatchedTable(ABC, Frozen):
    """What of a table is used; each kind of lines is a subclass.

    Args:
        index: the series that have lines, or need none.
        fields: sample key → field, as the user wrote them.
        given_column: the column that says the split of each line; None for none.
        label_column: the column whose values keep series or rows together; None for none.
        remarks: sentences for the user about what does not match.
    """

    index: SampleIndex
    fields: Mapping[str, Field]
    given_column: str | None
    label_column: str | None
    remarks: tuple[str, ...]

    @abstractmethod
    def columns(self, dtype: str | None) -> Columns:
        """The fields that are columns; ``dtype`` is the type in which floating fields are delivered."""

    @abstractmethod
    def given(self) -> GivenSeries | RowValues | None:
        """The split of each series, or the name of that of each row, if a column says it."""

    @abstractmethod
    def labels(self) -> Labels | None:
        """The value that keeps series or rows together, if a column says it."""

    def rows_without_line(self) -> Bits | None:
        """The rows without a line, which are left out, numbered over the rows of all series; None if there is none."""
        return None

    def planned(
        self,
        fields: Mapping[str, Fields],
        predicted: Fields | None,
        samples: StageSamples,
        dtype: str | None,
    ) -> tuple[dict[str, Fields], Fields | None]:
        """The fields of each stage, and those of ``files.predict``, with the columns among them.

        Args:
            fields: the fields of each stage without the columns.
            predicted: those of ``files.predict``, if there are such files; maybe one of ``fields``.
            samples: how samples lie in a series, in each stage.
            dtype: the type in which floating fields are delivered.
        """
        if not any(field.table_columns for field in self.fields.values()):
            return dict(fields), predicted
        columns = self.columns(dtype)
        if predicted is not None and columns.lacking:
            names = ", ".join(map(repr, sorted(columns.lacking)))
            _logger.info("files.predict lack %s: their batches do not have them", names)
        made: dict[int, Fields] = {}

        def with_columns(one: Fields, layout: Samples) -> Fields:
            if id(one) not in made:  # stages with one layout share their fields
                plans = columns.plans(one, layout, is_predicted=one is predicted)
                made[id(one)] = with_column_fields(one, self.fields, plans)
            return made[id(one)]

        stages = {stage: with_columns(one, samples.of(stage)) for stage, one in fields.items()}
        return stages, None if predicted is None else with_columns(predicted, samples.of("predict"))


class Columns(ABC):
    """The fields that are columns.

    Attributes:
        lacking: those that files of ``files.predict`` lack.
    """

    lacking: frozenset[str]

    @abstractmethod
    def plans(self, fields: Fields, samples: Samples, *, is_predicted: bool) -> Mapping[str, FieldPlan]:
        """The plans of columns beside other fields; ``is_predicted`` if they are those of ``files.predict``."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SeriesOfTable(MatchedTable):
    """A table whose lines speak of files or series, or are series.

    Args:
        series: the line of each series.
        is_labelled: whether each series is in no file of ``files.predict``, ``(series,)``.
    """

    series: SeriesLines
    is_labelled: BoolArray

    def columns(self, dtype: str | None) -> Columns:
        """See `MatchedTable.columns`."""
        return _SeriesColumns(plan_column_fields(self.fields, self.series, self.is_labelled, dtype))

    def given(self) -> GivenSeries | None:
        """See `MatchedTable.given`."""
        return None if self.given_column is None else given_by_column(self.series, self.given_column)

    def labels(self) -> Labels | None:
        """See `MatchedTable.labels`."""
        return None if self.label_column is None else column_labels(self.series, self.label_column)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RowsOfTable(MatchedTable):
    """A table whose lines speak of rows.

    Args:
        catalog: the files.
        rows: the line of each row.
        units: the units that are labelled, and those of ``files.predict``.
    """

    catalog: Catalog
    rows: RowLines
    units: tuple[Int64Array, Int64Array]

    def columns(self, dtype: str | None) -> Columns:
        """See `MatchedTable.columns`."""
        columns = RowColumns.of(self.catalog, self.rows, self.fields, self.units, dtype)
        return _RowColumns(columns, self.units, dtype)

    def given(self) -> RowValues | None:
        """See `MatchedTable.given`."""
        name = self.given_column
        return None if name is None else given_rows_by_column(self.rows, self.units[0], name)

    def labels(self) -> RowValues | None:
        """See `MatchedTable.labels`."""
        name = self.label_column
        if name is None:
            return None
        # No sample has a row without a line, so that it may be in any group: that of its neighbour.
        values, number_of = self.rows.lines.columns[name].distinct
        return values_of_rows(self.rows, list(map(str, values)), number_of, is_filled=True)

    def rows_without_line(self) -> Bits | None:
        """See `MatchedTable.rows_without_line`."""
        return self.rows.without_line(self.index) if self.rows.lacking.any() else None


class _SeriesColumns(Columns):
    """Columns with a value for each series."""

    def __init__(self, planned: Mapping[str, TableField]) -> None:
        self._planned = planned
        self.lacking = frozenset(key for key, plan in planned.items() if not plan.is_predicted)

    def plans(self, fields: Fields, samples: Samples, *, is_predicted: bool) -> Mapping[str, FieldPlan]:  # noqa: ARG002
        """See `Columns.plans`."""
        return {
            key: plan for key, plan in self._planned.items() if not is_predicted or key not in self.lacking
        }


class _RowColumns(Columns):
    """Columns with a value for each row."""

    def __init__(self, columns: RowColumns, units: tuple[Int64Array, Int64Array], dtype: str | None) -> None:
        self._columns, self._units, self._dtype = columns, units, dtype
        self.lacking = columns.lacking

    def plans(self, fields: Fields, samples: Samples, *, is_predicted: bool) -> Mapping[str, FieldPlan]:
        """See `Columns.plans`."""
        units = self._units[1 if is_predicted else 0]
        plans = self._columns.plans(units, samples, fields.rows, self._dtype)
        return {key: plan for key, plan in plans.items() if not is_predicted or key not in self.lacking}
