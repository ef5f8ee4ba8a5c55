"""Which file each line of a table speaks of: by its path, else by its name, else by its name without suffix."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.formatting import counted, listed
from h5lightning.core.frozen import Frozen
from h5lightning.core.string_table import StringTable
from h5lightning.errors import OptionError, TableError
from h5lightning.options import Table
from h5lightning.planning.tables.table_lines import TableLines

__all__ = ["FileLines", "match_files"]

_MOST_NAMED = 3
_AMBIGUOUS = -2


def _stem(name: str) -> str:
    return os.path.splitext(os.path.basename(name))[0]


# What a line may call a file, the first one that fits most files counts.
_LEVELS: dict[str, Callable[[str], str]] = {
    "path": str,
    "name": os.path.basename,
    "name without suffix": _stem,
}


@dataclass(frozen=True, slots=True, eq=False)
class FileLines(Frozen):
    """Which file each line of a table speaks of.

    Args:
        lines: the lines.
        file_of: the file of each line, -1 for none, ``(lines,)``; None if lines do not say their files.
        level: by what lines name files; empty if they do not.
        column: the column that names them; None if there is one file, or if lines do not say their files.
    """

    lines: TableLines
    file_of: Int64Array | None
    level: str = ""
    column: str | None = None

    def files_without(self, files: Int64Array) -> Int64Array:
        """Those of some files that no line speaks of."""
        return files[:0] if self.file_of is None else np.setdiff1d(files, self.file_of)

    @property
    def lines_without(self) -> Int64Array:
        """The lines that speak of no file."""
        return np.zeros(0, np.int64) if self.file_of is None else np.flatnonzero(self.file_of < 0)

    def taken(self, kept: Int64Array, files: int) -> FileLines:
        """The same lines, if only some of so many files are kept, in this order."""
        if self.file_of is None:
            return self
        number_of = np.full(files + 1, -1, np.int64)
        number_of[kept] = np.arange(len(kept))
        return FileLines(self.lines, number_of[self.file_of], self.level, self.column)

    def unmatched_text(self, missing: Iterable[str], count: int, noun: str) -> str:
        """What has no line, and which lines speak of no file, for an error."""
        has = "has" if count == 1 else "have"
        first = [name for name, _ in zip(missing, range(_MOST_NAMED), strict=False)]
        text = f"{counted(count, noun)} {has} no line: {listed(first, _MOST_NAMED, total=count)}"
        lines = self.lines_without
        if lines.size:
            speak = "speaks" if lines.size == 1 else "speak"
            text += f"; {counted(lines.size, self.lines.noun)} {speak} of no file: "
            text += self.lines.named(lines, self.column)
        by = f", which are matched by {self.level}" if self.level else ""
        return (
            f"{text}. Add lines, correct the names{f' in column {self.column!r}' if self.column else ''}{by}, or leave "
            "out what has no line with table.on_missing='skip'"
        )


def match_files(lines: TableLines, table: Table, names: StringTable) -> FileLines:
    """Find the file of each line.

    Args:
        lines: the lines, with the column that names files, if there is one.
        table: its options.
        names: the path of each file below the common directory.

    Raises:
        OptionError: nothing says which file a line speaks of.
        TableError: a line names two files.
    """
    if table.file is None:
        if len(names) == 1:
            return FileLines(lines, np.zeros(len(lines), np.int64))
        if table.key is None and table.series is None:
            raise OptionError(
                f"table.file must name the column of {lines.path} that says the file of a {lines.noun}, since there "
                f"are {counted(len(names), 'file')}"
            )
        return FileLines(lines, None)
    texts, number_of = lines.columns[table.file].distinct
    called = [posixpath.normpath(str(text).strip()) for text in texts]
    best: tuple[int, str, Int64Array] | None = None
    for level, name_of in _LEVELS.items():
        found = _find(called, map(name_of, names))
        count = len(np.unique(found[found >= 0])) + int((found == _AMBIGUOUS).sum())
        if best is None or count > best[0]:
            best = count, level, found
        if count >= len(names):
            break
    level, found = ("path", np.zeros(0, np.int64)) if best is None else best[1:]
    if (two := np.flatnonzero(found == _AMBIGUOUS)).size:
        raise _names_two(lines, table.file, number_of, int(two[0]), called, names, level)
    return FileLines(lines, np.append(found, -1)[number_of], level, table.file)


def _find(called: list[str], names: Iterable[str]) -> Int64Array:
    """The file that each text names; -1 for none, -2 for several."""
    files: dict[str, int] = {}
    for number, name in enumerate(names):
        files[name] = _AMBIGUOUS if name in files else number
    return np.asarray([files.get(text, -1) for text in called], np.int64)


def _names_two(
    lines: TableLines,
    column: str,
    number_of: Int64Array,
    text: int,
    called: list[str],
    names: StringTable,
    level: str,
) -> TableError:
    line = int(np.flatnonzero(number_of == text)[0])
    files = [name for name in names if _LEVELS[level](name) == called[text]]
    return TableError(
        f"{lines.where(line)} names {called[text]!r}, which is the {level} of {counted(len(files), 'file')}: "
        f"{listed(files, _MOST_NAMED)}. Write their paths into column {column!r}"
    )
