"""One dataset of which boxes are read, in the open files of a batch."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.errors import BadFileError
from h5lightning.options import Access
from h5lightning.storage.files.raw_files import FileBatch
from h5lightning.storage.readers.box_checks import check_boxes, check_dataset
from h5lightning.storage.readers.box_pieces import BoxPieces, ChunkGrid, pieces_of, whole_pieces
from h5lightning.storage.readers.box_request import BoxRequest, DatasetArray
from h5lightning.storage.readers.checks import name_of
from h5lightning.storage.readers.decoded.cached_rows import CachedRows
from h5lightning.storage.readers.decoded.decode_pool import DecodePool
from h5lightning.storage.readers.direct.batch_parts import PartBatch
from h5lightning.storage.readers.direct.box_bytes import read_box
from h5lightning.storage.readers.direct.box_verification import verify_boxes
from h5lightning.storage.readers.direct.box_writer import BoxWriter
from h5lightning.storage.readers.direct.known_source import KnownSource
from h5lightning.storage.readers.direct.open_source import OpenSource
from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest

__all__ = ["OpenBoxGroup"]


class _Boxes(NamedTuple):
    """Boxes of one request.

    Args:
        request: what is read.
        field: the name of its column in the records that are read; empty if it is no column.
        files: the file of each box, ascending, ``(N,)``.
        starts: the first element of each, ``(N, ndim)``.
        slots: the slot of each, ``(N,)``.
    """

    request: BoxRequest
    field: str
    files: Int64Array
    starts: Int64Array
    slots: Int64Array

    @classmethod
    def of(cls, request: BoxRequest, field: str) -> _Boxes:
        """All boxes of a request."""
        files = np.arange(len(request.borders) - 1).repeat(request.counts)
        return cls(request, field, files, request.starts, request.slots)

    def part(self, which: Any) -> _Boxes:
        """Some of the boxes."""
        return _Boxes(self.request, self.field, self.files[which], self.starts[which], self.slots[which])

    @property
    def writer(self) -> BoxWriter:
        """What writes them into their buffer."""
        return BoxWriter(self.request.out, self.request.source.ndim)


class _Layout(NamedTuple):
    """Files of a batch whose boxes are read in the same way.

    Args:
        grid: of one of them; chunks are the same in all, unless the dataset is one piece.
        is_piece: whether the dataset is stored as it is, in one piece.
        sources: the dataset in each file of the batch; None in files of other layouts.
        is_mapped: whether values are taken from maps of the files.
    """

    grid: ChunkGrid
    is_piece: bool
    sources: list[OpenSource | None]
    is_mapped: bool

    def source(self, place: int) -> OpenSource:
        """The dataset in one of its files, given by its index in the batch."""
        source = self.sources[place]
        if source is None:
            raise LookupError(f"file {place} of the batch has another layout")
        return source


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
        boxes = [_Boxes.of(request, field) for request, field in requests]
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
            self._put(layout, [one for one in same if len(one.slots)])
        return missing

    def _source(self, place: int) -> OpenSource | None:
        """The dataset in one file of the batch; None if only HDF5 can read it."""
        if place not in self._sources:
            known = self._find(place)
            is_mapped = known is not None and known.may_be_mapped and self._memory_map is not False
            mapped = self._batch.mapped(self._memory_map).of(place) if is_mapped else None
            self._sources[place] = None if known is None else OpenSource(known, mapped)
        return self._sources[place]

    def _check(self, boxes: Sequence[_Boxes], sources: dict[int, OpenSource | None]) -> None:
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

    def _layouts(self, sources: dict[int, OpenSource | None]) -> list[_Layout]:
        """The files by the way in which they are read."""
        layouts: dict[Hashable, _Layout] = {}
        for place, source in sources.items():
            if source is None or source.is_empty:
                continue
            grid = _grid(source)
            is_piece = source.filtered is None and grid.count == 1
            chunks = () if is_piece else grid.chunks
            layout = layouts.setdefault(
                (is_piece, chunks, source.layout),
                _Layout(grid, is_piece, [None] * len(self._batch), source.view is not None),
            )
            layout.sources[place] = source
        return list(layouts.values())

    def _put(self, layout: _Layout, boxes: Sequence[_Boxes]) -> None:
        """Deliver boxes of files of one layout."""
        if any(source is not None and source.filtered is not None for source in layout.sources):
            self._put_decoded(layout, boxes)
            return
        for one in boxes:
            if layout.is_piece and layout.is_mapped:
                _put_mapped(layout, one)
            else:
                self._put_stored(layout, one)

    def _put_decoded(self, layout: _Layout, boxes: Sequence[_Boxes]) -> None:
        """Deliver boxes of filtered chunks, by way of the cache of decoded chunks."""
        pieces = [_pieces(layout, one) for one in boxes]
        files = np.concatenate([one.files[piece.boxes] for one, piece in zip(boxes, pieces, strict=True)])
        order = np.argsort(files, kind="stable")
        places = [place for place, source in enumerate(layout.sources) if source is not None]
        decoders = [source.filtered for source in map(layout.source, places) if source.filtered is not None]
        borders = files[order].searchsorted([*places, len(layout.sources)])
        chunks = np.concatenate([piece.chunks for piece in pieces])[order]
        request = ReadRequest(self._column, borders, chunks, order, boxes[0].request.out)
        writer = _DecodedPieces(layout.source(places[0]), layout.grid.chunks, boxes, pieces)
        CachedRows(decoders[0].cache, decoders, self._pool).put(request, writer)

    def _put_stored(self, layout: _Layout, boxes: _Boxes) -> None:
        """Deliver boxes of values that are stored as they are, piece by piece."""
        pieces, to = _pieces(layout, boxes), boxes.writer
        columns = (
            boxes.files[pieces.boxes].tolist(),
            boxes.slots[pieces.boxes].tolist(),
            pieces.chunks.tolist(),
            pieces.inside.tolist(),
            pieces.into.tolist(),
            pieces.sizes.tolist(),
        )
        for place, slot, chunk, inside, into, sizes in zip(*columns, strict=True):
            source = layout.source(place)
            offset, chunks = int(source.chunk_map.offsets[chunk]), _grid(source).chunks
            if layout.is_mapped:
                verify_boxes(source, offset, chunks, np.asarray([inside]), sizes)
                array = _mapped_array(source, offset, chunks)
                stops = map(int.__add__, inside, sizes)
                values = array[tuple(map(slice, inside, stops))]
            else:
                values = np.empty(sizes, _stored_type(source))
                read_box(source.file, offset, chunks, inside, values, self._pool.scratch)
            to.put_piece(values[boxes.field] if boxes.field else values, slot, into, sizes)


class _DecodedPieces:
    """Writes pieces out of decoded chunks; see `TableWriter`.

    Args:
        source: one of the files.
        chunks: shape of a chunk.
        boxes: the boxes of each request.
        pieces: the pieces of each request.
    """

    def __init__(
        self,
        source: OpenSource,
        chunks: tuple[int, ...],
        boxes: Sequence[_Boxes],
        pieces: Sequence[BoxPieces],
    ) -> None:
        self._source, self._chunks, self._boxes, self._pieces = source, chunks, boxes, pieces
        self._borders = np.cumsum([0, *map(len, pieces)])

    def put(self, table: Bytes, pieces: Int64Array, slots: Int64Array) -> None:
        """Write pieces.

        Args:
            table: decoded chunks, ``(any number, chunk bytes)``.
            pieces: the chunk of each piece in the table, ``(N, 1)``.
            slots: the numbers of the pieces over all requests, ``(N,)``.
        """
        order = np.argsort(slots, kind="stable")
        borders = slots[order].searchsorted(self._borders).tolist()
        for number, (one, own) in enumerate(zip(self._boxes, self._pieces, strict=True)):
            part = order[borders[number] : borders[number + 1]]
            if len(part):
                which = slots[part] - self._borders[number]
                some = own.part(which)
                array = self._elements(table, one.field)
                one.writer.put_pieces(array, pieces[part, 0], some, one.slots[some.boxes])

    def _elements(self, table: Bytes, field: str) -> npt.NDArray[Any]:
        """The elements of all chunks of a table, ``(any number, *chunks, *element_shape)``."""
        packed = None if self._source.table is None else self._source.table.packed
        if packed is None:
            return table.view(self._source.dtype).reshape(len(table), *self._chunks)
        values: npt.NDArray[Any] = table.view(packed)[:, 0][field]
        return values.reshape(len(table), *self._chunks, *values.shape[2:])


def _put_mapped(layout: _Layout, boxes: _Boxes) -> None:
    """Deliver boxes of datasets that lie in one piece, from maps of their files."""
    to, files = boxes.writer, boxes.files
    borders = [*np.flatnonzero(np.diff(files, prepend=-1)).tolist(), len(files)]
    for first, stop in pairwise(borders):
        source = layout.source(int(files[first]))
        offset, shape = int(source.chunk_map.offsets[0]), _grid(source).chunks
        starts = boxes.starts[first:stop]
        verify_boxes(source, offset, shape, starts, boxes.request.sizes)
        array = _mapped_array(source, offset, shape)
        to.put_boxes(array[boxes.field] if boxes.field else array, starts, boxes.slots[first:stop])


def _pieces(layout: _Layout, boxes: _Boxes) -> BoxPieces:
    """The pieces of boxes of files of one layout."""
    if layout.is_piece:
        return whole_pieces(boxes.starts, boxes.request.sizes)
    counts = [(0,) * len(layout.grid.shape) if one is None else _grid(one).counts for one in layout.sources]
    by_file = np.asarray(counts, np.int64).reshape(len(counts), len(layout.grid.shape))
    return pieces_of(boxes.starts, boxes.request.sizes, by_file[boxes.files], layout.grid.chunks)


def _grid(source: OpenSource) -> ChunkGrid:
    grid = source.chunk_map.grid
    if grid is None:
        raise LookupError(f"{name_of(source.raw.path, source.source)} was opened to read rows")
    return grid


def _checked_shape(source: OpenSource, expected: DatasetArray, field: str) -> tuple[int, ...]:
    """The shape of a dataset, which has the axes that were scanned, and all its chunks."""
    grid = _grid(source)
    columns = source.columns()
    column, value_shape = columns[int(field)] if field else columns[0]
    check_dataset(source.raw.path, column, expected, grid.shape, value_shape)
    if not source.is_empty and len(source.chunk_map.offsets) != grid.count:
        raise BadFileError(
            f"{name_of(source.raw.path, column)}: the index has {len(source.chunk_map.offsets)} chunks, expected "
            f"{grid.count}: it was damaged. Start again, which compares the index with its digest"
        )
    return grid.shape


def _stored_type(source: OpenSource) -> np.dtype[Any]:
    """Type of an element as it lies in the file."""
    return source.dtype if source.table is None else source.table.record


def _mapped_array(source: OpenSource, offset: int, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """An array that lies in the map of a file, which it holds."""
    array: npt.NDArray[Any] = np.ndarray(shape, _stored_type(source), source.view, offset)
    return array
