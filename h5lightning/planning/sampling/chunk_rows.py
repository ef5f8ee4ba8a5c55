"""How many rows of a field are decoded together, in each unit."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.planning.fields import BoxField, RowField

__all__ = ["chunk_rows", "rows_beside", "rows_of_chunk"]


def chunk_rows(catalog: Catalog, plan: RowField, rows_in: Callable[[DatasetSchema, int], int]) -> Int64Array:
    """Rows of a field that are decoded together, for each unit, ``(units,)``; 1 where rows are read one by one.

    Args:
        catalog: the chunks of each unit.
        plan: the field.
        rows_in: `rows_of_chunk` or `rows_beside`.
    """
    by_layout = np.asarray([_rows_in(layout, plan, rows_in) for layout in catalog.layouts])
    of_units: Int64Array = by_layout[catalog.layout_of]
    return of_units


def rows_of_chunk(dataset: DatasetSchema, leading: int) -> int:
    """Rows of each chunk, if every so many rows are one chunk; else 1."""
    chunks, shape = dataset.chunks or (1, 1), dataset.shape
    if leading == 1:
        return chunks[0]
    is_plain = chunks[1] == shape[1] or (chunks[0] == 1 and shape[1] % chunks[1] == 0)
    return chunks[0] * chunks[1] if is_plain else 1


def rows_beside(dataset: DatasetSchema, leading: int) -> int:
    """Rows that follow each other and need few chunks: a hint for orders."""
    chunks = dataset.chunks or (1, 1)
    if leading == 1 or chunks[0] == 1:
        return chunks[leading - 1]
    return chunks[0] * dataset.shape[1]


def _rows_in(
    layout: Iterable[DatasetSchema], plan: RowField, rows_in: Callable[[DatasetSchema, int], int]
) -> int:
    dataset = next((dataset for dataset in layout if dataset.path == plan.path), None)
    if dataset is None or not dataset.is_decoded_by_chunk or not dataset.chunks:
        return 1
    if isinstance(plan, BoxField):
        return dataset.chunks[plan.row_axis]
    return rows_in(dataset, plan.leading)
