"""One dataset of which boxes are read, in the open files of a batch."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Bytes
from h5lightning.errors import BadFileError
from h5lightning.options import Access
from h5lightning.storage.files.raw_files import FileBatch
from h5lightning.storage.readers.box_checks import check_boxes, check_dataset
from h5lightning.storage.readers.box_request import BoxRequest, DatasetArray
from h5lightning.storage.readers.boxes import Boxes
from h5lightning.storage.readers.checks import name_of
from h5lightning.storage.readers.decoded.cached_rows import CachedRows
from h5lightning.storage.readers.decoded.decode_pool import DecodePool
from h5lightning.storage.readers.decoded.decoded_boxes import put_decoded
from h5lightning.storage.readers.direct.batch_parts import PartBatch
from h5lightning.storage.readers.direct.box_layout import BoxLayout, grid_of, pieces_in
from h5lightning.storage.readers.direct.known_source import KnownSource
from h5lightning.storage.readers.direct.open_source import OpenSource
from h5lightning.storage.readers.direct.stored_boxes import put_stored
from h5lightning.storage.readers.protocol import DatasetColumn

__all__ = ["OpenBoxGroup"]


class OpenBoxGroup:
    """One dataset, or columns of it, in the files of a batch.

    Args:
        batch: the files, or their parts.
        column: what is read, with the columns of all requests.
        find: finds it in a file, given by its index in the batch; None if only HDF5 can read it there.
        access: whether files are mapped and verified.
        pool: caches decoded chunks.
    """

    def __init__(
        self,
        batch: FileBatch | PartBatch,
        column: DatasetColumn,
        find: Callable[[int], KnownSource | None],
        *,
        access: Access,
        pool: DecodePool,
    ) -> None:
        self._batch, self._column, self._find = batch, column, find
        self._memory_map, self._pool = access.memory_map, pool
        self._sources: dict[int, OpenSource | None] = {}

    def put_all(self, requests: Sequence[tuple[BoxRequest, str]]) -> list[int]:
        """Deliver the boxes of several requests; each chunk is decoded once for all of them.

        Args:
            requests: the requests, each with the name of its column among those of the source; empty if it is none.

        Returns:
            The files that only HDF5 can read, ascending, by their index in the batch.
        """
        boxes = [Boxes.of(request, field) for request, field in requests]
        touched = np.unique(np.concatenate([one.files for one in boxes])).tolist()
        sources = {place: self._source(place) for place in touched}
        missing = [place for place, source in sources.items() if source is None]
        if missing:
            boxes = [one.part(~np.isin(one.files, missing)) for one in boxes]
        self._check(boxes, sources)
        boxes = [one for one in boxes if len(one.slots) and 0 not in one.request.box_shape]
        if not boxes:
            return missing
        layouts = self._layouts(sources)
        for layout in layouts:
            same = boxes
            if len(layouts) > 1:
                is_same = np.asarray([source is not None for source in layout.sources])
                same = [one.part(is_same[one.files]) for one in boxes]
            if filled := [one for one in same if len(one.slots)]:
                self._put(layout, filled)
        return missing

    def _source(self, place: int) -> OpenSource | None:
        """The dataset in one file of the batch; None if only HDF5 can read it."""
        if place not in self._sources:
            known = self._find(place)
            is_mapped = known is not None and known.may_be_mapped and self._memory_map is not False
            mapped = self._batch.mapped(self._memory_map).of(place) if is_mapped else None
            self._sources[place] = None if known is None else OpenSource(known, mapped)
        return self._sources[place]

    def _check(self, boxes: Sequence[Boxes], sources: dict[int, OpenSource | None]) -> None:
        """Raise unless all boxes lie inside of their datasets."""
        for one in boxes:
            request, ndim = one.request, one.request.source.ndim
            shapes = np.zeros((len(self._batch), ndim), np.int64)
            for place in np.unique(one.files).tolist():
                source = sources[place]
                if source is not None:
                    shapes[place] = _checked_shape(source, request.source, one.field)

            def name(place: int) -> tuple[str, DatasetColumn]:
                source = sources[place]
                return ("", self._column) if source is None else (source.raw.path, source.source)

            check_boxes(request.sizes, one.starts, shapes, one.files, name)

    def _layouts(self, sources: dict[int, OpenSource | None]) -> list[BoxLayout]:
        """The files by the way in which they are read."""
        layouts: dict[Hashable, BoxLayout] = {}
        for place, source in sources.items():
            if source is None or source.is_empty:
                continue
            grid = grid_of(source)
            is_piece = source.filtered is None and grid.count == 1
            chunks = () if is_piece else grid.chunks
            layout = layouts.setdefault(
                (is_piece, chunks, source.layout),
                BoxLayout(grid, is_piece, [None] * len(self._batch), source.view is not None),
            )
            layout.sources[place] = source
        return list(layouts.values())

    def _put(self, layout: BoxLayout, boxes: Sequence[Boxes]) -> None:
        """Deliver boxes of files of one layout."""
        if any(source is not None and source.filtered is not None for source in layout.sources):
            self._put_decoded(layout, boxes)
            return
        for one in boxes:
            put_stored(layout, one, self._pool.scratch)

    def _put_decoded(self, layout: BoxLayout, boxes: Sequence[Boxes]) -> None:
        """Deliver boxes of filtered chunks, by way of the cache of decoded chunks."""
        places = [place for place, source in enumerate(layout.sources) if source is not None]
        sources = [layout.source(place) for place in places]
        decoders = [source.filtered for source in sources if source.filtered is not None]
        put_decoded(
            CachedRows(decoders[0].cache, decoders, self._pool),
            np.asarray(places),
            boxes,
            [pieces_in(layout, one) for one in boxes],
            partial(_decoded_elements, sources[0], layout.grid.chunks),
        )


def _decoded_elements(
    source: OpenSource, chunks: tuple[int, ...], table: Bytes, field: str
) -> npt.NDArray[Any]:
    """The elements of decoded chunks, ``(any number, *chunks, *element_shape)``."""
    if source.table is None:
        return table.view(source.dtype).reshape(len(table), *chunks)
    values: npt.NDArray[Any] = table.view(source.table.packed)[:, 0][field]
    return values.reshape(len(table), *chunks, *values.shape[2:])


def _checked_shape(source: OpenSource, expected: DatasetArray, field: str) -> tuple[int, ...]:
    """The shape of a dataset, which has the axes that were scanned, and all its chunks."""
    grid = grid_of(source)
    columns = source.columns()
    column, value_shape = columns[int(field)] if field else columns[0]
    check_dataset(source.raw.path, column, expected, grid.shape, value_shape)
    if not source.is_empty and len(source.chunk_map.offsets) != grid.count:
        raise BadFileError(
            f"{name_of(source.raw.path, column)}: the index has {len(source.chunk_map.offsets)} chunks, expected "
            f"{grid.count}: it was damaged. Start again, which compares the index with its digest"
        )
    return grid.shape
