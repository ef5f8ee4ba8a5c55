"""A split that the files give: lists of the names of series, matched with the series of the index."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.core.formatting import counted
from h5lightning.errors import OptionError, SplitError
from h5lightning.options import Split
from h5lightning.options.checks import did_you_mean
from h5lightning.planning.catalog.row_values import RowValues
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.series.names import called
from h5lightning.planning.splitting.candidates import check_roles
from h5lightning.planning.splitting.groups import Groups, Labels
from h5lightning.planning.splitting.row_groups import RowGroups
from h5lightning.planning.splitting.split_plan import SPLITS, Segments

__all__ = ["GivenSeries", "check_lists", "given_parts", "match_lists"]

Lists: TypeAlias = Mapping[
    str, Sequence[str] | Sequence[int] | None
]  # path → names or numbers; None if it is missing
T = TypeVar("T")
GivenSeries: TypeAlias = npt.NDArray[np.int8]  # number in `SPLITS` of each series of the index, -1 for none

_MOST_COMPARED = 10_000  # names among which the most similar one is looked for


def check_lists(
    index: SampleIndex,
    files: Int64Array,
    lists: Sequence[Lists],
    given: Mapping[str, str],
    known: Iterable[str],
) -> None:
    """Raise `SplitError` if a file lacks a list.

    Args:
        index: the files and series.
        files: the files that are divided.
        lists: what each of them lists.
        given: split → path of the list.
        known: paths of datasets, for a suggestion.
    """
    for name, path in given.items():
        lacking = [file for file, of_file in zip(files.tolist(), lists, strict=True) if of_file[path] is None]
        if not lacking:
            continue
        if len(lacking) == len(files):
            others = list(
                itertools.islice((one for one in known if one not in given.values()), _MOST_COMPARED)
            )
            near = did_you_mean(path, others)
            near = near if "did you mean" in near else "."
            raise SplitError(
                f"split.given.{name}: no file has '/{path}'{near} Write there which "
                f"series are {name}, or leave {name} out of split.given"
            )
        raise SplitError(
            f"split.given.{name}: {counted(len(lacking), 'file')} of {len(files)} have no '/{path}', such as "
            f"{index.names[lacking[0]]}. Write the list there, an empty one if it names no series, or exclude such "
            "files with a pattern that begins with '!'"
        )


def match_lists(
    index: SampleIndex, files: Int64Array, lists: Sequence[Lists], given: Mapping[str, str]
) -> GivenSeries:
    """The split of each series; the lists of a file count for its own series.

    Args:
        index: the files and series.
        files: the files that are divided.
        lists: what each of them lists, none of it missing.
        given: split → path of the list.

    Raises:
        OptionError: each file is one series without a name.
        SplitError: a list names an unknown series, or one series is in two lists.
    """
    if index.series_names is None and index.series_start is None:
        raise OptionError(
            "split.given lists series, but here each file is one series without a name. Put a '*' into the paths of "
            "the fields, or name the files of each split: files={'train': …, 'val': …}"
        )
    split_of = np.full(len(index.series_rows), -1, dtype=np.int8)
    for file, of_file in zip(files.tolist(), lists, strict=True):
        finder = _SeriesFinder(index, file)
        for name, path in given.items():
            series = finder.numbers(of_file[path] or (), path)
            taken = series[(split_of[series] >= 0) & (split_of[series] != SPLITS.index(name))]
            if taken.size:
                other = given[SPLITS[split_of[taken[0]]]]
                more = f", as are {taken.size - 1:,} more" if taken.size > 1 else ""
                raise SplitError(
                    f"split.given: {index.where(int(taken[0]))} is both in '/{other}' and in '/{path}'{more}. A series "
                    "can be in one split only"
                )
            split_of[series] = SPLITS.index(name)
    return split_of


class _SeriesFinder:
    """Finds the series of one file by name, by what the ``*`` matched, or by number."""

    def __init__(self, index: SampleIndex, file: int) -> None:
        self._index, self._file = index, file
        self._first, stop = index.first_series[file : file + 2].tolist()
        self._names, texts = called(index, np.arange(self._first, stop))
        self._by_name = _positions(texts) | _positions(self._names)
        self._by_number = _positions([int(text) if text.isdecimal() else None for text in texts])

    def numbers(self, listed: Sequence[str] | Sequence[int], path: str) -> Int64Array:
        """The series that a list names, in its order.

        Raises:
            SplitError: the file has no such series.
        """
        is_text = bool(listed) and isinstance(listed[0], str)
        known: Mapping[Any, Any] = self._by_name if is_text else self._by_number
        series = [known.get(one, -1) for one in listed]
        if any(isinstance(one, list) for one in series):
            series = [number for one in series for number in (one if isinstance(one, list) else [one])]
        found: Int64Array = np.asarray(series, dtype=np.int64)
        if np.any(found < 0):
            unknown = [one for one in listed if one not in known]
            raise self._unknown(unknown[0], len(unknown), path)
        found += self._first
        return found

    def _unknown(self, name: str | int, count: int, path: str) -> SplitError:
        near = did_you_mean(name, self._names[:_MOST_COMPARED])
        if "did you mean" not in near:
            near = f"; it has {counted(len(self._names), 'series')}"
            near += f", {self._names[0]!r} to {self._names[-1]!r}" if self._names else ""
        more = f" and {count - 1:,} other unknown series" if count > 1 else ""
        return SplitError(
            f"split.given: '/{path}' names the series {name!r}{more}, which {self._index.names[self._file]} does not "
            f"have{near}"
        )


def _positions(names: Sequence[T]) -> dict[T, int | list[int]]:
    """Name → position, or a list of them where several series have one name, such as runs of a value that returns."""
    single = dict(zip(names, range(len(names)), strict=True))
    if len(single) == len(names):
        return {**single}
    every: dict[T, list[int]] = {}
    for position, name in enumerate(names):
        every.setdefault(name, []).append(position)
    return {name: found[0] if len(found) == 1 else found for name, found in every.items()}


def given_parts(
    index: SampleIndex, split: Split, given: GivenSeries | None, files: Int64Array, labels: Labels | None
) -> dict[str, Segments]:
    """The rows of each split that is given.

    Args:
        index: the files and series.
        split: ``given`` and ``keep_together`` are used.
        given: the split of each series.
        files: the files that are divided.
        labels: with ``keep_together="attr:NAME"``, the value of each unit.

    Raises:
        SplitError: a split has no row, or a group of ``keep_together`` is in two splits.
    """
    if given is None:
        raise ValueError("split.given needs what the files list")
    in_files = np.isin(index.series_file, files)
    paths: dict[str, str] = dict(split.given) if isinstance(split.given, dict) else {}
    parts = {}
    for name in SPLITS:
        part = Segments.of_series(index, np.flatnonzero(in_files & (given == SPLITS.index(name))))
        if name in paths and not part.rows:
            raise SplitError(
                f"split.given: '/{paths[name]}' names no series with rows, so that {name} would be empty. Leave "
                f"{name} out of split.given, or list its series"
            )
        if part.rows:
            parts[name] = part
    if not parts:
        raise SplitError(f"split.given={split.given!r}: each cell is empty, so that nothing is in a split")
    if split.keep_together is not None:
        series = np.flatnonzero(in_files & (given >= 0))
        if isinstance(labels, RowValues):
            rows = RowGroups.of(split.keep_together, index, series, labels)
            rows.check_roles(given[series], "list in split.given")
            return parts
        groups = Groups.of(split.keep_together, index, series, labels)
        role = given[series].astype(np.int64)
        place = "list in split.given" if paths else "split in the table"
        check_roles(split.keep_together, index, groups, series, role, place)
    return parts


def given_rows(
    index: SampleIndex, split: Split, given: RowValues, files: Int64Array, labels: Labels | None
) -> dict[str, Segments]:
    """The rows of each split that is given for each row.

    Args:
        index: the files and series.
        split: ``given`` and ``keep_together`` are used.
        given: the name of the split of each row; missing for rows in none.
        files: the files that are divided.
        labels: as in `given_parts`.

    Raises:
        SplitError: no row is in a split, or ``keep_together`` is asked for too.
    """
    if labels is not None:
        raise SplitError(
            f"split.given={split.given!r} says the split of each row, found keep_together={split.keep_together!r} too: "
            "leave one of them out"
        )
    series = Segments.of_files(index, files).series
    rows = index.series_rows[series]
    parts = {}
    for name in SPLITS:
        part = Segments.of_rows(series, rows, (one == name for one in _names_of_rows(index, series, given)))
        if part.rows:
            parts[name] = part
    if not parts:
        raise SplitError(f"split.given={split.given!r}: each cell is empty, so that nothing is in a split")
    return parts


def _names_of_rows(
    index: SampleIndex, series: Int64Array, given: RowValues
) -> Iterator[npt.NDArray[np.str_]]:
    """The name of the split of each row, series after series; empty for none."""
    for one in series.tolist():
        unit = int(index.units[one])
        codes = given.rows_of(unit)
        if codes is None:
            raise ValueError("the split of the rows of a unit is not known")
        start = 0 if index.series_start is None else int(index.series_start[one])
        own = codes.reshape(-1)[start : start + int(index.series_rows[one])]
        yield np.asarray([*given.values(unit), ""], np.str_)[own]
