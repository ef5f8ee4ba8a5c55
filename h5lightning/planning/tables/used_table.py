"""A table and what of it is used, matched with files, then with series or rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.core.formatting import counted, listed
from h5lightning.core.frozen import Frozen
from h5lightning.errors import TableError
from h5lightning.options import Field, Table
from h5lightning.options.coerce import SeriesOption
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.series.kept_series import with_series
from h5lightning.planning.tables.line_series import LineSeries, check_line_rows, with_line_series
from h5lightning.planning.tables.match_files import FileLines, match_files
from h5lightning.planning.tables.match_rows import RowLines, match_rows
from h5lightning.planning.tables.match_series import SeriesLines, match_series
from h5lightning.planning.tables.matched_table import MatchedTable, RowsOfTable, SeriesOfTable
from h5lightning.planning.tables.table_lines import TableLines

__all__ = ["FilesOfTable", "UsedTable"]

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True, eq=False)
class UsedTable(Frozen):
    """A table that was read, and what of it is used.

    Args:
        table: its options.
        lines: its lines.
        fields: sample key → field; those that are columns are planned when their lines are matched.
        given: the column that says the split of each line; None for none.
        label: the column whose values keep series or rows together; None for none.
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
        needed = np.arange(len(catalog))
        if table.start is None:
            needed = np.setdiff1d(needed, predict)
        lacking = files.files_without(needed)
        if lacking.size and (table.on_missing == "raise" or lacking.size == needed.size):
            names = (catalog.names[file] for file in lacking.tolist())
            raise TableError(f"{self.lines.title}: {files.unmatched_text(names, len(lacking), 'file')}")
        if lacking.size:
            catalog, files = _without(catalog, files, lacking)
        parts = None if table.start is None else with_line_series(catalog, files, table)
        return FilesOfTable(self, catalog if parts is None else parts.catalog, files, parts)


@dataclass(frozen=True, slots=True, eq=False)
class FilesOfTable(Frozen):
    """A table, and the file of each line.

    Args:
        used: the table.
        catalog: the files that have lines, or need none; with the series that lines make.
        files: the file of each line.
        parts: the series that lines make; None if they make none.
    """

    used: UsedTable
    catalog: Catalog
    files: FileLines
    parts: LineSeries | None

    def series_option(self, series: SeriesOption) -> SeriesOption:
        """What a series is, besides the lines: where they make series, no table in a file must be named for windows."""
        return series if self.parts is None or series is not None else "file"

    def matched(
        self, index: SampleIndex, catalog: Catalog, rows: Int64Array, predict: Int64Array
    ) -> MatchedTable:
        """Match lines with series or rows; those without a line are left out if ``table.on_missing`` says so.

        Args:
            index: the series of all files.
            catalog: the files.
            rows: rows of each unit, ``(units,)``.
            predict: the files of ``files.predict``, which need no lines.

        Raises:
            TableError: lines do not match series or rows, or say rows that their units do not have.
        """
        if self.used.table.key is not None:
            return self._of_rows(index, catalog, rows, predict)
        is_labelled = ~np.isin(index.series_file, predict)
        if self.parts is None:
            return self._of_series(index, is_labelled)
        check_line_rows(self.catalog, self.parts, self.used.lines, rows)
        series = SeriesLines(self.used.lines, self.parts.line_of)
        remarks = tuple(self._remarks(series, index, np.zeros_like(is_labelled)))
        return self._series_of_table(index, series, is_labelled, remarks)

    def _of_series(self, index: SampleIndex, is_labelled: BoolArray) -> SeriesOfTable:
        table = self.used.table
        series = match_series(self.files, table, index, is_labelled)
        has_line = series.line_of >= 0
        is_predicted = bool(has_line[~is_labelled].any())
        if is_predicted and not has_line.all() and table.on_missing == "raise":
            match_series(self.files, table, index, np.ones_like(is_labelled))
        remarks = tuple(self._remarks(series, index, ~has_line & is_labelled))
        if table.on_missing == "skip" and table.series is not None:
            kept = np.flatnonzero(has_line | ~(is_labelled | is_predicted))
            index, series, is_labelled = with_series(index, kept), series.of(kept), is_labelled[kept]
        return self._series_of_table(index, series, is_labelled, remarks)

    def _series_of_table(
        self, index: SampleIndex, series: SeriesLines, is_labelled: BoolArray, remarks: tuple[str, ...]
    ) -> SeriesOfTable:
        used = self.used
        return SeriesOfTable(
            index=index,
            fields=used.fields,
            given_column=used.given,
            label_column=used.label,
            remarks=remarks,
            series=series,
            is_labelled=is_labelled,
        )

    def _of_rows(
        self, index: SampleIndex, catalog: Catalog, rows: Int64Array, predict: Int64Array
    ) -> RowsOfTable:
        table, used = self.used.table, self.used
        keys = catalog.row_values[table.key_path or ""]
        is_labelled = ~np.isin(catalog.unit_files, predict)
        found = match_rows(self.files, table, catalog, keys, rows, is_labelled)
        units = np.flatnonzero(is_labelled), np.flatnonzero(~is_labelled)
        if found.lines_of(units[1]).size:  # then all of them must have lines
            found = match_rows(self.files, table, catalog, keys, rows, np.ones_like(is_labelled))
        return RowsOfTable(
            index=index,
            fields=used.fields,
            given_column=used.given,
            label_column=used.label,
            remarks=tuple(self._row_remarks(found, rows)),
            catalog=catalog,
            rows=found,
            units=units,
        )

    def _row_remarks(self, found: RowLines, rows: Int64Array) -> Iterator[str]:
        lines = self.used.lines
        alone = lines.without(found.line_of)
        if alone.size:
            yield (
                f"{counted(alone.size, lines.noun)} of {len(lines):,} in {lines.path} without a row here: "
                f"{lines.named(alone, self.used.table.key_column)}"
            )
        if found.lacking.any():
            yield (
                f"Left out without a {lines.noun} in {lines.path}: {int(found.lacking.sum()):,} of "
                f"{counted(int(rows.sum()), 'row')}"
            )

    def _remarks(self, series: SeriesLines, index: SampleIndex, is_lacking: BoolArray) -> Iterator[str]:
        lines, column = self.used.lines, self.used.table.series or self.files.column
        alone = lines.without(series.line_of)
        if alone.size:
            yield (
                f"{counted(alone.size, lines.noun)} of {len(lines):,} in {lines.path} without a file or series here: "
                f"{lines.named(alone, column)}"
            )
        if (lacking := np.flatnonzero(is_lacking)).size:
            names = [index.where(one) for one in lacking[:_MOST_NAMED].tolist()]
            rows = int(index.series_rows[lacking].sum())
            yield (
                f"Left out without a {lines.noun} in {lines.path}: {counted(lacking.size, 'series')} "
                f"({counted(rows, 'row')}): {listed(names, _MOST_NAMED, total=lacking.size)}"
            )


def _without(catalog: Catalog, files: FileLines, lacking: Int64Array) -> tuple[Catalog, FileLines]:
    """The catalog without some files, which are added to the skipped ones."""
    kept = np.setdiff1d(np.arange(len(catalog)), lacking)
    reason = f"has no {files.lines.noun} in {files.lines.path}"
    skipped = [SkippedFile(catalog.names[file], reason) for file in lacking.tolist()]
    taken = replace(catalog.take(kept), skipped=(*catalog.skipped, *skipped))
    return taken, files.taken(kept, len(catalog))
