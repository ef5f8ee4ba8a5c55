"""Tiled order: the windows of a tile come together, a few tiles mixed with each other.

Tiles are dealt to lanes (`Lanes`), as shuffle blocks are. In each epoch, a lane takes its tiles in random order, as
many at a time as the cache holds, and mixes their samples completely. Unlike the windows of `BlockOrder`, those of a
lane hold whole tiles, since one tile more would not fit into the cache: memory is O(tiles).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import Frozen, once
from h5lightning.core.permutation import KeyedPermutation, KeyedPermutations, derive_key, derive_keys
from h5lightning.planning.sampling.blocks import Blocks, Lanes
from h5lightning.planning.sampling.tiles import Tiles

__all__ = ["TiledOrder"]

_MAX_LANES = 32
_MIN_TILES_IN_LANE = 4  # lanes of fewer tiles differ much in length


@dataclass(frozen=True, slots=True, eq=False)
class _EpochTiles:
    """The tiles of one epoch in their order, lane after lane.

    Args:
        epoch: its number.
        lane_starts: offset of the first sample of each lane, ``(lanes,)``.
        ends: one past the last sample of each tile, ``(tiles,)``.
        shifts: number of a sample in the order of the tiles, minus its offset here, for each tile, ``(tiles,)``.
        windows: offset of the first sample of each window, and the number of all samples, ``(windows + 1,)``.
        mix: mixes the samples of each window.
    """

    epoch: int
    lane_starts: Int64Array
    ends: Int64Array
    shifts: Int64Array
    windows: Int64Array
    mix: KeyedPermutations


@dataclass(frozen=True, eq=False)
class TiledOrder(Frozen):
    """Tiles in random order, mixed inside of windows.

    Args:
        tiles: the tiles.
        seed: the seed of the order.
    """

    tiles: Tiles
    seed: int

    @property
    def size(self) -> int:
        """Number of samples."""
        return int(self.tiles.starts[-1])

    @property
    def lanes(self) -> int:
        """Number of lanes: as many as there are tiles in use, 32 at most."""
        return self._lanes.number

    @property
    def block_samples(self) -> int:
        """1: the samples of a tile do not lie side by side."""
        return 1

    def lanes_of(self, indices: Int64Array) -> Int64Array:
        """The lane of each index, numbered in the order of the ranks."""
        return self._lanes.rank_order[self._lanes.locate(indices)[0]]

    def samples(self, epoch: int, indices: Int64Array) -> Int64Array:
        """The sample at each index of an epoch."""
        if not indices.size:
            return indices
        lane, offset = self._lanes.locate(indices)
        tiles = self._tiles_of(epoch)
        offset = tiles.lane_starts[lane] + offset
        window = tiles.windows.searchsorted(offset, side="right") - 1
        start = tiles.windows[window]
        offset = start + tiles.mix(window, offset - start)
        return self.tiles.positions(offset + tiles.shifts[tiles.ends.searchsorted(offset, side="right")])

    @once
    def _blocks(self) -> Blocks:
        return self.tiles.blocks

    @once
    def _lanes(self) -> Lanes:
        most = max(1, min(_MAX_LANES, len(self._blocks) // _MIN_TILES_IN_LANE, self.tiles.mixed))
        return Lanes(self._blocks, 1 << (most.bit_length() - 1))

    @once
    def _kept(self) -> list[_EpochTiles | None]:
        return [None]

    def _tiles_of(self, epoch: int) -> _EpochTiles:
        """The tiles of an epoch; those of the last epoch are kept for the next call."""
        kept = self._kept[0]
        if kept is None or kept.epoch != epoch:
            # Two threads may make the same tiles twice, which are equal.
            kept = self._kept[0] = self._laid_out(epoch)
        return kept

    def _laid_out(self, epoch: int) -> _EpochTiles:
        lanes, blocks = self._lanes, self._blocks
        starts = blocks.starts_of(
            np.concatenate([self._blocks_of(lane, epoch) for lane in range(lanes.number)])
        )
        tile = self.tiles.starts.searchsorted(starts)
        lengths = np.diff(self.tiles.starts)[tile]
        ends = np.cumsum(lengths)
        lane_ends = np.cumsum(lanes.counts.sum(axis=1))
        first_tiles = np.concatenate([np.zeros(1, np.int64), lane_ends[:-1]])
        borders = [
            self._windows(self.tiles.nbytes[tile[low:high]]) + low
            for low, high in zip(first_tiles.tolist(), lane_ends.tolist(), strict=True)
        ]
        windows = np.append((ends - lengths)[np.concatenate(borders)], self.size)
        keys = derive_keys(derive_key("mix of tiles", self.seed, epoch), np.arange(len(windows) - 1))
        return _EpochTiles(
            epoch,
            (ends - lengths)[first_tiles],
            ends,
            starts - (ends - lengths),
            windows,
            KeyedPermutations(np.diff(windows), keys),
        )

    def _blocks_of(self, lane: int, epoch: int) -> Int64Array:
        """The tiles of a lane in an epoch, in random order, as numbers of `Blocks`."""
        lanes, blocks = self._lanes, self._blocks
        found = []
        for kind, first in enumerate(blocks.class_starts[:-1].tolist()):
            size = int(blocks.class_starts[kind + 1]) - first
            dealt = np.arange(int(lanes.first[lane, kind]) - first, size, lanes.number)
            order = KeyedPermutation(size, derive_key("deal of tiles", self.seed, epoch, kind))
            found.append(first + order(dealt))
        every = np.concatenate(found)
        order = KeyedPermutation(len(every), derive_key("order of tiles", self.seed, epoch, lane))
        return every[order(np.arange(len(every)))]

    def _windows(self, nbytes: Int64Array) -> Int64Array:
        """The first tile of each window of a lane, whose tiles decode so many bytes, ``(windows,)``."""
        most = self.tiles.window_bytes / self._lanes.number
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(nbytes)])
        firsts, first = [], 0
        while first < len(nbytes):
            firsts.append(first)
            first = max(first + 1, int(before.searchsorted(before[first] + most, side="right")) - 1)
        return np.asarray(firsts, np.int64)
