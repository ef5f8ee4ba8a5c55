"""Verifies what a mapped file holds of some boxes, before a byte of it is delivered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import ChecksumError
from h5lightning.storage.files.verified_blocks import DamagedBlockError
from h5lightning.storage.readers.checks import name_of
from h5lightning.storage.readers.direct.box_bytes import byte_strides, run_starts
from h5lightning.storage.readers.direct.open_source import OpenSource

__all__ = ["damaged_box", "verify_boxes"]


def verify_boxes(
    source: OpenSource, chunk: int, shape: tuple[int, ...], starts: Int64Array, sizes: Sequence[int]
) -> None:
    """Verify the blocks that hold some boxes of a chunk, unless they were verified before.

    Args:
        source: the dataset; nothing is verified unless its file has checksums and is mapped.
        chunk: the number of the chunk.
        shape: its shape.
        starts: the first element of each box in it, ``(N, ndim)``.
        sizes: elements of a box along each axis.

    Raises:
        ChecksumError: a block does not match its checksum.
    """
    blocks, view, itemsize = source.blocks, source.view, source.chunk_map.itemsize
    if blocks is None or view is None or blocks.is_whole:
        return
    size = (sizes[-1] if len(sizes) else 1) * itemsize
    within = run_starts(shape, itemsize, (0,) * len(shape), sizes)
    begins = source.chunk_map.offsets[chunk] + starts @ np.asarray(byte_strides(shape, itemsize), np.int64)
    runs = begins[:, None] + within
    try:
        blocks.check_in(view, runs.ravel(), size)
    except DamagedBlockError as error:
        is_damaged = ((runs < error.stop) & (runs + size > error.start)).any(axis=1)
        raise damaged_box(source, chunk, starts[int(np.argmax(is_damaged))].tolist(), sizes, error) from error


def damaged_box(
    source: OpenSource, chunk: int, start: Sequence[int], sizes: Sequence[int], error: DamagedBlockError
) -> ChecksumError:
    """The error that names a box that begins somewhere in a chunk."""
    first = tuple(map(int.__add__, source.chunk_map.origin(chunk), start))
    where = name_of(error.path, source.source)
    return error.of(f"{where}: the box of shape {tuple(sizes)} at {first}")
