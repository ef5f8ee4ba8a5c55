"""The table of a survey: which of its columns are used, and what they hold."""

from __future__ import annotations

from collections.abc import Mapping

from h5lightning.errors import OptionError
from h5lightning.options import Field, Table
from h5lightning.options.coerce import SeriesOption
from h5lightning.planning.tables.line_series import check_line_options
from h5lightning.planning.tables.used_table import UsedTable
from h5lightning.storage.tables.read_table import read_table

__all__ = ["read_survey_table"]

_WORD = "table:"


def read_survey_table(
    table: Table | None,
    fields: Mapping[str, Field] | None,
    series: SeriesOption,
    *,
    given: object,
    keep_together: str | None,
) -> UsedTable | None:
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
    if table.key_column is not None:
        asked[table.key_column] = "table.key"
        if table.series is not None:
            raise OptionError("table.key matches single rows, found table.series too: leave one of them out")
    if table.start is not None:
        check_line_options(table, series, chosen)
    return UsedTable(table, read_table(table, asked), chosen, split_column, label)


def _column(option: object) -> str | None:
    is_column = isinstance(option, str) and option.startswith(_WORD)
    return str(option).removeprefix(_WORD) if is_column else None
