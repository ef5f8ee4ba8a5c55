"""Infer series inside of files: groups of one structure, a leading axis, or a table that divides the rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from h5lightning.options import Field, Series
from h5lightning.planning.conventions.series_borders import series_option
from h5lightning.tools.overview.dataset_paths import is_label, words_of
from h5lightning.tools.overview.dataset_summary import DatasetSummary

__all__ = ["Family", "find_family", "series_in_rows"]

_ACTION_WORDS = frozenset(["action", "actions"])
_KEPT_WORDS = frozenset(["next"])  # next_obs holds what obs holds, one row later


class Family:
    """Datasets with one structure in each of many groups, or many datasets of one kind.

    Args:
        members: the datasets with rows that each group has, the largest first.
        extra: rows that each member has more than the shortest one, in the same order.
    """

    def __init__(self, members: Sequence[DatasetSummary], extra: Sequence[int]) -> None:
        self.members = tuple(members)
        self._extra = dict(zip((member.path for member in members), extra, strict=True))

    def field(self, dataset: DatasetSummary) -> Field:
        """The field of a member: each match of the ``*`` is a series."""
        return Field(dataset.path, extra_rows=self._extra[dataset.path])

    def choose(self) -> tuple[DatasetSummary, DatasetSummary | None]:
        """The member that is ``x``, and the one that is ``y``, if a name says so."""
        y = next((member for member in self.members if is_label(member.path)), None)
        y = y or next((member for member in self.members if _ACTION_WORDS & words_of(member.path)), None)
        others = [member for member in self.members if member is not y] or list(self.members)
        x = next((member for member in others if not _KEPT_WORDS & words_of(member.path)), others[0])
        return x, None if y is x else y


def find_family(datasets: Sequence[DatasetSummary]) -> Family | None:
    """The family of datasets that holds most of the data; None if there is none."""
    families: dict[str, list[DatasetSummary]] = {}
    for dataset in datasets:
        if dataset.is_pattern and dataset.path.count("*") == 1 and _may_be_row_field(dataset):
            families.setdefault(_start(dataset.path), []).append(dataset)
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


def _may_be_row_field(dataset: DatasetSummary) -> bool:
    return not dataset.schema.refusal and bool(dataset.schema.shape) and not dataset.schema.members


def _start(path: str) -> str:
    """The part of a path up to the component with the ``*``."""
    depth = path[: path.index("*")].count("/")
    return "/".join(path.split("/")[: depth + 1])


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
