"""Reads the columns of a table that are used; the kind of file is told by its suffix."""

from __future__ import annotations

import os
from collections.abc import Mapping

from h5lightning.errors import OptionError, TableError
from h5lightning.options import Table
from h5lightning.options.checks import did_you_mean
from h5lightning.planning.tables.table_lines import TableLines
from h5lightning.storage.discovery.patterns import spell_out
from h5lightning.storage.tables.parquet_table import read_parquet
from h5lightning.storage.tables.text_table import read_text

__all__ = ["read_table"]

_DELIMITERS = {".csv": ",", ".tsv": "\t"}


def read_table(table: Table, asked: Mapping[str, str]) -> TableLines:
    """Read some columns of a table.

    Args:
        table: the table.
        asked: name of a column → what asks for it, for the error of one that is missing.

    Raises:
        OptionError: the suffix names no kind of table.
        TableError: the file cannot be read, is damaged, or lacks a column.
        MissingExtraError: pyarrow is needed, and not installed.
    """
    path = os.path.abspath(spell_out(table.path, os.getcwd()))
    suffix = os.path.splitext(path)[1].lower()
    try:
        if suffix == ".parquet":
            names, lines = read_parquet(path, asked)
        elif suffix in _DELIMITERS:
            names, lines = read_text(path, _DELIMITERS[suffix], asked)
        else:
            raise OptionError(f"table.path must end with .csv, .tsv or .parquet, found {table.path!r}")
    except OSError as error:
        raise TableError(f"the table {path} cannot be read: {error.strerror or error}") from error
    for name, by in asked.items():
        if name not in names:
            raise TableError(f"the table {path} has no column {name!r}, which {by} names{_near(name, names)}")
    return lines


def _near(name: str, names: list[str]) -> str:
    if len(names) == 1 and ";" in names[0]:
        return (
            f": its first line is {names[0]!r}. Cells must be divided by commas, or by tabs in a file that ends with "
            ".tsv"
        )
    return did_you_mean(name, names)
