"""Checks of boxes: that they lie inside of their datasets, and that their buffers fit; the same from every reader."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import pairwise

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import FileChangedError
from h5lightning.storage.readers.box_request import BoxRequest, DatasetArray
from h5lightning.storage.readers.checks import name_of
from h5lightning.storage.readers.protocol import DatasetColumn
from h5lightning.storage.readers.records import RecordColumns
from h5lightning.storage.readers.row_writer import checked_slots

__all__ = [
    "boxes_by_column",
    "boxes_by_source",
    "check_box_requests",
    "check_boxes",
    "check_dataset",
    "column_of",
    "touched_files",
]


def column_of(source: DatasetArray) -> DatasetColumn:
    """The source as readers look it up: none of its axes makes rows."""
    return DatasetColumn(source.path, source.member, source.dtype, source.element_shape, leading=0)


def check_box_requests(file: str, requests: Sequence[BoxRequest]) -> None:
    """Raise unless the arrays of some requests fit each other; ``file`` is named in errors.

    Raises:
        ValueError: a buffer whose entries are no boxes of the request, or boxes of another number of axes.
        IndexError: a slot outside of its buffer.
    """
    for request in requests:
        source, ndim = request.source, request.source.ndim
        if len(request.sizes) != ndim or request.starts.shape != (len(request.slots), ndim):
            raise ValueError(
                f"'/{source.path}' in {file} has {ndim} axes, but the boxes have starts {request.starts.shape} and "
                f"sizes {request.sizes}"
            )
        if request.out.shape[1:] != request.box_shape:
            # NumPy would broadcast the values to fit.
            raise ValueError(
                f"'/{source.path}' in {file} needs a buffer for boxes {request.box_shape}, found "
                f"{request.out.shape[1:]}"
            )
        if len(request.slots):
            checked_slots(request.slots, request.out)


def check_dataset(
    file: str,
    source: DatasetColumn,
    expected: DatasetArray,
    shape: tuple[int, ...] | None,
    value_shape: tuple[int, ...],
) -> None:
    """Raise unless a dataset has the axes that were scanned.

    Args:
        file: path of the file.
        source: names the dataset in errors.
        expected: what was scanned.
        shape: shape of the dataset; None if it holds no values.
        value_shape: shape of one value: that of an array in a column, else ``()``.

    Raises:
        FileChangedError: it has other axes, no values, or values of another shape.
    """
    if shape is None or len(shape) != expected.ndim or value_shape != expected.element_shape:
        found = f"{shape}{f' of arrays {value_shape}' if value_shape else ''}"
        arrays = f" of arrays {expected.element_shape}" if expected.element_shape else ""
        raise FileChangedError(
            f"{name_of(file, source)} has shape {found}, expected {expected.ndim} axes{arrays} as it was scanned: the "
            "file was replaced. Start again, which scans the files that changed"
        )


def check_boxes(
    sizes: tuple[int, ...],
    starts: Int64Array,
    shapes: Int64Array,
    files: Int64Array,
    name: Callable[[int], tuple[str, DatasetColumn]],
) -> None:
    """Raise unless all boxes lie inside of their datasets.

    Args:
        sizes: elements of a box along each axis.
        starts: the first element of each box, ``(N, ndim)``.
        shapes: shape of the dataset in each file, ``(files, ndim)``.
        files: the file of each box, ``(N,)``.
        name: the path of a file, given by its number, and its dataset; for errors.

    Raises:
        IndexError: a box begins before the first element.
        FileChangedError: a box reaches past the end of the dataset.
    """
    room = shapes - np.asarray(sizes, np.int64)
    is_outside = (starts < 0) | (starts > room[files])
    if not is_outside.any():
        return
    # A negative start is an error of the caller, whatever the file holds.
    is_negative = (starts < 0).any(axis=1)
    box = int(np.flatnonzero(is_negative if is_negative.any() else is_outside.any(axis=1))[0])
    start, shape = tuple(starts[box].tolist()), tuple(shapes[files[box]].tolist())
    text = f"{name_of(*name(int(files[box])))} has shape {shape}, but the box of shape {sizes} at {start} is requested"
    if min(start) < 0:
        raise IndexError(text)
    raise FileChangedError(
        f"{text}: the file is not the one that was scanned. Start again, which scans the files that changed"
    )


def touched_files(request: BoxRequest) -> list[int]:
    """The files of which a request has boxes, ascending."""
    return [number for number, (start, stop) in enumerate(pairwise(request.borders.tolist())) if start < stop]


def boxes_by_source(
    requests: Sequence[BoxRequest], separate: Collection[DatasetColumn] = ()
) -> dict[DatasetColumn, list[tuple[BoxRequest, str]]]:
    """The requests for each dataset: those for columns of one table are read together.

    Args:
        requests: for any sources.
        separate: columns that are not read with the others of their table.

    Returns:
        The requests for each source, each with the name of its column among those of the source, or an empty one.
    """
    groups: dict[object, list[BoxRequest]] = {}
    for request in requests:
        column = column_of(request.source)
        alone = column.member is None or column in separate
        groups.setdefault(column if alone else column.path, []).append(request)
    by_source: dict[DatasetColumn, list[tuple[BoxRequest, str]]] = {}
    for same in groups.values():
        columns = list(dict.fromkeys(column_of(request.source) for request in same))
        if columns[0].member is None:
            by_source[columns[0]] = [(request, "") for request in same]
        else:
            names = [str(columns.index(column_of(request.source))) for request in same]
            by_source[RecordColumns.of(columns)] = list(zip(same, names, strict=True))
    return by_source


def boxes_by_column(requests: Sequence[BoxRequest]) -> dict[DatasetColumn, list[tuple[BoxRequest, str]]]:
    """As `boxes_by_source`, but each column of a table is read by itself."""
    return boxes_by_source(requests, separate=[column_of(request.source) for request in requests])
