"""What columns of a table say of splits: which split a series is in, and which series stay together."""

from __future__ import annotations

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import SplitError
from h5lightning.options.checks import did_you_mean
from h5lightning.options.split import GIVEN_NAMES
from h5lightning.planning.catalog.row_values import RowValues
from h5lightning.planning.splitting.given_split import GivenSeries
from h5lightning.planning.splitting.groups import Labels
from h5lightning.planning.splitting.split_plan import SPLITS
from h5lightning.planning.tables.match_rows import RowLines
from h5lightning.planning.tables.match_series import SeriesLines
from h5lightning.planning.tables.row_columns import values_of_rows
from h5lightning.planning.tables.table_lines import TableLines

__all__ = ["column_labels", "given_by_column", "given_rows_by_column"]


def given_by_column(series: SeriesLines, name: str) -> GivenSeries:
    """The split of each series, as a column says; an empty cell puts it into none.

    Raises:
        SplitError: a line names no split.
    """
    used = np.unique(series.line_of[series.line_of >= 0])
    given: GivenSeries = np.append(_splits_of_lines(series.lines, name, used), np.int8(-1))[series.line_of]
    return given


def given_rows_by_column(rows: RowLines, units: Int64Array, name: str) -> RowValues:
    """The name of the split of each row, as a column says; missing where its cell is empty.

    Args:
        rows: the line of each row.
        units: the units that are divided.
        name: the column.

    Raises:
        SplitError: a line names no split.
    """
    split_of = _splits_of_lines(rows.lines, name, rows.lines_of(units))
    return values_of_rows(rows, SPLITS, np.maximum(split_of, -1).astype(np.int64))


def _splits_of_lines(lines: TableLines, name: str, used: Int64Array) -> GivenSeries:
    """The number in `SPLITS` that each line says, -1 for none; those that are used say the name of one, or nothing."""
    values, number_of = lines.columns[name].distinct
    names = [str(value).strip() for value in values]
    found = [SPLITS.index(GIVEN_NAMES[one]) if one in GIVEN_NAMES else -2 for one in names]
    split_of: GivenSeries = np.asarray([*found, -1], np.int8)[number_of]
    bad = used[split_of[used] == -2]
    if bad.size:
        line = int(bad[0])
        name_found = names[number_of[line]]
        more = f" (and {bad.size - 1:,} more lines)" if bad.size > 1 else ""
        raise SplitError(
            f"split.given='table:{name}': {lines.where(line)} has {name_found!r}{more}, which is no split"
            f"{did_you_mean(name_found, GIVEN_NAMES)}. An empty cell leaves out what its line speaks of"
        )
    return split_of


def column_labels(series: SeriesLines, name: str) -> Labels:
    """The text of a column for each series; None where its cell is empty, or where it has no line."""
    texts = [*series.lines.columns[name].texts, None]
    return tuple([texts[line] for line in series.line_of.tolist()])
