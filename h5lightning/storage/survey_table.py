"""The table of a survey: read before the files, then matched with files, and with series when these are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.core.formatting import counted, listed
from h5lightning.core.visible import visible_logger
from h5lightning.errors import OptionError, TableError
from h5lightning.options import Field, Table
from h5lightning.options.coerce import SeriesOption
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.planning.fields import Fields
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.series.kept_series import with_series
from h5lightning.planning.splitting.given_split import GivenSeries
from h5lightning.planning.splitting.groups import Labels
from h5lightning.planning.tables.column_fields import plan_column_fields, with_column_fields
from h5lightning.planning.tables.column_splits import column_labels, given_by_column
from h5lightning.planning.tables.line_series import (
    LineSeries,
    check_line_options,
    check_line_rows,
    with_line_series,
)
from h5lightning.planning.tables.match_files import FileLines, match_files
from h5lightning.planning.tables.match_series import SeriesLines, match_series
from h5lightning.planning.tables.table_lines import TableLines
from h5lightning.storage.tables.read_table import read_table

__all__ = ["FilesOfTable", "SurveyTable", "read_survey_table"]

_WORD = "table:"
_MOST_NAMED = 3
_logger = visible_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class SurveyTable:
    """A table that was read, and what of it is used.

    Args:
        table: its options.
        lines: its lines.
        fields: sample key → field; those that are columns are planned here.
        given: the column that says the split of each line; None for none.
        label: the column whose values keep series together; None for none.
    """

    table: Table
    lines: TableLines
    fields: Mapping[str, Field]
    given: str | None
    label: str | None

    def of_files(self, catalog: Catalog, predict: Int64Array) -> FilesOfTable:
        """Match lines with files; files without a line are left out if ``table.on_missing`` says so.

        Args:
            catalog: the files.
            predict: the files of ``files.predict``, which need no lines.

        Raises:
            TableError: lines and files do not match.
        """
        table = self.table
        files = match_files(self.lines, table, catalog.names)
        needed = (
            np.arange(len(catalog))
            if table.start is not None
            else np.setdiff1d(np.arange(len(catalog)), predict)
        )
        lacking = files.files_without(needed)
        if lacking.size and (table.on_missing == "raise" or lacking.size == needed.size):
            names = (catalog.names[file] for file in lacking.tolist())
            raise TableError(f"{self.lines.title}: {files.unmatched_text(names, len(lacking), 'file')}")
        if lacking.size:
            catalog, files = _without(catalog, files, lacking)
        parts = None if table.start is None else with_line_series(catalog, files, table)
        return FilesOfTable(self, catalog if parts is None else parts.catalog, files, parts)


@dataclass(frozen=True, slots=True, eq=False)
class FilesOfTable:
    """A table, and the file of each line.

    Args:
        read: the table.
        catalog: the files that have lines, or need none; with the series that lines make.
        files: the file of each line.
        parts: the series that lines make; None if they make none.
    """

    read: SurveyTable
    catalog: Catalog
    files: FileLines
    parts: LineSeries | None

    def series_option(self, series: SeriesOption) -> SeriesOption:
        """What a series is, besides the lines: where they make series, no table in a file must be named for windows."""
        return series if self.parts is None or series is not None else "file"

    def of_series(self, index: SampleIndex, rows: Int64Array, predict: Int64Array) -> SeriesOfTable:
        """Match lines with series; series without a line are left out if ``table.on_missing`` says so.

        Args:
            index: the series of all files.
            rows: rows of each unit, ``(units,)``.
            predict: the files of ``files.predict``, which need no lines.

        Raises:
            TableError: lines and series do not match, or lines say rows that their units do not have.
        """
        lines = self.read.lines
        if self.parts is not None:
            check_line_rows(self.catalog, self.parts, lines, rows)
            series = SeriesLines(lines, self.parts.line_of)
            nothing = np.zeros(len(index.series_rows), np.bool_)
            return SeriesOfTable(self, index, series, True, tuple(self._remarks(series, index, nothing)))
        is_needed = ~np.isin(index.series_file, predict)
        series = match_series(self.files, self.read.table, index, is_needed)
        has_line = series.line_of >= 0
        is_predicted = bool(has_line[~is_needed].any())
        if is_predicted and not has_line.all() and self.read.table.on_missing == "raise":
            match_series(self.files, self.read.table, index, np.ones_like(is_needed))
        remarks = tuple(self._remarks(series, index, ~has_line & is_needed))
        if self.read.table.on_missing == "skip" and self.read.table.series is not None:
            kept = np.flatnonzero(has_line | ~(is_needed | is_predicted))
            index, series = with_series(index, kept), series.of(kept)
        return SeriesOfTable(self, index, series, is_predicted, remarks)

    def _remarks(self, series: SeriesLines, index: SampleIndex, is_lacking: BoolArray) -> Iterator[str]:
        lines, column = self.read.lines, self.read.table.series or self.files.column
        alone = np.setdiff1d(np.arange(len(lines)), series.line_of)
        if alone.size:
            yield (
                f"{counted(alone.size, lines.noun)} of {len(lines):,} in {lines.path} without a file or series here: "
                f"{lines.named(alone, column)}"
            )
        if (lacking := np.flatnonzero(is_lacking)).size:
            names = listed(
                [index.where(one) for one in lacking[:_MOST_NAMED].tolist()], _MOST_NAMED, total=lacking.size
            )
            rows = int(index.series_rows[lacking].sum())
            left_out = f"{counted(lacking.size, 'series')} ({rows:,} rows): {names}"
            yield f"Left out without a {lines.noun} in {lines.path}: {left_out}"


@dataclass(frozen=True, slots=True, eq=False)
class SeriesOfTable:
    """A table, and the line of each series.

    Args:
        files: the table, and the file of each line.
        index: the series that have lines, or need none.
        series: the line of each series.
        is_predicted: whether files of ``files.predict`` have lines.
        remarks: sentences for the user about lines and series that do not match.
    """

    files: FilesOfTable
    index: SampleIndex
    series: SeriesLines
    is_predicted: bool
    remarks: tuple[str, ...]

    def planned(
        self, fields: Mapping[str, Fields], predicted: Fields | None, dtype: str | None
    ) -> tuple[dict[str, Fields], Fields | None]:
        """The fields of each stage, and those of ``files.predict``, with the columns among them."""
        said = self.files.read.fields
        columns = plan_column_fields(said, self.series, dtype)
        if not columns:
            return dict(fields), predicted
        made: dict[int, Fields] = {}

        def with_columns(one: Fields) -> Fields:
            if id(one) not in made:
                has_columns = one is not predicted or self.is_predicted
                made[id(one)] = with_column_fields(one, said, columns if has_columns else {})
            return made[id(one)]

        if predicted is not None and not self.is_predicted:
            _logger.info(
                "files.predict lack %s: their batches do not have them", ", ".join(map(repr, columns))
            )
        return (
            {stage: with_columns(one) for stage, one in fields.items()},
            None if predicted is None else with_columns(predicted),
        )

    def given(self) -> GivenSeries | None:
        """The split of each series, if a column says it."""
        name = self.files.read.given
        return None if name is None else given_by_column(self.series, name)

    def labels(self) -> Labels | None:
        """The value that keeps each series together with others, if a column says it."""
        name = self.files.read.label
        return None if name is None else column_labels(self.series, name)


def read_survey_table(
    table: Table | None,
    fields: Mapping[str, Field] | None,
    series: SeriesOption,
    *,
    given: object,
    keep_together: str | None,
) -> SurveyTable | None:
    """Read the columns that are used; None if there is no table.

    Args:
        table: the table beside the files.
        fields: sample key → field.
        series: what a series is.
        given: ``split.given``.
        keep_together: ``split.keep_together``.

    Raises:
        OptionError: a column is named, and there is no table; or options that do not go together.
        TableError: the table cannot be read.
    """
    split_column, label = _column(given), _column(keep_together)
    chosen = dict(fields or {})
    asked = {name: f"field {key!r}" for key, field in chosen.items() for name in field.table_columns}
    asked |= {} if split_column is None else {split_column: f"split.given={given!r}"}
    asked |= {} if label is None else {label: f"split.keep_together={keep_together!r}"}
    if table is None:
        if asked:
            name, by = next(iter(asked.items()))
            raise OptionError(
                f"{by} names the column {name!r} of a table, found none: table=Table('labels.csv', …)"
            )
        return None
    for option in ("file", "series", "start", "stop"):
        name = getattr(table, option)
        if name is not None:
            asked[name] = f"table.{option}"
    if table.key is not None:
        raise OptionError("table.key is not available yet: name the file of each line (table.file)")
    if table.start is not None:
        check_line_options(table, series, chosen)
    return SurveyTable(table, read_table(table, asked), chosen, split_column, label)


def _column(option: object) -> str | None:
    is_column = isinstance(option, str) and option.startswith(_WORD)
    return str(option).removeprefix(_WORD) if is_column else None


def _without(catalog: Catalog, files: FileLines, lacking: Int64Array) -> tuple[Catalog, FileLines]:
    """The catalog without some files, which are added to the skipped ones."""
    kept = np.setdiff1d(np.arange(len(catalog)), lacking)
    reason = f"has no {files.lines.noun} in {files.lines.path}"
    skipped = [SkippedFile(catalog.names[file], reason) for file in lacking.tolist()]
    taken = replace(catalog.take(kept), skipped=(*catalog.skipped, *skipped))
    return taken, files.taken(kept, len(catalog))
