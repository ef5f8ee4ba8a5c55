"""Which line of a table speaks of which series or row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from judging.divisions import Border, RefusedError
from judging.lines import Line, Lines
from judging.options import FieldOption
from judging.places import Array, OneSeries

if TYPE_CHECKING:
    from judging.contract import Contract

__all__ = ["MatchedLines"]

_SPLITS = {"valid": "val", "validation": "val", "dev": "val"}


class MatchedLines:
    """The lines of a table, with what they speak of.

    Args:
        contract: what the case means.
        table: the table.
    """

    def __init__(self, contract: Contract, table: Lines) -> None:
        self._contract, self.table = contract, table
        self._lines: list[Line] = []
        self._rows: dict[tuple[int, str], list[Line | None]] = {}

    @property
    def makes_series(self) -> bool:
        """Whether each line is a series."""
        return self.table.option.start is not None

    def borders(self, file: int, name: str, rows: int) -> list[Border]:
        """The series that lines say, each with its first row and one past its last one."""
        option, last, found = self.table.option, 0, []
        lines = self.table.of(file, name)
        if not lines and option.on_missing == "raise":
            raise RefusedError("no line")
        for number, line in enumerate(lines):
            start, stop = int(line[option.start or ""]), int(line[option.stop or ""])
            if not last <= start < stop <= rows:
                raise RefusedError("lines overlap, or lie outside of the rows")
            last = stop
            found.append((str(number), start, stop))
            self._lines.append(line)
        return found

    def keep(self, series: list[OneSeries]) -> list[OneSeries]:
        """The series with a line; each line is matched with what it speaks of."""
        option, contract = self.table.option, self._contract
        if option.key is not None:
            field = FieldOption((next(iter(option.key.values())),), categories=True)
            for file, text in contract.units:
                values = contract.files.seen_by(field, file, field.paths[0], text)
                if values.shape != (contract.rows_of_unit(file, text),):
                    raise RefusedError("one key for each row")
                self._rows[file, text] = self.table.by_key(values)
        elif option.start is None:
            lines = [self.table.one(one.file, one.name) for one in series]
            series = [one for one, line in zip(series, lines, strict=True) if line]
            self._lines = [line for line in lines if line]
        return series

    @property
    def used(self) -> list[Line]:
        """The lines that speak of something."""
        return self._lines or [line for lines in self._rows.values() for line in lines if line is not None]

    def has_line(self, one: OneSeries) -> Array:
        """For each row of a series, whether a line speaks of it."""
        if not self._rows:
            return np.ones(one.rows, bool)
        lines = self._rows[one.file, one.text][one.start : one.start + one.rows]
        return np.array([line is not None for line in lines], bool)

    def values(self, one: OneSeries, column: str, rows: Array | int) -> Array:
        """What a column says of a series, or of rows of it."""
        if self._rows:
            lines = self._rows[one.file, one.text]
            chosen = [lines[one.start + int(row)] for row in np.atleast_1d(rows)]
            values = [None if line is None else line[column] for line in chosen]
            return np.array(values, object).reshape(np.shape(rows))
        return np.array(self._lines[self._contract.series.index(one)][column], object)

    def split(self, number: int, column: str) -> str:
        """The split that the line of a series says."""
        said: Any = self._lines[number][column]
        return _SPLITS.get(said, said)
