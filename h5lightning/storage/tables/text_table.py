"""Reads tables in text: one line for each entry, the first one with the names of the columns."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Sequence
from operator import itemgetter

import numpy as np

from h5lightning.errors import TableError
from h5lightning.planning.tables.table_lines import Column, TableLines

__all__ = ["read_text"]


def read_text(path: str, delimiter: str, asked: Collection[str]) -> tuple[list[str], TableLines]:
    """The names of all columns, and the columns that are asked for, as far as there are such.

    Args:
        path: the file, in UTF-8.
        delimiter: what divides the cells of a line.
        asked: names of columns.

    Raises:
        OSError: the file cannot be read.
        TableError: it is no such table.
    """
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            names = next(reader, [])
            if not names:
                raise TableError(f"the table {path} is empty: its first line must name the columns")
            positions = _positions(path, names, asked)
            numbers, cells = _cells(path, reader, names, list(positions.values()))
        except (csv.Error, UnicodeDecodeError) as error:
            is_encoding = isinstance(error, UnicodeDecodeError)
            reason = f"it is not UTF-8 ({error}); save it as UTF-8" if is_encoding else str(error)
            where = f"after line {reader.line_num}" if reader.line_num else "as text"
            raise TableError(f"the table {path} cannot be read {where}: {reason}") from error
    columns = {name: Column.of_texts(name, cells[number]) for number, name in enumerate(positions)}
    return names, TableLines(path, columns, np.asarray(numbers, np.int64))


def _positions(path: str, names: list[str], asked: Collection[str]) -> dict[str, int]:
    """The position of each column that is asked for."""
    for name in asked:
        if names.count(name) > 1:
            raise TableError(f"the table {path} has {names.count(name)} columns {name!r}: rename them")
    return {name: names.index(name) for name in asked if name in names}


def _cells(
    path: str, reader: Iterator[list[str]], names: list[str], positions: list[int]
) -> tuple[list[int], Sequence[Sequence[str]]]:
    """The number of each line in the file, and the cells of each chosen column."""
    numbers: list[int] = []
    chosen: list[Sequence[str]] = []
    # Two positions at least, so that it returns tuples.
    take = itemgetter(*positions, 0, 0)
    end = 1
    for cells in reader:
        first, end = end + 1, reader.line_num  # type: ignore[attr-defined]  # of csv.reader
        if not cells:
            continue  # an empty line
        if len(cells) != len(names):
            raise TableError(
                f"line {first} of {path} has {len(cells)} cells, expected {len(names)} as in its first line: put "
                "cells that hold the delimiter into quotes"
            )
        numbers.append(first)
        chosen.append(take(cells))
    columns = list(zip(*chosen, strict=True)) if chosen else [()] * len(positions)
    return numbers, columns[: len(positions)]
