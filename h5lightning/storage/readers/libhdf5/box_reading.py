"""Reads boxes of datasets through h5py: filtered chunks by way of the cache, all else box by box."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.box_checks import (
    boxes_by_column,
    check_box_requests,
    check_boxes,
    check_dataset,
    touched_files,
)
from h5lightning.storage.readers.box_pieces import pieces_of
from h5lightning.storage.readers.box_request import BoxRequest
from h5lightning.storage.readers.boxes import Boxes
from h5lightning.storage.readers.decoded.cached_rows import CachedRows
from h5lightning.storage.readers.decoded.chunk_cache import ChunkRowCache
from h5lightning.storage.readers.decoded.decode_pool import DecodePool
from h5lightning.storage.readers.decoded.decoded_boxes import put_decoded
from h5lightning.storage.readers.libhdf5.dataset_boxes import DatasetBoxes
from h5lightning.storage.readers.libhdf5.open_each import using_datasets
from h5lightning.storage.readers.protocol import DatasetColumn
from h5lightning.storage.readers.series_parts import chosen_parts

__all__ = ["read_boxes"]

CacheOf = Callable[[int, int], ChunkRowCache | None]


def read_boxes(
    pool: HandlePool,
    files: Sequence[str],
    requests: Sequence[BoxRequest],
    *,
    decode_pool: DecodePool,
    cache_of: CacheOf,
) -> None:
    """Fill the buffers of some requests; see `Reader.read_boxes`.

    Args:
        pool: the open files.
        files: paths of files, or `SeriesParts`.
        requests: boxes of them.
        decode_pool: decodes chunks.
        cache_of: the cache of chunk rows, given the rows and the bytes of a row; None if too few of them fit.
    """
    check_box_requests(files[0] if len(files) else "", requests)
    for source, same in boxes_by_column([one for one in requests if len(one.slots)]).items():
        _read(pool, files, source, same, partial(_put, decode_pool, cache_of))


def _read(
    pool: HandlePool,
    files: Sequence[str],
    source: DatasetColumn,
    requests: Sequence[tuple[BoxRequest, str]],
    put: Callable[[DatasetBoxes, Sequence[Boxes]], None],
) -> None:
    """Read boxes of one source."""
    touched = sorted({number for request, _ in requests for number in touched_files(request)})

    def boxes(index: int) -> list[Boxes]:
        parts = [Boxes.of(request.of([touched[index]]), field) for request, field in requests]
        return [part for part in parts if len(part.slots)]

    def use(index: int, stored: DatasetBoxes) -> None:
        parts = boxes(index)
        for part in parts:
            _check(stored, part)
        parts = [part for part in parts if 0 not in part.request.box_shape]
        if parts:
            put(stored, parts)

    def sources(index: int, stored: DatasetBoxes) -> list[str]:
        found = (stored.sources_of_boxes(part.starts, part.request.sizes) for part in boxes(index))
        return list({path: None for paths in found for path in paths})

    using_datasets(pool, chosen_parts(files, touched), source, DatasetBoxes, sources=sources, use=use)


def _check(stored: DatasetBoxes, boxes: Boxes) -> None:
    """Raise unless a dataset has the boxes, which are all of one file."""
    ((column, value_shape),) = stored.columns()
    check_dataset(stored.file, column, boxes.request.source, stored.shape, value_shape)
    shapes = np.asarray(stored.shape or (), np.int64)[None]
    check_boxes(boxes.request.sizes, boxes.starts, shapes, boxes.files, lambda _: (stored.file, column))


def _put(decode_pool: DecodePool, cache_of: CacheOf, stored: DatasetBoxes, boxes: Sequence[Boxes]) -> None:
    """Deliver boxes of one file, which were checked."""
    cache = None if stored.chunk_rows is None else cache_of(stored.chunk_rows, stored.chunk_bytes)
    if cache is None:
        for one in boxes:
            stored.read_boxes(one.starts, one.request.sizes, one.slots, one.request.out)
        return
    counts, chunks = np.asarray(stored.grid.counts, np.int64), stored.grid.chunks
    pieces = [
        pieces_of(one.starts, one.request.sizes, np.broadcast_to(counts, one.starts.shape), chunks)
        for one in boxes
    ]
    cached = CachedRows(cache, [stored], decode_pool)
    put_decoded(cached, np.zeros(1, np.int64), boxes, pieces, stored.elements)
