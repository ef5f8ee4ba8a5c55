"""Infer series inside of files: groups of one structure, a leading axis, or a table that divides the rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from h5lightning.core.star_paths import starred_object
from h5lightning.options import Field, Series
from h5lightning.planning.conventions.series_borders import series_option
from h5lightning.tools.overview.dataset_paths import is_label, words_of
from h5lightning.tools.overview.dataset_summary import DatasetSummary

__all__ = [
    "ACTION_WORDS",
    "OBSERVATION_WORDS",
    "Family",
    "find_family",
    "holds_actions",
    "is_of_next_row",
    "lists_of_series",
    "series_in_rows",
]

_SPLIT_WORDS = {
    "train": frozenset(["train"]),
    "val": frozenset(["val", "valid", "validation", "dev"]),
    "test": frozenset(["test"]),
}
OBSERVATION_WORDS = frozenset(["obs", "observation", "observations"])
ACTION_WORDS = frozenset(["action", "actions"])
_NEXT_WORDS = frozenset(["next"])


class Family:
    """Datasets with one structure in each of many groups, or many datasets of one kind.

    Args:
        members: the datasets with rows that each group has, the largest first.
        extra: rows that each member has more than the shortest one, in the same order.
    """

    def __init__(self, members: Sequence[DatasetSummary], extra: Sequence[int]) -> None:
        self.members = tuple(members)
        self._extra = dict(zip((member.path for member in members), extra, strict=True))

    def fields(self, members: Sequence[DatasetSummary]) -> tuple[Field, ...]:
        """The fields of some members: each match of the ``*`` is a series, as long as the shortest of them."""
        extra = [self._extra[member.path] for member in members]
        return tuple(
            Field(member.path, extra_rows=more - min(extra))
            for member, more in zip(members, extra, strict=True)
        )

    def choose(self) -> tuple[DatasetSummary, DatasetSummary | None]:
        """The member that is ``x``, and the one that is ``y``, if a name says so."""
        y = next((member for member in self.members if is_label(member.path)), None)
        y = y or next((member for member in self.members if holds_actions(member)), None)
        others = [member for member in self.members if member is not y] or list(self.members)
        now = [member for member in others if not is_of_next_row(member)] or others
        observed = [member for member in now if OBSERVATION_WORDS & words_of(member.path)]
        x = (observed or now)[0]
        return x, None if y is x else y


def find_family(datasets: Sequence[DatasetSummary]) -> Family | None:
    """The family of datasets that holds most of the data; None if there is none."""
    families: dict[str, list[DatasetSummary]] = {}
    for dataset in datasets:
        if dataset.is_pattern and dataset.path.count("*") == 1 and _may_be_row_field(dataset):
            families.setdefault(starred_object(dataset.path), []).append(dataset)
    if not families:
        return None
    members = max(families.values(), key=lambda family: sum(dataset.weight for dataset in family))
    total = sum(dataset.weight for dataset in datasets if dataset.schema.dtype != "text")
    if 2 * sum(dataset.weight for dataset in members) <= total:
        return None
    return _of_equal_lengths(members)


def series_in_rows(dataset: DatasetSummary, files: int) -> Series | None:
    """The option for the table that divides the rows of a dataset in all files; None if there is none, or several."""
    if len(dataset.series) != 1:
        return None
    table, files_with = dataset.series[0]
    return None if files_with.size < files else series_option(table)


def holds_actions(dataset: DatasetSummary) -> bool:
    """Whether its name says that it holds the actions of an agent."""
    return bool(ACTION_WORDS & words_of(dataset.path))


def is_of_next_row(dataset: DatasetSummary) -> bool:
    """Whether its name says that it holds what another dataset holds, one row later, as ``next_obs`` does."""
    return bool(_NEXT_WORDS & words_of(dataset.path))


def lists_of_series(datasets: Iterable[DatasetSummary], files: int) -> dict[str, str]:
    """Split → dataset of text in all files, whose name says that it lists the series of the split.

    Empty unless two splits or more have one in the same group. What they list is not read.
    """
    by_group: dict[str, dict[str, str]] = {}
    for dataset in datasets:
        group, _, name = dataset.path.rpartition("/")
        is_list = dataset.schema.dtype == "text" and len(dataset.schema.shape) == 1 and not dataset.is_pattern
        for split, words in _SPLIT_WORDS.items():
            if is_list and name.lower() in words and np.unique(dataset.files).size == files:
                by_group.setdefault(group, {}).setdefault(split, dataset.path)
    found = next((lists for lists in by_group.values() if "train" in lists and len(lists) > 1), {})
    return {split: found[split] for split in _SPLIT_WORDS if split in found}


def _may_be_row_field(dataset: DatasetSummary) -> bool:
    return not dataset.schema.refusal and bool(dataset.schema.shape) and not dataset.schema.members


def _of_equal_lengths(members: Sequence[DatasetSummary]) -> Family:
    """The members that are in each group, and as long as the largest one, or one row longer or shorter."""
    most = max(dataset.files.size for dataset in members)
    complete = sorted(
        (dataset for dataset in members if dataset.files.size == most), key=lambda one: -one.weight
    )
    beside = [(dataset, _difference(dataset, complete[0])) for dataset in complete]
    near = [(dataset, difference) for dataset, difference in beside if difference is not None]
    shortest = min(difference for _, difference in near)
    return Family([one for one, _ in near], [difference - shortest for _, difference in near])


def _difference(dataset: DatasetSummary, other: DatasetSummary) -> int | None:
    """By how many rows it is longer, in each group; None if that differs, or is more than one."""
    if not np.array_equal(dataset.files, other.files):
        return None
    found = np.unique(dataset.rows - other.rows)
    return int(found[0]) if found.size == 1 and abs(int(found[0])) <= 1 else None
