"""One pass over the rows of some fields: how they are divided, and what reads them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TypeVar

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.process_local import usable_cores
from h5lightning.core.progress import progress_bar
from h5lightning.loading.passes.block_reader import BlockReader
from h5lightning.loading.passes.run_pass import PieceWork, run_pass
from h5lightning.options import Access
from h5lightning.planning.box_field import BoxField
from h5lightning.planning.fields import FieldPlan, RowField, single_plans
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.passes.row_blocks import Piece, RowBlocks
from h5lightning.planning.passes.rows_of_field import is_by_entry
from h5lightning.planning.sampling.chunk_rows import box_chunks, chunk_rows, rows_of_chunk
from h5lightning.planning.selection import Selection
from h5lightning.storage.data_survey import DataSurvey
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.make_reader import make_reader

__all__ = ["PassOptions", "RowPass"]

W = TypeVar("W", bound=PieceWork)

_MIB = 1024 * 1024
_PIECE_BYTES = 32 * _MIB
_BLOCK_BYTES = 4 * _MIB
_MEMORY_BYTES = 256 * _MIB
_TILE_BYTES = 32 * _MIB
_LEAST_CACHE_BYTES = 16 * _MIB


@dataclass(frozen=True, slots=True)
class PassOptions:
    """How rows are read.

    Args:
        access: how files are opened.
        reader: ``auto``, ``direct`` or ``h5py``.
        threads: threads that read, at most; None for one on each core.
        in_tiles: whether rows of windows along several axes may come in tiles, each with a part of all entries.
    """

    access: Access
    reader: str = "auto"
    threads: int | None = None
    in_tiles: bool = False


class RowPass:
    """Reads rows of some fields together, each once; a context manager that closes its files.

    Args:
        survey: the files.
        index: of rows, see `rows_index`.
        selection: the rows to read, by their ids in the index; None for all.
        plans: the fields, as training has them.
        options: how they are read.

    Attributes:
        reader: reads blocks of rows.
    """

    def __init__(
        self,
        survey: DataSurvey,
        index: SampleIndex,
        selection: Selection | None,
        plans: Sequence[FieldPlan],
        options: PassOptions,
    ) -> None:
        access = options.access
        self._index = index
        self._blocks, block_bytes = _row_blocks(survey, index, selection, plans)
        others, tiles = survey.fields.other_lengths if _has_other_axes(plans) else None, None
        if others is not None and options.in_tiles:
            tiles = _tiles(survey, plans, others, self._blocks)
            block_bytes = min(block_bytes, _TILE_BYTES)
        most = max(1, _MEMORY_BYTES // (2 * block_bytes))
        self._threads = min(options.threads or usable_cores(), most)
        # As much as is decoded at the same time: memory that was used a moment ago is faster.
        cache_bytes = min(access.cache_bytes, max(_LEAST_CACHE_BYTES, 3 * self._threads * block_bytes))
        pool = HandlePool(replace(access, cache_bytes=cache_bytes), scanned_files=survey.scanned_files)
        self._reader = make_reader(options.reader, pool)
        self.reader = BlockReader(
            index, plans, self._reader, cache_bytes=cache_bytes, other_lengths=others, tiles=tiles
        )

    def run(
        self, begin: Callable[[Piece], W], files: Int64Array | None = None, *, progress: str | None = None
    ) -> Iterator[tuple[Piece, W]]:
        """Read all selected rows; see `run_pass`.

        Args:
            begin: makes what takes the rows of a piece, which one thread uses.
            files: numbers of the files to read, ascending; None for all that have rows.
            progress: says what is done beside a progress bar on a terminal; None for no bar.
        """
        if files is None:
            files = np.flatnonzero(self._index.file_rows)
        pieces = self._blocks.pieces(files)
        total = sum(piece.stop - piece.start for piece in pieces)
        with progress_bar(progress or "", total, is_enabled=progress is not None) as advance:
            for piece, made in run_pass(self._blocks, self.reader, pieces, begin, threads=self._threads):
                advance(piece.stop - piece.start)
                yield piece, made

    def __enter__(self) -> RowPass:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._reader.close()


def _row_blocks(
    survey: DataSurvey, index: SampleIndex, selection: Selection | None, plans: Sequence[FieldPlan]
) -> tuple[RowBlocks, int]:
    """How the rows of some fields are divided, and the bytes of a block, at most.

    Args:
        survey: the files.
        index: of rows.
        selection: the rows to read; None for all.
        plans: the fields, which are read together.
    """
    singles = single_plans(plans)
    rows = [part for part in singles if isinstance(part, RowField)]
    cells = 1
    if _has_other_axes(plans) and survey.fields.other_lengths is not None:
        cells = int(survey.fields.other_lengths.prod(axis=1).max(initial=1))
    row_bytes = max(1, sum(_row_bytes(part) * (cells if _other_axes(part) else 1) for part in rows))
    in_unit = [part for part in rows if part.row_numbers.is_in_unit]
    chunks = np.ones(survey.catalog.unit_count, np.int64)
    for part in in_unit:
        chunks = np.maximum(chunks, chunk_rows(survey.catalog, part, rows_of_chunk))
    is_plain = len(in_unit) == len(singles) and all(
        part.leading == 1 and not isinstance(part, BoxField) for part in rows
    )
    if cells == 1:  # else tiles have fewer bytes
        chunks[chunks * row_bytes > _MEMORY_BYTES] = 1  # no memory holds them: they are read several times
    block_rows = max(1, _BLOCK_BYTES // row_bytes)
    blocks = RowBlocks(
        index,
        selection,
        chunks,
        piece_rows=max(1, _PIECE_BYTES // row_bytes),
        block_rows=block_rows,
        crosses_series=is_plain,
        is_by_entry=any(is_by_entry(part) for part in rows),
        keeps_units=len(rows) < len(singles)
        or any(part.ragged is not None or is_by_entry(part) or _other_axes(part) for part in rows),
    )
    return blocks, row_bytes * max(block_rows, int(chunks.max(initial=1)))


def _row_bytes(part: RowField) -> int:
    stored = np.dtype(part.stored).itemsize
    if is_by_entry(part):
        return max(1, int(part.mean_numbers * stored))
    if isinstance(part, BoxField):  # without the axes of windows
        beside = (size for axis, size in enumerate(part.sizes) if axis not in part.row_numbers.free_axes)
        return math.prod((*beside, *part.element_shape)) * stored
    return max(part.row_bytes, part.decoded_row_bytes)


def _tiles(
    survey: DataSurvey, plans: Sequence[FieldPlan], others: Int64Array, blocks: RowBlocks
) -> Int64Array:
    """Entries along the first other axis of windows to read together, whole chunks, in each unit, ``(units,)``."""
    rows = [part for part in single_plans(plans) if isinstance(part, RowField)]
    boxes = box_chunks(survey.catalog, rows)
    chunks = np.ones(len(others), np.int64) if boxes is None else boxes.shapes[:, 1]
    beside = sum(_row_bytes(part) for part in rows) * others[:, 1:].prod(axis=1)
    entry_bytes = np.maximum(1, beside * np.maximum(blocks.block_rows, blocks.chunks))
    fitting = _TILE_BYTES // entry_bytes
    tiles: Int64Array = np.maximum(fitting // chunks, 1) * chunks
    return tiles


def _other_axes(part: FieldPlan) -> bool:
    return isinstance(part, BoxField) and bool(part.other_axes)


def _has_other_axes(plans: Sequence[FieldPlan]) -> bool:
    return any(_other_axes(part) for part in single_plans(plans))
