"""Files of a batch whose boxes are read in the same way, and the pieces of these boxes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from h5lightning.storage.readers.box_pieces import BoxPieces, ChunkGrid, pieces_of, whole_pieces
from h5lightning.storage.readers.boxes import Boxes
from h5lightning.storage.readers.checks import name_of
from h5lightning.storage.readers.direct.open_source import OpenSource

__all__ = ["BoxLayout", "grid_of", "mapped_array", "pieces_in", "stored_type"]


class BoxLayout(NamedTuple):
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


def pieces_in(layout: BoxLayout, boxes: Boxes) -> BoxPieces:
    """The pieces of boxes of files of one layout."""
    if layout.is_piece:
        return whole_pieces(boxes.starts, boxes.request.sizes)
    counts = [(0,) * len(layout.grid.shape) if one is None else grid_of(one).counts for one in layout.sources]
    by_file = np.asarray(counts, np.int64).reshape(len(counts), len(layout.grid.shape))
    return pieces_of(boxes.starts, boxes.request.sizes, by_file[boxes.files], layout.grid.chunks)


def grid_of(source: OpenSource) -> ChunkGrid:
    """The chunks of a dataset of which boxes are read."""
    grid = source.chunk_map.grid
    if grid is None:
        raise LookupError(f"{name_of(source.raw.path, source.source)} was opened to read rows")
    return grid


def stored_type(source: OpenSource) -> np.dtype[Any]:
    """Type of an element as it lies in the file."""
    return source.dtype if source.table is None else source.table.record


def mapped_array(source: OpenSource, offset: int, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """An array that lies in the map of a file, which it holds."""
    array: npt.NDArray[Any] = np.ndarray(shape, stored_type(source), source.view, offset)
    return array
