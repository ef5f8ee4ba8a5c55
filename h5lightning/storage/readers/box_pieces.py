"""Divides boxes into the pieces that lie in one chunk each: pure arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.boxes import boxes_along

__all__ = ["BoxPieces", "ChunkGrid", "pieces_of", "whole_pieces"]


@dataclass(frozen=True, slots=True)
class ChunkGrid:
    """The chunks of a dataset.

    Args:
        shape: shape of the dataset.
        chunks: shape of a chunk; those at the end of an axis may reach past it.

    Attributes:
        counts: chunks along each axis.
        count: all chunks.
    """

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    counts: tuple[int, ...] = field(init=False, repr=False, compare=False)
    count: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        is_empty = 0 in self.shape
        counts = (0,) * len(self.shape) if is_empty else boxes_along(self.shape, self.chunks)
        object.__setattr__(self, "counts", counts)
        object.__setattr__(self, "count", math.prod(counts))

    @property
    def chunk_size(self) -> int:
        """Elements of a chunk."""
        return math.prod(self.chunks)

    def origin(self, number: int) -> tuple[int, ...]:
        """Coordinates of the first element of a chunk, given by its number in the grid."""
        if not self.shape:
            return ()
        origin: tuple[int, ...] = tuple(
            np.multiply(np.unravel_index(number, self.counts), self.chunks).tolist()
        )
        return origin


class BoxPieces(NamedTuple):
    """The pieces of some boxes.

    Args:
        boxes: the box of each piece, ascending, ``(pieces,)``.
        chunks: the number of its chunk in the grid of the dataset, ``(pieces,)``.
        inside: its first element in the chunk, ``(pieces, ndim)``.
        into: its first element in the box, ``(pieces, ndim)``.
        sizes: its elements along each axis, ``(pieces, ndim)``.
    """

    boxes: Int64Array
    chunks: Int64Array
    inside: Int64Array
    into: Int64Array
    sizes: Int64Array

    def __len__(self) -> int:
        return len(self.boxes)

    def part(self, which: Int64Array | slice) -> BoxPieces:
        """Some of the pieces."""
        return BoxPieces(*(column[which] for column in self))


def whole_pieces(starts: Int64Array, sizes: tuple[int, ...]) -> BoxPieces:
    """The pieces of some boxes of datasets that lie in one piece: the boxes themselves."""
    boxes = np.arange(len(starts))
    of_each = np.broadcast_to(np.asarray(sizes, np.int64), starts.shape)
    return BoxPieces(boxes, np.zeros_like(boxes), starts, np.zeros_like(starts), of_each)


def pieces_of(
    starts: Int64Array, sizes: tuple[int, ...], counts: Int64Array, chunks: tuple[int, ...]
) -> BoxPieces:
    """The pieces of some boxes.

    Args:
        starts: the first element of each box, which lies inside of its dataset, ``(N, ndim)``.
        sizes: elements of a box along each axis, none of them 0.
        counts: chunks along each axis of the dataset of each box, ``(N, ndim)``.
        chunks: shape of a chunk.

    Example:
        >>> pieces = pieces_of(np.array([[2]]), (3,), np.array([[2]]), (4,))
        >>> pieces.chunks.tolist(), pieces.inside.tolist(), pieces.into.tolist(), pieces.sizes.tolist()
        ([0, 1], [[2], [0]], [[0], [2]], [[2], [1]])
    """
    stops = starts + np.asarray(sizes, np.int64)
    height = np.asarray(chunks, np.int64)
    first = starts // height
    touched = (stops - 1) // height - first + 1
    of_each = touched.prod(axis=1)
    boxes = np.arange(len(starts)).repeat(of_each)
    within = np.arange(len(boxes)) - (of_each.cumsum() - of_each).repeat(of_each)
    place = np.empty((len(boxes), len(sizes)), np.int64)
    for axis in reversed(range(len(sizes))):
        within, place[:, axis] = np.divmod(within, touched[boxes, axis])
    place += first[boxes]
    origins = place * height
    begins = np.maximum(starts[boxes], origins)
    ends = np.minimum(stops[boxes], origins + height)
    numbers = np.zeros(len(boxes), np.int64)
    for axis in range(len(sizes)):
        numbers = numbers * counts[boxes, axis] + place[:, axis]
    return BoxPieces(boxes, numbers, begins - origins, begins - starts[boxes], ends - begins)
