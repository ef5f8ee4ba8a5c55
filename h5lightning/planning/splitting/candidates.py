"""What a split strategy divides: series, the items of them that stay whole, and the fraction for each split."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.errors import OptionError, SplitError
from h5lightning.options import Split
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.splitting.groups import group_files, group_labels
from h5lightning.planning.splitting.split_plan import SPLITS, Segments

__all__ = ["Candidates", "Fractions", "Roles", "files_to_split"]

Roles = Mapping[str, Int64Array]

_NOTHING = 1e-9  # a smaller fraction is a rounding error of zero


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The series that are divided by size.

    Args:
        series: their numbers in the index, ascending, ``(series,)``.
        rows: rows of each, ``(series,)``.
        item: the file, or the group of files, of each, numbered from 0 in path order, ``(series,)``.
        is_grouped: whether the items are groups.
    """

    series: Int64Array
    rows: Int64Array
    item: Int64Array
    is_grouped: bool = False

    @classmethod
    def of(
        cls, index: SampleIndex, roles: Roles, keep_together: str | None, labels: Sequence[str | None] | None
    ) -> Candidates:
        """All series of the files of ``roles["train"]``.

        Raises:
            SplitError: a file has no group, or one group is in two roles.
        """
        files = np.sort(roles.get("train", np.zeros(0, dtype=np.int64)))
        whole = Segments.of_files(index, files)
        item = np.searchsorted(files, index.series_file[whole.series])
        if keep_together is not None:
            if index.unit_texts is not None and keep_together.startswith("attr:"):
                raise OptionError(
                    "split.keep_together='attr:NAME' is not available yet for series made by a '*'"
                )
            item = _groups(index, roles, keep_together, labels)[files][item]
        return cls(whole.series, whole.stop, item, is_grouped=keep_together is not None)

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
            by: ``file`` or ``series``.

        Returns:
            The item of each series, -1 where it has no rows, ``(series,)``; the rows of each item, ``(items,)``.
        """
        item = self.item if by == "file" else np.arange(len(self.series), dtype=np.int64)
        rows = np.zeros(int(item.max(initial=-1)) + 1, dtype=np.int64)
        np.add.at(rows, item, self.rows)
        number = np.where(rows > 0, np.cumsum(rows > 0) - 1, -1)
        return number[item], rows[rows > 0]


def files_to_split(roles: Roles) -> Int64Array:
    """The files that take part in a split, ascending: all but those of ``predict`` alone."""
    files = [roles[name] for name in SPLITS if name in roles]
    return np.sort(np.concatenate([*files, np.zeros(0, dtype=np.int64)]))


def _groups(
    index: SampleIndex, roles: Roles, keep_together: str, attributes: Sequence[str | None] | None
) -> Int64Array:
    """The group of each file of the index, -1 for files that take no part; no group is in two roles."""
    files = files_to_split(roles)
    groups = group_files(keep_together, index.names, files, attributes)
    role_of = np.full(len(index.names), -1, dtype=np.int64)
    for role, name in enumerate(SPLITS):
        role_of[roles.get(name, files[:0])] = role
    first = files[np.unique(groups[files], return_index=True)[1][groups[files]]]
    for i in np.flatnonzero(role_of[files] != role_of[first])[:1]:
        pair = [f"{index.names[file]} of {SPLITS[role_of[file]]}" for file in (int(first[i]), int(files[i]))]
        (label,) = group_labels(keep_together, index.names, files[[i]], attributes)
        raise SplitError(
            f"split.keep_together={keep_together!r}: {' and '.join(pair)} share the value {label!r}. "
            "Move one of them to the other's entry of 'files', or leave out keep_together"
        )
    return groups


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
