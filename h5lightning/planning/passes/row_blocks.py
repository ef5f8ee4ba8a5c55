"""In which pieces and blocks the rows of files are read once, so that each chunk is decoded once.

A piece is a part of one file, and a whole file if that is small. Pieces depend on their file and on the field alone:
whatever other files there are, and however many threads read, the same numbers are added in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from h5lightning.core.arrays import Int64Array, flat_positions
from h5lightning.options import Rows
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.selection import Members, Selection

__all__ = ["Piece", "RowBlock", "RowBlocks", "rows_index", "selected_counts"]

_MOST_GATHERED = 131_072  # rows that are located one by one: about 100 bytes each
_LEAST_SHARE = 4  # of so many rows, one must be selected for all of them to be read
_LEAST_RUN = 256  # rows; shorter runs are read together


def rows_index(index: SampleIndex) -> SampleIndex:
    """The index whose samples are the rows of the same series."""
    rows = Rows(index.samples.axes[0])
    by_row = None if index.filter is None else index.filter.by_row()
    return replace(index, samples=rows, given_reach=None, runs=None, first=0, grid=None, filter=by_row)


class Piece(NamedTuple):
    """Rows of one file, as ids of the `rows_index`."""

    file: int
    start: int
    stop: int


class BlockPart(NamedTuple):
    """Where the rows of one piece lie in a block.

    Args:
        piece: the number of the piece, in the order of all pieces.
        start: its first row, counted among those of the block that count.
        stop: one past its last row.
    """

    piece: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True, eq=False)
class RowBlock:
    """Rows that are read together.

    Args:
        ids: ids of the first row of each run, ascending, ``(N,)``.
        run: rows of each run.
        parts: the pieces that they belong to.
        chosen: which of the rows count, by their places in the block; None for all.
    """

    ids: Int64Array
    run: int
    parts: tuple[BlockPart, ...]
    chosen: Int64Array | None = None

    def row_ids(self) -> Int64Array:
        """The ids of the rows that count, ascending."""
        ids = self.ids if self.run == 1 else (self.ids[:, None] + np.arange(self.run)).reshape(-1)
        return ids if self.chosen is None else ids[self.chosen]


@dataclass(frozen=True, slots=True, eq=False)
class RowBlocks:
    """How rows are divided.

    Args:
        index: of rows.
        selection: the rows that are read; None for all.
        chunks: rows of a chunk of each unit, ``(units,)``; 1 where chunks do not matter.
        piece_rows: rows of a piece, about.
        block_rows: rows of a block, about; one chunk at least.
        crosses_series: whether rows of two series that follow each other in a unit can be read as one run.
        keeps_units: whether a block must lie in one piece and in one unit, and single rows in one series.
        is_by_entry: whether a row is an entry of an index, so that rows that follow each other are no run of a dataset.
    """

    index: SampleIndex
    selection: Selection | None
    chunks: Int64Array
    piece_rows: int
    block_rows: int
    crosses_series: bool = True
    keeps_units: bool = False
    is_by_entry: bool = False

    def pieces(self, files: Int64Array) -> list[Piece]:
        """The pieces of some files, in order."""
        borders = self.index.first_id[self.index.first_series]
        starts, stops = borders[files].tolist(), borders[files + 1].tolist()
        return [
            Piece(file, *span)
            for file, start, stop in zip(files.tolist(), starts, stops, strict=True)
            for span in pairwise(self._cuts(start, stop, self.piece_rows))
        ]

    def tasks(self, pieces: Sequence[Piece]) -> list[range]:
        """Pieces that one thread reads one after the other, by their numbers."""
        tasks, first, rows = [], 0, 0
        for number, piece in enumerate(pieces):
            rows += piece.stop - piece.start
            if rows >= self.piece_rows:
                tasks.append(range(first, number + 1))
                first, rows = number + 1, 0
        if first < len(pieces):
            tasks.append(range(first, len(pieces)))
        return tasks

    def of(self, pieces: Sequence[Piece], numbers: range) -> Iterator[RowBlock]:
        """The blocks of some of the pieces, in order: parts of one piece, or several whole pieces."""
        together: list[int] = []
        rows = 0
        for number in numbers:
            _, start, stop = pieces[number]
            is_alone = self.keeps_units or stop - start > self.block_rows
            if together and (is_alone or rows + stop - start > min(self.block_rows, _MOST_GATHERED)):
                yield from self._gathered([(one, self._ids(*pieces[one][1:])) for one in together])
                together, rows = [], 0
            if is_alone:
                for span in pairwise(self._cuts(start, stop, self.block_rows)):
                    yield from self._part(number, *span)
            else:
                together.append(number)
                rows += stop - start
        if len(together) == 1:
            yield from self._part(together[0], *pieces[together[0]][1:])
        elif together:
            yield from self._gathered([(one, self._ids(*pieces[one][1:])) for one in together])

    def _part(self, piece: int, start: int, stop: int) -> Iterator[RowBlock]:
        """The blocks of a part of one piece: as runs where these are long."""
        if not self.is_by_entry and (self._is_plain or not self.keeps_units):
            firsts, ends = self._runs(start, stop)
            lengths = ends - firsts
            if len(firsts) and (len(firsts) == 1 or lengths.mean() >= _LEAST_RUN or self.keeps_units):
                for first, length in zip(firsts.tolist(), lengths.tolist(), strict=True):
                    for block in self._by_chunk(piece, first, length):
                        yield from self._with_chosen(block)
                return
        ids = self._ids(start, stop)
        cuts = {*range(0, len(ids), _MOST_GATHERED), len(ids)}
        if self.keeps_units:
            low, high = self.index.first_id.searchsorted([start, stop]).tolist()
            cuts |= set(ids.searchsorted(self.index.first_id[low:high]).tolist())
        for first, end in pairwise(sorted(cuts)):
            yield from self._gathered([(piece, ids[first:end])])

    def _by_chunk(self, piece: int, first: int, length: int) -> Iterator[RowBlock]:
        """The blocks of a run in one unit: whole chunks as runs of equal length, and what lies before and after."""
        index = self.index
        series = int(index.first_id.searchsorted(first, side="right")) - 1
        chunk = int(self.chunks[index.units[series]])
        row = first - int(index.first_id[series])
        if index.series_start is not None:
            row += int(index.series_start[series])
        before = min(-row % chunk, length) if chunk > 1 else length
        count = (length - before) // chunk
        after = length - before - count * chunk
        for start, run, runs in (
            (first, before, 1),
            (first + before, chunk, count),
            (first + length - after, after, 1),
        ):
            if run and runs:
                part = BlockPart(piece, 0, run * runs)
                yield RowBlock(start + np.arange(runs) * run, run, (part,))

    @property
    def _is_plain(self) -> bool:
        """Whether all rows of the ranges are selected."""
        selection = self.selection
        return selection is None or (selection.subset is None and selection.kept is None)

    def _with_chosen(self, block: RowBlock) -> Iterator[RowBlock]:
        """The block with the rows of it that are selected: all are read if they are many, else they alone."""
        if self._is_plain or self.selection is None:
            yield block
            return
        ids = block.row_ids()
        chosen = np.flatnonzero(self.selection.positions(ids) >= 0)
        if len(chosen) == len(ids):
            yield block
        elif _LEAST_SHARE * len(chosen) >= len(ids):
            part = block.parts[0]._replace(stop=len(chosen))
            yield replace(block, parts=(part,), chosen=chosen)
        else:
            for first in range(0, len(chosen), _MOST_GATHERED):
                yield from self._gathered(
                    [(block.parts[0].piece, ids[chosen[first : first + _MOST_GATHERED]])]
                )

    def _gathered(self, parts: Sequence[tuple[int, Int64Array]]) -> Iterator[RowBlock]:
        """One block of single rows."""
        ends = np.cumsum([len(ids) for _, ids in parts]).tolist()
        if not ends[-1]:
            return
        where = tuple(
            BlockPart(piece, end - len(ids), end) for (piece, ids), end in zip(parts, ends, strict=True)
        )
        yield RowBlock(np.concatenate([ids for _, ids in parts]), 1, where)

    def _runs(self, start: int, stop: int) -> tuple[Int64Array, Int64Array]:
        """The runs of rows that can each be read in one piece: their first ids, and their ends; see `_selected`."""
        firsts, ends = self._selected(start, stop)
        index, borders = self.index, self.index.first_id
        low, high = borders.searchsorted([start, stop]).tolist()
        between = borders[low:high]
        if self.crosses_series and len(between):
            # Only where the unit changes, or rows of a unit are in no series.
            series = np.arange(low, high)
            units, starts = index.units, index.series_start
            is_border = np.ones(len(series), np.bool_)
            inner = series > 0
            before, after = series[inner] - 1, series[inner]
            is_border[inner] = units[before] != units[after]
            if starts is not None:
                is_border[inner] |= starts[before] + index.series_rows[before] != starts[after]
            between = between[is_border]
        if len(between) and len(firsts):
            cuts = np.unique(np.concatenate([firsts, ends, between]))
            which = firsts.searchsorted(cuts[:-1], side="right") - 1
            is_inside = (which >= 0) & (cuts[:-1] < ends[np.maximum(which, 0)])
            firsts, ends = cuts[:-1][is_inside], cuts[1:][is_inside]
        return firsts, ends

    def _selected(self, start: int, stop: int) -> tuple[Int64Array, Int64Array]:
        """The ranges of rows of which all, or some, are selected."""
        if self.selection is None:
            ends = np.asarray([stop] if start < stop else [], np.int64)
            return np.asarray([start] if start < stop else [], np.int64), ends
        ranges = self.selection.ranges
        low = int(ranges.stops.searchsorted(start, side="right"))
        high = int(ranges.starts.searchsorted(stop, side="left"))
        firsts, ends = ranges.starts[low:high].clip(start), ranges.stops[low:high].clip(max=stop)
        is_filled = ends > firsts
        return firsts[is_filled], ends[is_filled]

    def _ids(self, start: int, stop: int) -> Int64Array:
        """The ids of the selected rows."""
        firsts, ends = self._selected(start, stop)
        ids = flat_positions(firsts, ends - firsts)
        if self.selection is not None and not self._is_plain:
            ids = ids[self.selection.positions(ids) >= 0]
        return ids

    def _cuts(self, start: int, stop: int, step: int) -> list[int]:
        """Borders between so many rows, where chunks begin."""
        if 2 * (stop - start) <= 3 * step:
            return [start, stop]
        index = self.index
        targets = np.arange(start + step, stop - step // 2, step)
        series = index.first_id.searchsorted(targets, side="right") - 1
        first = index.first_id[series]
        row = targets - first
        if index.series_start is not None:
            row += index.series_start[series]
        cuts = np.maximum(targets - row % self.chunks[index.units[series]], first)
        return [start, *np.unique(cuts[cuts > start]).tolist(), stop]


def selected_counts(selection: Selection | None, borders: Int64Array) -> Int64Array:
    """How many selected rows lie between each two of some ascending ids, ``(borders - 1,)``."""
    if selection is None:
        return np.diff(borders)
    if selection.subset is None:
        below = Members.of(selection.ranges).below(borders)
        return np.diff(below if selection.kept is None else selection.kept.below(below))
    counts = np.zeros(len(borders) - 1, np.int64)
    for start in range(int(borders[0]), int(borders[-1]), _MOST_GATHERED):
        ids = np.arange(start, min(start + _MOST_GATHERED, int(borders[-1])))
        ids = ids[selection.positions(ids) >= 0]
        counts += np.bincount(borders.searchsorted(ids, side="right") - 1, minlength=len(counts))
    return counts
