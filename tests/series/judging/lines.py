"""The lines of a table beside the files, and what each of them speaks of."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from judging.divisions import RefusedError
from judging.labels import plain
from judging.places import Array

__all__ = ["Line", "Lines", "TableOption"]

Line = dict[str, Any]


@dataclass(frozen=True)
class TableOption:
    """The option of a table."""

    path: str
    file: str | None = None
    series: str | None = None
    key: Mapping[str, str] | None = None
    start: str | None = None
    stop: str | None = None
    on_missing: str = "raise"


class Lines:
    """A table, read from its file.

    Args:
        option: which one.
        paths: the data files.
    """

    def __init__(self, option: TableOption, paths: list[str]) -> None:
        self.option = option
        self.every = _read(os.path.join(os.path.dirname(paths[0]), option.path))
        columns = {option.file, option.series, option.start, option.stop, *(option.key or {})} - {None}
        if self.every and not columns <= set(self.every[0]):
            raise RefusedError("a column that is not there")
        self._files = self._match([os.path.basename(path) for path in paths])

    def of(self, file: int, name: str = "") -> list[Line]:
        """The lines of a file or of a series of it, in their order."""
        column = self.option.series
        found = [
            place
            for place, line in enumerate(self.every)
            if self._files[place] in (file, None) and (column is None or str(line[column]) == name)
        ]
        return [self.every[place] for place in found]

    def one(self, file: int, name: str = "") -> Line | None:
        """The line of a file or a series; None if there is none and this is no error."""
        found = self.of(file, name)
        if len(found) > 1:
            raise RefusedError("two lines")
        if not found and self.option.on_missing == "raise":
            raise RefusedError("no line")
        return found[0] if found else None

    def by_key(self, values: Array) -> list[Line | None]:
        """The line of each of these values."""
        column = next(iter(self.option.key or {}))
        places: dict[str, int] = {}
        for place, line in enumerate(self.every):
            if str(line[column]) in places:
                raise RefusedError("two lines of one key")
            places[str(line[column])] = place
        chosen = [places.get(str(plain(value))) for value in values]
        if None in chosen and self.option.on_missing == "raise":
            raise RefusedError("no line")
        return [None if place is None else self.every[place] for place in chosen]

    def type_of(self, column: str) -> np.dtype[Any]:
        """The type of a column without categories."""
        for kind, dtype in ((int, np.int64), (float, np.float32)):
            try:
                _ = [kind(str(line[column])) for line in self.every]
            except ValueError:
                continue
            return np.dtype(dtype)
        raise RefusedError("text without categories")

    def _match(self, names: list[str]) -> list[int | None]:
        """The file of each line; None where one file, or a key, says it."""
        if self.option.file is None:
            if len(names) > 1 and self.option.key is None:
                raise RefusedError("lines of several files")
            return [None] * len(self.every)
        said = [str(line[self.option.file]) for line in self.every]
        for level in (names, [os.path.splitext(name)[0] for name in names]):
            if set(said) & set(level):
                places = {name: place for place, name in enumerate(level)}
                return [places.get(one, -1) for one in said]
        return [-1] * len(said)


def _read(path: str) -> list[Line]:
    if path.endswith(".parquet"):
        from pyarrow import parquet

        found: list[Line] = parquet.read_table(path).to_pylist()
        return found
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t" if path.endswith(".tsv") else ","))
