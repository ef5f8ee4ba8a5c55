"""What a split strategy divides: series, the items of them that stay whole, and the fraction for each split."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.errors import SplitError
from h5lightning.options import Split
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.splitting.groups import Groups, Labels
from h5lightning.planning.splitting.split_plan import SPLITS, Segments

__all__ = ["Candidates", "Fractions", "Roles", "check_roles", "files_to_split", "several_groups"]

Roles = Mapping[str, Int64Array]

_NOTHING = 1e-9  # a smaller fraction is a rounding error of zero


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The series that are divided by size.

    Args:
        series: their numbers in the index, ascending, ``(series,)``.
        rows: rows of each, ``(series,)``.
        item: the file, or the group, of each, numbered from 0 in path order, ``(series,)``.
        is_grouped: whether the items are groups.
        divides_files: whether a file has series of several groups.
    """

    series: Int64Array
    rows: Int64Array
    item: Int64Array
    is_grouped: bool = False
    divides_files: bool = False

    @classmethod
    def of(cls, index: SampleIndex, roles: Roles, split: Split, labels: Labels | None) -> Candidates:
        """All series of the files of ``roles["train"]``.

        Raises:
            SplitError: a series has no group, one group is in two roles, or ``by="file"`` would divide a group.
        """
        files = np.sort(roles.get("train", np.zeros(0, dtype=np.int64)))
        whole = Segments.of_files(index, files)
        if split.keep_together is None:
            return cls(whole.series, whole.stop, np.searchsorted(files, index.series_file[whole.series]))
        groups = _groups(index, roles, split.keep_together, labels)
        pair = groups.divided_file(index)
        if pair is not None and split.by == "file":
            raise several_groups(split.keep_together, index, groups, pair)
        item = groups.group[whole.series]
        return cls(whole.series, whole.stop, item, is_grouped=True, divides_files=pair is not None)

    @property
    def total(self) -> int:
        """Rows of all series."""
        return int(self.rows.sum())

    def whole(self, chosen: BoolArray) -> Segments:
        """All rows of the chosen series, ``(series,)``."""
        return Segments(self.series[chosen], np.zeros_like(self.series[chosen]), self.rows[chosen])

    def items(self, by: str) -> tuple[Int64Array, Int64Array]:
        """The items that have rows.

        Args:
            by: ``file`` or ``series``; groups stay whole with both.

        Returns:
            The item of each series, -1 where it has no rows, ``(series,)``; the rows of each item, ``(items,)``.
        """
        item = self.item if by == "file" or self.is_grouped else np.arange(len(self.series), dtype=np.int64)
        rows = np.zeros(int(item.max(initial=-1)) + 1, dtype=np.int64)
        np.add.at(rows, item, self.rows)
        number = np.where(rows > 0, np.cumsum(rows > 0) - 1, -1)
        return number[item], rows[rows > 0]


def files_to_split(roles: Roles) -> Int64Array:
    """The files that take part in a split, ascending: all but those of ``predict`` alone."""
    files = [roles[name] for name in SPLITS if name in roles]
    return np.sort(np.concatenate([*files, np.zeros(0, dtype=np.int64)]))


def several_groups(
    keep_together: str, index: SampleIndex, groups: Groups, pair: tuple[int, int]
) -> SplitError:
    """The error for a file whose series are in several groups, where files must stay whole."""
    first, second = (f"{index.where(one)} has {groups.labels[groups.group[one]]!r}" for one in pair)
    return SplitError(
        f"split.keep_together={keep_together!r}: {first}, {second}: by='file' would keep both together. Use by='series'"
    )


def _groups(index: SampleIndex, roles: Roles, keep_together: str, labels: Labels | None) -> Groups:
    """The group of each series of the files that take part; no group is in two roles."""
    series = Segments.of_files(index, files_to_split(roles)).series
    groups = Groups.of(keep_together, index, series, labels)
    role_of = np.full(len(index.names), -1, dtype=np.int64)
    for role, name in enumerate(SPLITS):
        role_of[roles.get(name, series[:0])] = role
    check_roles(keep_together, index, groups, series, role_of[index.series_file[series]], "entry of 'files'")
    return groups


def check_roles(
    keep_together: str, index: SampleIndex, groups: Groups, series: Int64Array, role: Int64Array, place: str
) -> None:
    """Raise `SplitError` if two series of one group have different roles.

    Args:
        keep_together: what keeps them together.
        index: the files and series.
        groups: their groups.
        series: the series to compare.
        role: the number of the split of each in `SPLITS`, ``(series,)``.
        place: what puts a series into its split, for the message.
    """
    group = groups.group[series]
    first = np.unique(group, return_index=True)
    first_of = first[1][np.searchsorted(first[0], group)]
    for i in np.flatnonzero(role != role[first_of])[:1].tolist():
        pair = [f"{index.where(int(series[n]))} of {SPLITS[role[n]]}" for n in (int(first_of[i]), i)]
        raise SplitError(
            f"split.keep_together={keep_together!r}: {' and '.join(pair)} share the value "
            f"{groups.labels[group[i]]!r}. Move one of them to the other's {place}, or leave out keep_together"
        )


@dataclass(frozen=True, slots=True)
class Fractions:
    """The fraction of the rows for each split, 0 for a split that does not exist, and how to cut them.

    Args:
        train: at most ``left``.
        val: with folds, the size of one fold.
        test: cut first.
        left: what test and val leave.
        order: ``random``, or ``path`` for contiguous files or series.
        folds: number of folds; None without folds.
        fold: the fold that is val.
        gap: rows between two splits of one series.
        must_be_near: refuse a split that is not between half and twice its fraction.
    """

    train: float
    val: float
    test: float
    left: float
    order: str = "random"
    folds: int | None = None
    fold: int = 0
    gap: int = 0
    must_be_near: bool = False

    @classmethod
    def of(cls, split: Split, named: Collection[str] = ()) -> Fractions:
        """The fractions that ``split`` requests, without the splits whose files are ``named`` explicitly."""
        test = 0.0 if "test" in named else _positive(split.test)
        val = 0.0 if "val" in named else _positive(split.val)
        if split.folds is not None:
            val = (1.0 - test) / split.folds
        left = _positive(1.0 - test - val)
        train = left if split.train is None else min(_positive(split.train), left)
        return cls(train, val, test, left, split.order, split.folds, split.fold or 0, split.gap)

    def without_val(self) -> Fractions:
        """The same test part, and all other rows for train; no folds."""
        left = _positive(1.0 - self.test)
        return Fractions(train=left, val=0.0, test=self.test, left=left, order=self.order)

    @property
    def requested(self) -> dict[str, float]:
        """The splits that must exist, with their fractions."""
        fractions = {"train": self.train, "val": self.val, "test": self.test}
        return {name: fraction for name, fraction in fractions.items() if fraction > 0}

    @property
    def train_takes_all(self) -> bool:
        """Whether train is all that test and val leave."""
        return self.left - self.train <= _NOTHING


def _positive(fraction: float | None) -> float:
    return float(fraction) if fraction is not None and fraction > _NOTHING else 0.0
