"""Split by groups of rows: rows with the same value of a dataset go to one split, wherever they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.permutation import derive_key
from h5lightning.planning.splitting.by_file import divide, thin
from h5lightning.planning.splitting.candidates import Fractions
from h5lightning.planning.splitting.row_groups import RowGroups
from h5lightning.planning.splitting.split_plan import Segments

__all__ = ["by_group", "rows_of_groups"]


def by_group(groups: RowGroups, fractions: Fractions, key: int) -> dict[str, Segments] | None:
    """Keep rows of one group together; None if there are too few groups."""
    pieces = divide(groups.weights, fractions, key)
    if pieces is None:
        return None
    members = {name: pieces.members(name) for name in fractions.requested}
    if "train" in members and not fractions.train_takes_all:
        train, target = members["train"], fractions.train * len(groups.group)
        kept = thin(groups.weights[train], target, fractions.order, derive_key(key, "train"))
        members["train"] = train[kept]
    part = np.full(len(groups), -1, np.int8)
    for number, chosen in enumerate(members.values()):
        part[chosen] = number
    return rows_of_groups(groups, part, {name: number for number, name in enumerate(members)})


def rows_of_groups(
    groups: RowGroups, part: npt.NDArray[np.integer[Any]], numbers: Mapping[str, int]
) -> dict[str, Segments]:
    """The rows of each split, from the split of each group.

    Args:
        groups: the groups of rows.
        part: the number of the split of each group, ``(groups,)``.
        numbers: split → its number. Series without rows go with train, so that each file is in the list of some split.
    """
    rows = groups.index.series_rows[groups.series]
    found = {}
    for name, number in numbers.items():
        bools = (part[groups.group[piece.first : piece.stop]] == number for piece in groups.pieces())
        found[name] = Segments.of_rows(groups.series, rows, bools, keep_empty=name == "train")
    return found
