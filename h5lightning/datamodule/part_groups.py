"""The groups that are kept together, in each part of a split."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from h5lightning.planning.catalog.row_values import RowValues
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.splitting.groups import Groups
from h5lightning.planning.splitting.row_groups import RowGroups
from h5lightning.planning.splitting.split_plan import Segments
from h5lightning.storage.data_survey import DataSurvey

__all__ = ["groups_of_parts"]


def groups_of_parts(
    survey: DataSurvey, parts: Mapping[str, Segments], keep_together: str | None
) -> dict[str, set[str | None]]:
    """The values that keep files or series together, in each split."""
    index, labels = survey.index, survey.labels
    if isinstance(labels, RowValues):
        return _groups_of_rows(index, parts, str(keep_together), labels)
    if keep_together is not None:
        series = np.unique(np.concatenate([part.series for part in parts.values()]))
        groups = Groups.of(keep_together, index, series, labels)
        numbers = {name: np.unique(groups.group[part.series]) for name, part in parts.items()}
        return {name: {groups.labels[one] for one in each.tolist()} for name, each in numbers.items()}
    if labels is None:
        return {}
    units = {name: np.unique(index.units[part.series]) for name, part in parts.items()}
    return {name: {labels[unit] for unit in each.tolist()} for name, each in units.items()}


def _groups_of_rows(
    index: SampleIndex, parts: Mapping[str, Segments], keep_together: str, values: RowValues
) -> dict[str, set[str | None]]:
    """The values that keep rows together, in each split."""
    series = np.unique(np.concatenate([part.series for part in parts.values()]))
    groups = RowGroups.of(keep_together, index, series, values)
    numbers = {name: np.flatnonzero(groups.in_rows(part)) for name, part in parts.items()}
    return {name: {groups.name(one) for one in each.tolist()} for name, each in numbers.items()}
