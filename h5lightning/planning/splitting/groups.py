"""Groups of series that stay together.

Their files have the same part of the path, or they have the same attribute, or the same value in a column of a table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import OptionError, SplitError
from h5lightning.planning.catalog.row_values import RowValues
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.splitting.row_groups import RowGroups

__all__ = ["Groups", "Labels"]

# The value of each unit of the catalog, or for the column of a table of each series, None where it has none; or the
# values of all rows.
Labels: TypeAlias = Sequence[str | None] | RowValues


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """The group of each series.

    Args:
        group: the group of each series of the index, numbered in the order of their first series; -1 for series that
            take no part, ``(series,)``.
        labels: the value that the series of each group share, ``(groups,)``.
    """

    group: Int64Array
    labels: tuple[str, ...]

    @classmethod
    def of(
        cls, keep_together: str, index: SampleIndex, series: Int64Array, attributes: Labels | None
    ) -> Groups:
        """The groups of some series.

        Args:
            keep_together: ``path:REGEX``, which looks at the relative path of the file, ``attr:NAME``,
                ``table:COLUMN``, or, of a dataset with one value in each series, ``field:PATH``.
            index: the files and series.
            series: the series that take part, ascending.
            attributes: with ``attr:NAME`` the value of each unit, with ``table:COLUMN`` of each series, None where
                there is none; or the values of all rows.

        Raises:
            OptionError: the regular expression cannot be used.
            SplitError: a series has no such value, or with ``field:PATH`` rows of several values.
        """
        if isinstance(attributes, RowValues):
            return cls._of_rows(RowGroups.of(keep_together, index, series, attributes))
        kind, _, source = keep_together.partition(":")
        every = {"path": index.series_file, "table": np.arange(len(index.series_rows))}
        owners = every.get(kind, index.units)[series]
        first = np.flatnonzero(np.diff(owners, prepend=-1))
        distinct = owners[first]
        if kind == "path":
            found = _from_paths(source, index, distinct)
        else:
            found = _from_labels(keep_together, distinct, attributes)
        numbers: dict[str, int] = {}
        group_of = np.empty(len(distinct), dtype=np.int64)
        for position, label in enumerate(found):
            if label is None:
                raise _no_group(keep_together, index, int(series[first[position]]))
            group_of[position] = numbers.setdefault(label, len(numbers))
        group = np.full(len(index.series_rows), -1, dtype=np.int64)
        group[series] = group_of.repeat(np.diff(first, append=len(owners)))
        return cls(group, tuple(numbers))

    @classmethod
    def _of_rows(cls, rows: RowGroups) -> Groups:
        """The groups of series whose rows have one value each; those without rows are one group."""
        found = rows.of_series("by='series'")
        group = np.full(len(rows.index.series_rows), -1, dtype=np.int64)
        group[rows.series] = np.where(found < 0, len(rows), found)
        return cls(group, (*map(rows.name, range(len(rows))), ""))

    def divided_file(self, index: SampleIndex) -> tuple[int, int] | None:
        """Two series of one file that are in different groups; None if each file belongs to one group."""
        file, group = index.series_file, self.group
        differs = (file[1:] == file[:-1]) & (group[1:] != group[:-1]) & (group[1:] >= 0) & (group[:-1] >= 0)
        found = np.flatnonzero(differs)[:1].tolist()
        return (found[0], found[0] + 1) if found else None


def _no_group(keep_together: str, index: SampleIndex, series: int) -> SplitError:
    kind, _, source = keep_together.partition(":")
    if kind == "path":
        who, lacks = index.names[int(index.series_file[series])], f"does not match {source!r}"
    elif kind == "table":
        who, lacks = index.where(series), f"has an empty cell in column {source!r}"
    else:
        who, lacks = index.where(series), f"has no attribute {source!r}"
    return SplitError(
        f"split.keep_together={keep_together!r}: {who} {lacks}, so that it belongs to no group. Change keep_together, "
        "or exclude the file with a pattern that begins with '!'"
    )


def _from_paths(pattern: str, index: SampleIndex, files: Int64Array) -> Iterator[str | None]:
    try:
        regex = re.compile(pattern)
    except re.error as error:
        raise OptionError(f"split.keep_together: {pattern!r} is not a regular expression: {error}") from error
    if not regex.groups:
        raise OptionError(
            f"split.keep_together: {pattern!r} has no group; put what files share in parentheses, "
            "such as 'path:(patient_[0-9]+)'"
        )
    matches = (regex.search(index.names[file]) for file in files.tolist())
    return (match.group(1) if match else None for match in matches)


def _from_labels(
    keep_together: str, owners: Int64Array, labels: Sequence[str | None] | None
) -> Iterator[str | None]:
    if labels is None:
        raise ValueError(f"keep_together={keep_together!r} needs the attribute of each series, or its cell")
    return (labels[owner] for owner in owners.tolist())
