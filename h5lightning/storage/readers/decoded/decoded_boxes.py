"""Delivers boxes by way of the cache of decoded chunks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.storage.readers.box_checks import column_of
from h5lightning.storage.readers.box_pieces import BoxPieces
from h5lightning.storage.readers.boxes import Boxes
from h5lightning.storage.readers.decoded.cached_rows import CachedRows
from h5lightning.storage.readers.protocol import ReadRequest

__all__ = ["put_decoded"]

# The elements of decoded chunks, ``(any number, *chunks, *element_shape)``, given their bytes, ``(any number, chunk
# bytes)``, and the name of a column, which is empty if they hold no columns.
Elements: TypeAlias = Callable[[Bytes, str], npt.NDArray[Any]]


def put_decoded(
    cached: CachedRows,
    places: Int64Array,
    boxes: Sequence[Boxes],
    pieces: Sequence[BoxPieces],
    elements: Elements,
) -> None:
    """Deliver boxes of several requests; each chunk is decoded once for all of them.

    Args:
        cached: the chunks of the files; each is one row.
        places: the number of each of these files, ascending, ``(files,)``.
        boxes: the boxes of each request, all of them of these files.
        pieces: the pieces of each request.
        elements: what decoded chunks hold.

    Raises:
        BadFileError: a chunk cannot be read or decoded.
        FloatingPointError: a finite value would become infinite in the type of its buffer.
    """
    files = np.concatenate([one.files[piece.boxes] for one, piece in zip(boxes, pieces, strict=True)])
    order = np.argsort(files, kind="stable")
    borders = np.append(files[order].searchsorted(places), len(files))
    chunks = np.concatenate([piece.chunks for piece in pieces])[order]
    first = boxes[0].request
    request = ReadRequest(column_of(first.source), borders, chunks, order, first.out)
    cached.put(request, _DecodedPieces(boxes, pieces, elements))


class _DecodedPieces:
    """Writes pieces out of decoded chunks; see `TableWriter`.

    Args:
        boxes: the boxes of each request.
        pieces: the pieces of each request.
        elements: what decoded chunks hold.
    """

    def __init__(self, boxes: Sequence[Boxes], pieces: Sequence[BoxPieces], elements: Elements) -> None:
        self._boxes, self._pieces, self._elements = boxes, pieces, elements
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
                some = own.part(slots[part] - self._borders[number])
                array = self._elements(table, one.field)
                one.writer.put_pieces(array, pieces[part, 0], some, one.slots[some.boxes])
