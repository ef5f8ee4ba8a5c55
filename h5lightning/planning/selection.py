"""The samples of one split, as a function of their position and back: position → id, id → position.

A selection never holds its samples: ranges of ids, and optionally a keyed permutation of them, are
enough. Memory is O(ranges), whatever the number of samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import Frozen
from h5lightning.core.once import once
from h5lightning.core.permutation import KeyedPermutation
from h5lightning.core.sample_numbers import to_numbers
from h5lightning.planning.index import SampleRanges

__all__ = ["Selection"]


@dataclass(frozen=True, eq=False)
class Selection(Frozen):
    """Some samples of an index, numbered from 0.

    Args:
        ranges: the samples to choose from.
        permutation_key: key of the permutation in which they are numbered; None for ascending ids.
        slices: ranges of numbers, in that permutation, that belong to the selection; None for all.

    Example:
        >>> chosen = Selection(SampleRanges(np.array([0, 10]), np.array([3, 12])))
        >>> len(chosen), chosen([0, 3, 4]).tolist(), chosen.positions([10, 5]).tolist()
        (5, [0, 10, 11], [3, -1])
    """

    ranges: SampleRanges
    permutation_key: int | None = None
    slices: SampleRanges | None = None

    def __post_init__(self) -> None:
        if self.slices is not None and self.slices.stops.size and self.slices.stops[-1] > len(self.ranges):
            raise ValueError(f"slices reach {self.slices.stops[-1]}, beyond {len(self.ranges)} samples")

    def __len__(self) -> int:
        return self._length

    def __call__(self, positions: npt.ArrayLike) -> Int64Array:
        """The ids at some positions.

        Args:
            positions: numbers in [0, len(self)), ``(N,)``.

        Returns:
            The id of each, ``(N,)`` int64.

        Raises:
            TypeError: masks, floats, or anything else that is no list of numbers.
            IndexError: a position is outside of the selection.
        """
        wanted = to_numbers(positions, "positions")
        if wanted.size and (wanted.min() < 0 or wanted.max() >= len(self)):
            found = f"{wanted.min()}..{wanted.max()}"
            raise IndexError(f"positions in this split must lie in [0, {len(self)}), found {found}")
        if self._slices is not None:
            wanted = self._slices(wanted)
        if self._permutation is not None:
            wanted = self._permutation(wanted)
        return self._ids(wanted)

    def positions(self, ids: npt.ArrayLike) -> Int64Array:
        """The positions of some ids: the inverse.

        Args:
            ids: numbers of samples of the index, ``(N,)``.

        Returns:
            The position of each, ``(N,)`` int64; -1 where an id is not in the selection.
        """
        found = self._ids.inverse(to_numbers(ids, "ids"))
        if self._permutation is not None:
            is_there = found >= 0
            found[is_there] = self._permutation.inverse(found[is_there])
        return found if self._slices is None else self._slices.inverse(found)

    @once
    def _length(self) -> int:
        return len(self.ranges if self.slices is None else self.slices)

    @once
    def _ids(self) -> _Members:
        return _Members.of(self.ranges)

    @once
    def _slices(self) -> _Members | None:
        return None if self.slices is None else _Members.of(self.slices)

    @once
    def _permutation(self) -> KeyedPermutation | None:
        return (
            None if self.permutation_key is None else KeyedPermutation(len(self.ranges), self.permutation_key)
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Members:
    """The n-th member of ranges, and the number of a member, by binary search."""

    starts: Int64Array
    stops: Int64Array
    first: Int64Array

    @classmethod
    def of(cls, ranges: SampleRanges) -> _Members:
        merged = ranges.merged()
        sizes = merged.stops - merged.starts
        return cls(merged.starts, merged.stops, np.cumsum(sizes) - sizes)

    def __call__(self, positions: Int64Array) -> Int64Array:
        if not positions.size:
            return positions.astype(np.int64)
        place = np.searchsorted(self.first, positions, side="right") - 1
        members: Int64Array = self.starts[place] + (positions - self.first[place])
        return members

    def inverse(self, members: Int64Array) -> Int64Array:
        """The number of each member, ``(N,)``; -1 for what is in none of the ranges."""
        numbers = np.full(members.shape, -1, dtype=np.int64)
        place = np.searchsorted(self.starts, members, side="right") - 1
        inside = np.flatnonzero(place >= 0)
        inside = inside[members[inside] < self.stops[place[inside]]]
        place = place[inside]
        numbers[inside] = self.first[place] + (members[inside] - self.starts[place])
        return numbers
