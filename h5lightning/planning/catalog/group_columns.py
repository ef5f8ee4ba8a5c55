"""Columns of AnnData that are groups, of codes or of values beside a mask: fields see each as one dataset of rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.schema import DatasetSchema

__all__ = ["with_group_columns"]


def with_group_columns(catalog: Catalog, names: Iterable[str]) -> Catalog:
    """The catalog with the rows of groups whose values the scan read; as it is if there is no such group.

    Args:
        catalog: what the files store.
        names: names of values, see `values_name`.
    """
    asked = {name for name in names if name in catalog.row_values}
    is_group = [[_is_group(dataset, asked) for dataset in layout] for layout in catalog.layouts]
    if not any(map(any, is_group)):
        return catalog
    facts = catalog.facts.copy()
    for number, groups in enumerate(is_group):
        units = np.flatnonzero(catalog.layout_of == number)
        for position in np.flatnonzero(groups).tolist():
            path = catalog.layouts[number][position].path
            facts[catalog.first_fact[units] + position, 0] = catalog.row_values[path].unit_rows[units]
    layouts = tuple(
        tuple(replace(one, shape=(0,)) if _is_group(one, asked) else one for one in layout)
        for layout in catalog.layouts
    )
    return replace(catalog, layouts=layouts, facts=facts)


def _is_group(dataset: DatasetSchema, asked: set[str]) -> bool:
    return dataset.dtype == "group" and not dataset.shape and dataset.path in asked
