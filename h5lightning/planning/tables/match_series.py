"""Which line of a table speaks of each series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import BoolArray, Int64Array, flat_positions
from h5lightning.core.formatting import counted, listed
from h5lightning.core.frozen import Frozen
from h5lightning.errors import TableError
from h5lightning.options import Table
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.series.names import called
from h5lightning.planning.tables.match_files import FileLines
from h5lightning.planning.tables.table_lines import TableLines

__all__ = ["LinePairs", "SeriesLines", "lacking_lines", "match_series", "pair_lines"]

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True, eq=False)
class LinePairs(Frozen):
    """Lines and the series that they speak of: a line may speak of several, and a series may have several lines.

    Args:
        line: ascending, ``(pairs,)``.
        series: the number of a series of the index, ``(pairs,)``.
    """

    line: Int64Array
    series: Int64Array


@dataclass(frozen=True, slots=True, eq=False)
class SeriesLines(Frozen):
    """The line of each series.

    Args:
        lines: the lines.
        line_of: the line of each series of the index, -1 for none, ``(series,)``.
    """

    lines: TableLines
    line_of: Int64Array

    def of(self, series: Int64Array) -> SeriesLines:
        """The lines of some series."""
        return SeriesLines(self.lines, self.line_of[series])


def pair_lines(files: FileLines, table: Table, index: SampleIndex) -> LinePairs:
    """The series that each line speaks of: all of its file, unless it names one.

    Raises:
        TableError: a line that says no file names a series of two files.
    """
    if table.series is None:
        if files.file_of is None:
            raise ValueError("lines that name neither files nor series")
        line = np.flatnonzero(files.file_of >= 0)
        first = index.first_series[files.file_of[line]]
        counts = index.first_series[files.file_of[line] + 1] - first
        return LinePairs(line.repeat(counts), flat_positions(first, counts))
    column = files.lines.columns[table.series]
    texts = [None if text is None else text.strip() for text in column.texts]
    pairs = list(
        _in_all(files, table, index, texts) if files.file_of is None else _in_files(files, index, texts)
    )
    found = np.asarray(pairs, np.int64).reshape(-1, 2)
    found = found[np.argsort(found[:, 0], kind="stable")]
    return LinePairs(found[:, 0], found[:, 1])


def _in_files(files: FileLines, index: SampleIndex, texts: list[str | None]) -> Iterator[tuple[int, int]]:
    """Pairs of a line and a series of its file."""
    if files.file_of is None:
        return
    order = np.argsort(files.file_of, kind="stable")
    order = order[files.file_of[order] >= 0]
    for lines in np.split(order, np.flatnonzero(np.diff(files.file_of[order])) + 1):
        if lines.size:
            first, stop = index.first_series[files.file_of[lines[0]] + np.arange(2)].tolist()
            known = _by_name(index, np.arange(first, stop))
            for line in lines.tolist():
                for series in known.get(texts[line] or "", ()):
                    yield line, series


def _in_all(
    files: FileLines, table: Table, index: SampleIndex, texts: list[str | None]
) -> Iterator[tuple[int, int]]:
    """Pairs of a line and the series of that name, whatever file has it."""
    known: dict[str, list[int]] = {}
    for file in range(len(index.names)):
        own = np.arange(*index.first_series[file : file + 2].tolist())
        for name, series in _by_name(index, own).items():
            known.setdefault(name, []).extend(series)
    for line, text in enumerate(texts):
        series = known.get(text or "", [])
        of_files = {int(index.series_file[one]) for one in series}
        if len(of_files) > 1:
            names = [index.names[file] for file in sorted(of_files)]
            raise TableError(
                f"{files.lines.where(line)} names the series {text!r}, which {counted(len(names), 'file')} have: "
                f"{listed(names, _MOST_NAMED)}. Name the file in another column: Table({table.path!r}, file=…)"
            )
        for one in series:
            yield line, one


def _by_name(index: SampleIndex, series: Int64Array) -> dict[str, list[int]]:
    """Name → the series of that name, among those of one file."""
    names, texts = called(index, series)
    found: dict[str, list[int]] = {}
    for one, name in zip(series.tolist(), names, strict=True):
        found.setdefault(name, []).append(one)
    for one, text in zip(series.tolist(), texts, strict=True) if texts is not names else ():
        if one not in found.setdefault(text, []):
            found[text].append(one)
    return found


def match_series(files: FileLines, table: Table, index: SampleIndex, is_needed: BoolArray) -> SeriesLines:
    """Find the line of each series.

    Args:
        files: the lines, and their files.
        table: its options.
        index: the series.
        is_needed: whether each series must have a line, unless those without are skipped, ``(series,)``.

    Raises:
        TableError: a series has two lines, or none.
    """
    lines, pairs = files.lines, pair_lines(files, table, index)
    order = np.argsort(pairs.series, kind="stable")
    series, line = pairs.series[order], pairs.line[order]
    if (twice := np.flatnonzero(series[1:] == series[:-1])).size:
        raise _two_lines(
            lines, index, table, (int(line[twice[0]]), int(line[twice[0] + 1])), int(series[twice[0]])
        )
    line_of = np.full(len(index.series_rows), -1, np.int64)
    line_of[series] = line
    is_lacking = is_needed & (line_of < 0)
    lacking = np.flatnonzero(is_lacking)
    if lacking.size and (table.on_missing == "raise" or not (line_of >= 0).any()):
        raise lacking_lines(files, table, index, lacking, pairs)
    return SeriesLines(lines, line_of)


def lacking_lines(
    files: FileLines, table: Table, index: SampleIndex, lacking: Int64Array, pairs: LinePairs
) -> TableError:
    """The error of series without a line, or of their files if lines speak of these: what is left on both sides."""
    start = f"{files.lines.title}: "
    if table.series is None:
        missing = np.unique(index.series_file[lacking])
        names = (index.names[file] for file in missing.tolist())
        return TableError(start + files.unmatched_text(names, len(missing), "file"))
    text = f"{counted(len(lacking), 'series')} {'has' if len(lacking) == 1 else 'have'} no line: "
    text += listed(
        [index.where(one) for one in lacking[:_MOST_NAMED].tolist()], _MOST_NAMED, total=len(lacking)
    )
    alone = files.lines.without(pairs.line)
    if alone.size:
        speak = "speaks" if alone.size == 1 else "speak"
        text += f"; {counted(alone.size, files.lines.noun)} {speak} of no series: "
        text += files.lines.named(alone, table.series)
    return TableError(
        f"{start}{text}. Add lines, correct the names in column {table.series!r}, or leave out what has no line with "
        "table.on_missing='skip'"
    )


def _two_lines(
    lines: TableLines, index: SampleIndex, table: Table, pair: tuple[int, int], series: int
) -> TableError:
    numbers = " and ".join(f"{lines.numbers[one]}" for one in pair)
    owner = index.where(series) if table.series is not None else index.names[int(index.series_file[series])]
    return TableError(
        f"{lines.noun}s {numbers} of {lines.path} speak of {owner}: one line may. Lines that speak of its series name "
        "them in a column (table.series), lines of single rows by a key (table.key), and lines of parts of it say "
        "their rows (table.start and table.stop)"
    )
