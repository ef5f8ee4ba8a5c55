"""The samples of one split: position → id, and id → position.

A selection is computed from ranges of ids and, optionally, a keyed permutation of them, and the set of those that are
kept. Memory is O(ranges) for any number of samples, and two bits for each sample where some of them are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.core.bits import Bits
from h5lightning.core.frozen import Frozen, once
from h5lightning.core.permutation import KeyedPermutation
from h5lightning.core.sample_numbers import to_numbers
from h5lightning.planning.index import SampleRanges

__all__ = ["Kept", "Members", "RandomSubset", "Selection"]

_PIECE = 1 << 20  # samples that are looked at together


@dataclass(frozen=True, slots=True, eq=False)
class RandomSubset:
    """A random subset of a sequence, in random order.

    Args:
        key: key of the permutation of the sequence.
        slices: the slices of the permuted sequence that are in the subset.
    """

    key: int
    slices: SampleRanges


class Kept(Protocol):
    """A set of positions in ascending order: `Members` of ranges, or `Bits`."""

    def __len__(self) -> int:
        """Number of members."""

    def __call__(self, positions: Int64Array, /) -> Int64Array:
        """The members at positions of the ascending order, ``(N,)``."""

    def inverse(self, numbers: Int64Array, /) -> Int64Array:
        """The position of each number among the members, ``(N,)``; -1 for those that are none."""

    def below(self, bounds: Int64Array, /) -> Int64Array:
        """How many members are below each bound, ``(N,)``."""


@dataclass(frozen=True, eq=False)
class Selection(Frozen):
    """The samples of one split, with positions from 0.

    Args:
        ranges: the ids to select from.
        subset: the random subset of these ids; None for all of them, ascending.
        kept: which of these samples are in the split, by their positions among them; None for all.

    Example:
        >>> chosen = Selection(SampleRanges(np.array([0, 10]), np.array([3, 12])))
        >>> len(chosen), chosen([0, 3, 4]).tolist(), chosen.positions([10, 5]).tolist()
        (5, [0, 10, 11], [3, -1])
    """

    ranges: SampleRanges
    subset: RandomSubset | None = None
    kept: Kept | None = None

    def __post_init__(self) -> None:
        last = 0 if self.subset is None else int(self.subset.slices.stops.max(initial=0))
        if last > len(self.ranges):
            raise ValueError(f"slices reach {last}, beyond {len(self.ranges)} samples")

    def __len__(self) -> int:
        return self._length

    def __call__(self, positions: npt.ArrayLike) -> Int64Array:
        """The ids at the given positions.

        Args:
            positions: each in [0, len(self)), ``(N,)``.

        Returns:
            The id of each, ``(N,)`` int64.

        Raises:
            TypeError: masks, floats, or anything else but a list of integers.
            IndexError: a position is not in the split.
        """
        numbers = to_numbers(positions, "positions")
        # As unsigned numbers, negative ones are the largest.
        if numbers.size and int(np.maximum.reduce(numbers.view(np.uint64), axis=None)) >= len(self):
            bounds = f"{numbers.min()}..{numbers.max()}"
            raise IndexError(f"positions in this split must lie in [0, {len(self)}), found {bounds}")
        if self.kept is not None:
            numbers = self.kept(numbers)
        return self.spanned(numbers)

    def spanned(self, positions: Int64Array) -> Int64Array:
        """The ids at positions among all samples, of which only some may be kept; see `spanned_length`."""
        if self._subset is not None:
            slices, permutation = self._subset
            positions = permutation(slices(positions))
        return self._ids(positions)

    def keeping(self, kept: Kept | None) -> Selection:
        """Those samples that are kept.

        Args:
            kept: which of the ids, by their positions in ascending order; None for all.
        """
        if kept is None:
            return self
        if self._subset is None:
            return replace(self, kept=kept)
        slices, permutation = self._subset
        size = self.spanned_length
        pieces = (np.arange(start, min(start + _PIECE, size)) for start in range(0, size, _PIECE))
        bools = (kept.inverse(permutation(slices(positions))) >= 0 for positions in pieces)
        return replace(self, kept=Bits.of_pieces(bools, size))

    def positions(self, ids: npt.ArrayLike) -> Int64Array:
        """The positions of the given ids.

        Args:
            ids: ids of the index, ``(N,)``.

        Returns:
            The position of each, ``(N,)`` int64; -1 where an id is not in the split.
        """
        numbers = self._ids.inverse(to_numbers(ids, "ids"))
        if self._subset is not None:
            slices, permutation = self._subset
            is_member = numbers >= 0
            numbers[is_member] = permutation.inverse(numbers[is_member])
            numbers = slices.inverse(numbers)
        return numbers if self.kept is None else self.kept.inverse(numbers)

    @once
    def spanned_length(self) -> int:
        """Number of samples of which `kept` says which ones are in the split."""
        return len(self.ranges if self.subset is None else self.subset.slices)

    @once
    def _length(self) -> int:
        return self.spanned_length if self.kept is None else len(self.kept)

    @once
    def _ids(self) -> Members:
        return Members.of(self.ranges)

    @once
    def _subset(self) -> tuple[Members, KeyedPermutation] | None:
        if self.subset is None:
            return None
        return Members.of(self.subset.slices), KeyedPermutation(len(self.ranges), self.subset.key)


@dataclass(frozen=True, slots=True, eq=False)
class Members(Frozen):
    """The n-th member of ranges, and the number of a member, by binary search."""

    starts: Int64Array
    stops: Int64Array
    first: Int64Array

    @classmethod
    def of(cls, ranges: SampleRanges) -> Members:
        """The members of ranges."""
        ranges = ranges.normalized()
        sizes = ranges.stops - ranges.starts
        return cls(ranges.starts, ranges.stops, np.cumsum(sizes) - sizes)

    def __len__(self) -> int:
        return int(self.first[-1] + self.stops[-1] - self.starts[-1]) if len(self.first) else 0

    def __call__(self, positions: Int64Array) -> Int64Array:
        """The members at positions of the ascending order, each in [0, len(self)), ``(N,)``."""
        if not positions.size:
            return positions.astype(np.int64)
        if len(self.starts) == 1:
            return positions + self.starts
        i = np.searchsorted(self.first, positions, side="right") - 1
        members: Int64Array = self.starts[i] + (positions - self.first[i])
        return members

    def inverse(self, members: Int64Array) -> Int64Array:
        """The number of each member, ``(N,)``; -1 for numbers outside of the ranges."""
        numbers = np.full(members.shape, -1, dtype=np.int64)
        i = np.searchsorted(self.starts, members, side="right") - 1
        inside = np.flatnonzero(i >= 0)
        inside = inside[members[inside] < self.stops[i[inside]]]
        i = i[inside]
        numbers[inside] = self.first[i] + (members[inside] - self.starts[i])
        return numbers

    def below(self, bounds: Int64Array) -> Int64Array:
        """How many members are below each bound, ``(N,)``."""
        below = np.zeros(bounds.shape, np.int64)
        i = np.searchsorted(self.starts, bounds, side="left") - 1
        inside = np.flatnonzero(i >= 0)
        i = i[inside]
        below[inside] = self.first[i] + np.minimum(bounds[inside], self.stops[i]) - self.starts[i]
        return below
