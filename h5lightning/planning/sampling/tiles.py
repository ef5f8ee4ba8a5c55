"""Tiles: windows along several axes that share chunks, as the shuffle blocks of block order.

A tile is a box of neighbouring windows. Its samples do not follow each other in the split, where all windows of a row
follow each other. So tiles have an order of their own: tile after tile, and inside of a tile as in the split. Block
order mixes tiles, and `Tiles.positions` gives the position of each sample.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import Frozen, once
from h5lightning.options import Windows
from h5lightning.planning.grid import Grid
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.sampling.blocks import Blocks, ranges_by_series
from h5lightning.planning.selection import Kept, Selection

__all__ = ["BoxChunks", "Tiles", "tile_sizes"]

_LEAST_MIXED = 2  # tiles in use at a time; with more of them, each is smaller, and shares more of its chunks
_COUNTS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 24)  # of chunks in a tile along one axis


@dataclass(frozen=True, slots=True, eq=False)
class BoxChunks:
    """The chunks that windows along several axes are read from.

    Args:
        shapes: entries of a chunk along each axis of the windows, in each unit, ``(units, axes)``.
        nbytes: decoded bytes of such a chunk over all fields, ``(units,)``.
    """

    shapes: Int64Array
    nbytes: Int64Array

    def total_bytes(self, rows: Int64Array, grid: Grid) -> int:
        """Decoded bytes of all chunks, in units of so many rows, ``(units,)``."""
        lengths = np.concatenate([rows[:, None], grid.lengths], axis=1)
        return int(((-(-lengths // self.shapes)).prod(axis=1) * self.nbytes).sum())


@lru_cache(maxsize=1024)
def tile_sizes(
    windows: tuple[int, ...],
    strides: tuple[int, ...],
    chunks: tuple[int, ...],
    cells: tuple[int, ...],
    most_chunks: float,
) -> tuple[int, ...]:
    """The windows of a tile along each axis, so that chunks are needed by as few tiles as possible.

    Args:
        windows: entries of a window along each axis; with drawn starts, those that it may reach.
        strides: entries from one window to the next.
        chunks: entries of a chunk.
        cells: windows along each axis.
        most_chunks: chunks that a tile may need, if possible.

    Example:
        >>> tile_sizes((64,) * 3, (32,) * 3, (64,) * 3, (63,) * 3, 220)  # 6 chunks a side, one of them of the next tile
        (10, 10, 10)
    """
    choices = [
        list(_choices(*axis, most_chunks)) for axis in zip(windows, strides, chunks, cells, strict=True)
    ]
    fitting = [
        sizes
        for sizes in itertools.product(*choices)
        if math.prod(one.touched for one in sizes) <= most_chunks
    ]
    if not fitting:
        return tuple(one[0].size for one in choices)
    best = min(fitting, key=lambda sizes: (_product(sizes, "repeated"), _product(sizes, "touched")))
    return tuple(one.size for one in best)


class _Choice(NamedTuple):
    """A size of tiles along one axis.

    Args:
        size: windows of a tile.
        touched: chunks that it needs.
        repeated: how many tiles need each chunk, on average.
    """

    size: int
    touched: int
    repeated: float


def _product(sizes: Iterable[_Choice], name: str) -> float:
    return round(float(math.prod(getattr(one, name) for one in sizes)), 6)


def _choices(window: int, stride: int, chunk: int, cells: int, most_chunks: float) -> Iterator[_Choice]:
    every = -(-((cells - 1) * stride + window) // chunk)
    period = chunk // math.gcd(chunk, stride)  # after so many windows, one begins where a chunk begins
    step = period if period <= cells else max(1, chunk // stride)
    sizes = dict.fromkeys(min(number * step, cells) for number in _COUNTS) | {cells: None}
    for size in sizes:
        # A size that leaves a small rest is made smaller, so that all tiles are about equal.
        tiles = math.ceil(cells / size)
        equal = min(cells, math.ceil(cells / tiles / step) * step)
        touched = min(every, -(-((equal - 1) * stride + window) // chunk))
        if touched <= max(most_chunks, 1):
            repeated = 1.0 if equal == cells else max(1.0, touched * chunk / (equal * stride))
            yield _Choice(equal, touched, repeated)
    if every > max(most_chunks, 1):
        touched = -(-((step - 1) * stride + window) // chunk)
        yield _Choice(min(step, cells), touched, float(touched))


@dataclass(frozen=True, eq=False)
class Tiles(Frozen):
    """The tiles of a split, one after the other; arrays have an entry for each tile.

    Args:
        starts: number of the first sample of each tile, ascending, ``(tiles + 1,)``.
        bases: position in the split of the sample at row 0 and cell 0 of the series of each tile, which may be no
            position of it, ``(tiles,)``. Where rows are left out, row 0 is the first one of the tile that is kept.
        origins: the first window of each tile along each axis, that of the rows first, ``(tiles, axes)``.
        sizes: windows of each tile along each axis, without those that are left out, ``(tiles, axes)``.
        counts: cells along the other axes, ``(tiles, axes - 1)``.
        nbytes: decoded bytes of the chunks of each tile, ``(tiles,)``.
        window_bytes: decoded bytes of the tiles that are in use at a time.
    """

    starts: Int64Array
    bases: Int64Array
    origins: Int64Array
    sizes: Int64Array
    counts: Int64Array
    nbytes: Int64Array
    window_bytes: int

    @classmethod
    def of(cls, selection: Selection, index: SampleIndex, chunks: BoxChunks, window_bytes: int) -> Tiles:
        """The tiles of a split without a permutation, of windows along several axes.

        Args:
            selection: the samples of the split.
            index: all samples.
            chunks: what windows are read from.
            window_bytes: decoded bytes of the tiles that are in use at a time.
        """
        grid = index.grid
        if grid is None or selection.subset is not None:
            raise ValueError("only windows along several axes have tiles, and splits by row have none")
        starts, stops, series = ranges_by_series(selection, index)
        before, first = np.cumsum(stops - starts) - (stops - starts), index.first_id[series]
        make = _TileMaker(index, chunks, window_bytes)
        ranges = zip(
            index.units[series].tolist(), (starts - first).tolist(), (stops - first).tolist(), strict=True
        )
        parts = [make(*each) for each in ranges]
        numbers = np.arange(len(parts)).repeat([len(origins) for origins, _ in parts])
        origins = np.concatenate([origins for origins, _ in parts])
        sizes = np.concatenate([sizes for _, sizes in parts])
        bases = (before - (starts - first))[numbers]
        counts = grid.counts[index.units[series]][numbers]
        nbytes = make.nbytes(sizes, index.units[series][numbers])
        if selection.kept is not None:
            bases, origins, sizes = _kept_tiles(selection.kept, bases, origins, sizes, counts.prod(axis=1))
        filled = sizes[:, 0] > 0
        sizes = sizes[filled]
        return cls(
            np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes.prod(axis=1))]),
            bases[filled],
            origins[filled],
            sizes,
            counts[filled],
            nbytes[filled],
            window_bytes,
        )

    @property
    def mixed(self) -> int:
        """How many tiles are mixed with each other, about."""
        return max(_LEAST_MIXED, int(self.window_bytes / max(1.0, float(self.nbytes.mean()))))

    @once
    def blocks(self) -> Blocks:
        """The shuffle blocks: each tile is one."""
        lengths = np.diff(self.starts)
        return Blocks.of(self.starts[:-1], np.ones_like(lengths), lengths)

    def positions(self, numbers: Int64Array) -> Int64Array:
        """The position in the split of each sample, given by its number in the order of the tiles, ``(N,)``."""
        tile = self.starts.searchsorted(numbers, side="right") - 1
        rest = numbers - self.starts[tile]
        cell, unit = np.zeros_like(numbers), np.ones_like(numbers)
        for axis in reversed(range(1, self.origins.shape[1])):
            rest, inside = np.divmod(rest, self.sizes[tile, axis])
            cell += (self.origins[tile, axis] + inside) * unit
            unit *= self.counts[tile, axis - 1]
        positions: Int64Array = self.bases[tile] + (self.origins[tile, 0] + rest) * unit + cell
        return positions


def _kept_tiles(
    kept: Kept, bases: Int64Array, origins: Int64Array, sizes: Int64Array, cells: Int64Array
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """The bases, origins and sizes of tiles of which some rows are kept, each with all its cells.

    Args:
        kept: which of all positions are kept.
        bases: see `Tiles`.
        origins: see `Tiles`.
        sizes: see `Tiles`.
        cells: cells of a row, for each tile, ``(tiles,)``.
    """
    first = kept.below(bases + origins[:, 0] * cells)
    end = kept.below(bases + (origins[:, 0] + sizes[:, 0]) * cells)
    rows = np.stack([np.zeros_like(first), (end - first) // np.maximum(cells, 1)])
    origins, sizes = origins.copy(), sizes.copy()
    origins[:, 0], sizes[:, 0] = rows
    return first, origins, sizes


class _TileMaker:
    """Makes the tiles of ranges of samples.

    Args:
        index: all samples, which windows along several axes make.
        chunks: what they are read from.
        window_bytes: decoded bytes of the tiles that are in use at a time.
    """

    def __init__(self, index: SampleIndex, chunks: BoxChunks, window_bytes: int) -> None:
        self._chunks, self._window_bytes = chunks, window_bytes
        self._counts = (
            np.zeros((len(chunks.nbytes), 0), np.int64) if index.grid is None else index.grid.counts
        )
        samples = index.samples
        self._strides = samples.strides if isinstance(samples, Windows) else (1,)
        windows = (index.reach.span_rows, *(samples.lengths[1:] if isinstance(samples, Windows) else ()))
        reached = zip(windows, self._strides, strict=True)
        self._windows = tuple(window + (stride - 1) * samples.jitter for window, stride in reached)

    def __call__(self, unit: int, low: int, high: int) -> tuple[Int64Array, Int64Array]:
        """The first windows and the sizes of the tiles of a range of samples of a series, ``(tiles, axes)`` each."""
        counts = self._counts[unit].tolist()
        first, stop = low // math.prod(counts), high // math.prod(counts)
        most = self._window_bytes / _LEAST_MIXED / max(1, int(self._chunks.nbytes[unit]))
        shape = tuple(self._chunks.shapes[unit].tolist())
        sizes = tile_sizes(self._windows, self._strides, shape, (stop - first, *counts), most)
        # Rows are cut where those of the whole series are cut, so that a split at a chunk divides no tile.
        rows = np.unique(
            np.clip(np.arange(first // sizes[0], -(-stop // sizes[0]) + 1) * sizes[0], first, stop)
        )
        others = [
            np.append(np.arange(0, count, size), count) for count, size in zip(counts, sizes[1:], strict=True)
        ]
        borders = [rows, *others]
        return _boxes([one[:-1] for one in borders]), _boxes([np.diff(one) for one in borders])

    def nbytes(self, sizes: Int64Array, units: Int64Array) -> Int64Array:
        """Decoded bytes of the chunks of tiles of such sizes, ``(tiles, axes)``; ``units`` are their units."""
        entries = (sizes - 1) * np.asarray(self._strides) + np.asarray(self._windows)
        touched = (-(-entries // self._chunks.shapes[units])).prod(axis=1)
        nbytes: Int64Array = touched * self._chunks.nbytes[units]
        return nbytes


def _boxes(axes: Sequence[Int64Array]) -> Int64Array:
    """All combinations of numbers along axes, the last axis fastest, ``(boxes, axes)``."""
    return np.stack([one.ravel() for one in np.meshgrid(*axes, indexing="ij")], axis=1)
