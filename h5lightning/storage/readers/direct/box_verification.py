"""Verifies what a mapped file holds of some boxes, before a byte of it is delivered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.storage.files.verified_blocks import DamagedBlockError
from h5lightning.storage.readers.checks import name_of
from h5lightning.storage.readers.direct.box_bytes import byte_strides, run_starts
from h5lightning.storage.readers.direct.open_source import OpenSource

__all__ = ["verify_boxes"]


def verify_boxes(
    source: OpenSource, offset: int, shape: tuple[int, ...], starts: Int64Array, sizes: Sequence[int]
) -> None:
    """Verify the blocks that hold some boxes, unless they were verified before.

    Args:
        source: the dataset; nothing is verified unless its file has checksums and is mapped.
        offset: where the array begins in the file.
        shape: its shape.
        starts: the first element of each box, ``(N, ndim)``.
        sizes: elements of a box along each axis.

    Raises:
        ChecksumError: a block does not match its checksum.
    """
    blocks, view, itemsize = source.blocks, source.view, source.chunk_map.itemsize
    if blocks is None or view is None or blocks.is_whole:
        return
    size = (sizes[-1] if len(sizes) else 1) * itemsize
    within = run_starts(shape, itemsize, (0,) * len(shape), sizes)
    runs = offset + (starts @ np.asarray(byte_strides(shape, itemsize), np.int64))[:, None] + within
    try:
        blocks.check_in(view, runs.ravel(), size)
    except DamagedBlockError as error:
        is_damaged = ((runs < error.stop) & (runs + size > error.start)).any(axis=1)
        box = tuple(starts[int(np.argmax(is_damaged))].tolist())
        where = name_of(error.path, source.source)
        raise error.of(f"{where}: the box of shape {tuple(sizes)} at {box}") from error
