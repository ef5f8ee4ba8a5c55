"""How many rows of a field are decoded together, in each unit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.planning.box_field import BoxField
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.planning.fields import RowField
from h5lightning.planning.sampling.tiles import BoxChunks

__all__ = ["box_chunks", "chunk_rows", "rows_beside", "rows_of_chunk"]


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


def box_chunks(catalog: Catalog, plans: Iterable[RowField]) -> BoxChunks | None:
    """The chunks that windows along several axes are read from; None if there are none, or none must be decoded."""
    boxes = [plan for plan in plans if isinstance(plan, BoxField) and plan.other_axes]
    by_layout = [_chunk_of_boxes(layout, boxes) for layout in catalog.layouts]
    axes = max((len(shape) for shape, _ in by_layout), default=0)
    if not axes:
        return None
    # Where a unit stores no chunks, nothing is decoded: as small as chunks can be.
    shapes = np.asarray([shape or (1,) * axes for shape, _ in by_layout], np.int64)
    nbytes = np.asarray([size for _, size in by_layout], np.int64)
    return BoxChunks(shapes[catalog.layout_of], nbytes[catalog.layout_of])


def _chunk_of_boxes(
    layout: Iterable[DatasetSchema], boxes: Iterable[BoxField]
) -> tuple[tuple[int, ...], int]:
    """The largest chunk along the axes of windows, and its decoded bytes over all fields; empty if none is decoded."""
    datasets = {dataset.path: dataset for dataset in layout if dataset.is_decoded_by_chunk and dataset.chunks}
    found = {}
    for box in boxes:
        dataset = datasets.get(box.path)
        if dataset is not None and dataset.chunks:
            axes = box.row_numbers.axes
            # All chunks side by side along the other axes, such as those of channels.
            beside = (
                -(-max(1, box.sizes[axis]) // length) * length
                for axis, length in enumerate(dataset.chunks)
                if axis not in box.row_numbers.free_axes
            )
            entry_bytes = math.prod(beside) * dataset.itemsize
            found[box.path] = tuple(dataset.chunks[axis] for axis in axes), entry_bytes
    if not found:
        return (), 0
    shape, _ = max(found.values(), key=lambda one: math.prod(one[0]) * one[1])
    return shape, math.prod(shape) * sum(size for _, size in found.values())
