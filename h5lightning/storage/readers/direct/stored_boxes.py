"""Delivers boxes of values that are stored as they are: from maps of their files, or by system calls."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.core.thread_memory import thread_memory
from h5lightning.storage.files.verified_blocks import DamagedBlockError
from h5lightning.storage.readers.box_pieces import BoxPieces
from h5lightning.storage.readers.box_writer import (
    MOST_BYTES,
    MOST_BYTES_AT_ONCE,
    groups_of_size,
)
from h5lightning.storage.readers.boxes import Boxes
from h5lightning.storage.readers.direct.box_bytes import byte_strides, read_box, run_starts
from h5lightning.storage.readers.direct.box_layout import (
    BoxLayout,
    grid_of,
    mapped_array,
    pieces_in,
    stored_type,
)
from h5lightning.storage.readers.direct.box_verification import damaged_box, verify_boxes
from h5lightning.storage.readers.direct.gather import gather
from h5lightning.storage.readers.direct.open_source import OpenSource

__all__ = ["put_stored"]


def put_stored(layout: BoxLayout, boxes: Boxes, scratch: Callable[[], Bytes]) -> None:
    """Deliver boxes of files of one layout.

    Args:
        layout: the files, whose chunks are not filtered.
        boxes: boxes of them.
        scratch: see `DecodePool.scratch`.

    Raises:
        ChecksumError: a block that holds a box does not match its checksum.
        BadFileError: the system cannot read a file.
        FloatingPointError: a finite value would become infinite in the type of the buffer.
    """
    if layout.is_piece and layout.is_mapped:
        _put_mapped(layout, boxes)
        return
    pieces = pieces_in(layout, boxes)
    if not layout.is_mapped:
        _put_each(layout, boxes, pieces, scratch)
        return
    groups, others = groups_of_size(pieces, layout.grid.chunks)
    for same in map(pieces.part, groups):
        if _may_gather(layout, boxes, same):
            _put_gathered(layout, boxes, same)
        else:
            _put_each(layout, boxes, same, scratch)
    _put_each(layout, boxes, pieces.part(others), scratch)


def _put_mapped(layout: BoxLayout, boxes: Boxes) -> None:
    """Deliver boxes of datasets that lie in one piece, from maps of their files."""
    files = boxes.files
    borders = [*np.flatnonzero(np.diff(files, prepend=-1)).tolist(), len(files)]
    arrays = (
        _piece(layout.source(int(files[first])), boxes, slice(first, stop))
        for first, stop in pairwise(borders)
    )
    boxes.writer.put_boxes(arrays, borders, boxes.starts, boxes.slots)


def _piece(source: OpenSource, boxes: Boxes, part: slice) -> npt.NDArray[Any]:
    """A dataset that lies in one piece; of some boxes of it, all bytes are verified."""
    offset, shape = int(source.chunk_map.offsets[0]), grid_of(source).chunks
    verify_boxes(source, 0, shape, boxes.starts[part], boxes.request.sizes)
    array = mapped_array(source, offset, shape)
    return array[boxes.field] if boxes.field else array


def _may_gather(layout: BoxLayout, boxes: Boxes, pieces: BoxPieces) -> bool:
    """Whether short pieces of one size need not be verified any more."""
    places = np.unique(boxes.files[pieces.boxes]).tolist()
    blocks = [layout.source(place).blocks for place in places]
    itemsize = layout.source(places[0]).chunk_map.itemsize
    is_short = math.prod(pieces.sizes[0].tolist()) * itemsize <= MOST_BYTES
    return is_short and all(one is None or one.is_whole for one in blocks)


def _put_gathered(layout: BoxLayout, boxes: Boxes, pieces: BoxPieces) -> None:
    """Deliver short pieces of one size from maps of their files, many in one call."""
    files, to = boxes.files[pieces.boxes], boxes.writer
    source, chunks, sizes = layout.source(int(files[0])), layout.grid.chunks, tuple(pieces.sizes[0].tolist())
    stored, slots = stored_type(source), boxes.slots[pieces.boxes]
    itemsize = source.chunk_map.itemsize
    runs = run_starts(chunks, itemsize, (0,) * len(sizes), sizes)
    starts = _chunk_addresses(layout, files, pieces.chunks)
    starts += pieces.inside @ np.asarray(byte_strides(chunks, itemsize), np.int64)
    run_bytes = sizes[-1] * itemsize
    step = max(1, MOST_BYTES_AT_ONCE // (len(runs) * run_bytes))
    for first in range(0, len(pieces), step):
        part = slice(first, first + step)
        addresses = (starts[part, None] + runs).ravel()
        memory = thread_memory(len(addresses) * run_bytes)
        gather(addresses, run_bytes, memory)
        values: npt.NDArray[Any] = memory.view(stored).reshape(-1, *sizes)
        to.put_same(values[boxes.field] if boxes.field else values, pieces.part(part), slots[part])


def _chunk_addresses(layout: BoxLayout, files: Int64Array, chunks: Int64Array) -> Int64Array:
    """Where some chunks of mapped files begin in memory, ``(N,)``; the files ascend."""
    starts = np.empty(len(files), np.int64)
    borders = [*np.flatnonzero(np.diff(files, prepend=-1)).tolist(), len(files)]
    for first, stop in pairwise(borders):
        source = layout.source(int(files[first]))
        starts[first:stop] = source.chunk_map.offsets[chunks[first:stop]] + source.base
    return starts


def _put_each(layout: BoxLayout, boxes: Boxes, pieces: BoxPieces, scratch: Callable[[], Bytes]) -> None:
    """Deliver pieces one by one."""
    to = boxes.writer
    columns = (
        boxes.files[pieces.boxes].tolist(),
        boxes.slots[pieces.boxes].tolist(),
        pieces.chunks.tolist(),
        pieces.inside.tolist(),
        pieces.into.tolist(),
        pieces.sizes.tolist(),
    )
    for place, slot, chunk, inside, into, sizes in zip(*columns, strict=True):
        values = _values(layout.source(place), chunk, inside, sizes, scratch)
        to.put_piece(values[boxes.field] if boxes.field else values, slot, into, sizes)


def _values(
    source: OpenSource, chunk: int, inside: list[int], sizes: list[int], scratch: Callable[[], Bytes]
) -> npt.NDArray[Any]:
    """A part of a chunk."""
    offset, chunks = int(source.chunk_map.offsets[chunk]), grid_of(source).chunks
    if source.view is not None:
        if source.blocks is not None:
            verify_boxes(source, chunk, chunks, np.asarray([inside], np.int64), sizes)
        stops = map(int.__add__, inside, sizes)
        return mapped_array(source, offset, chunks)[tuple(map(slice, inside, stops))]
    values: npt.NDArray[Any] = np.empty(sizes, stored_type(source))
    try:
        read_box(source.file, offset, chunks, inside, values, scratch)
    except DamagedBlockError as error:
        raise damaged_box(source, chunk, inside, sizes, error) from error
    return values
