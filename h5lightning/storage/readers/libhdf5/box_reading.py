"""Reads boxes of datasets through h5py."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.box_checks import (
    check_box_requests,
    check_boxes,
    check_dataset,
    column_of,
    touched_files,
)
from h5lightning.storage.readers.box_request import BoxRequest
from h5lightning.storage.readers.libhdf5.dataset_boxes import DatasetBoxes
from h5lightning.storage.readers.libhdf5.open_each import using_datasets
from h5lightning.storage.readers.records import together
from h5lightning.storage.readers.series_parts import chosen_parts

__all__ = ["read_boxes"]


def read_boxes(pool: HandlePool, files: Sequence[str], requests: Sequence[BoxRequest]) -> None:
    """Fill the buffers of some requests; see `Reader.read_boxes`."""
    check_box_requests(files[0] if len(files) else "", requests)
    for request in requests:
        if len(request.slots):
            _read(pool, files, request)


def _read(pool: HandlePool, files: Sequence[str], request: BoxRequest) -> None:
    touched = touched_files(request)
    borders = request.borders.tolist()

    def boxes(index: int) -> slice:
        return slice(*borders[touched[index] : touched[index] + 2])

    def use(index: int, stored: DatasetBoxes) -> None:
        check_dataset(stored.file, stored.source, request.source, stored.shape, stored.value_shape)
        part = boxes(index)
        starts = request.starts[part]
        shapes = np.asarray(stored.shape or (), np.int64)[None]
        first = np.zeros(len(starts), np.int64)
        check_boxes(request.sizes, starts, shapes, first, lambda _: (stored.file, stored.source))
        if 0 not in request.box_shape:
            stored.read_boxes(starts, request.sizes, request.slots[part], request.out)

    def sources(index: int, stored: DatasetBoxes) -> list[str]:
        return stored.sources_of_boxes(request.starts[boxes(index)], request.sizes)

    source = together(column_of(request.source))
    using_datasets(pool, chosen_parts(files, touched), source, DatasetBoxes, sources=sources, use=use)
