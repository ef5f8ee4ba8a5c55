"""A set of whole numbers below a bound, one bit each: the n-th member, and the number of a member, in a few steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.core.frozen import Frozen, once

__all__ = ["Bits"]

_WORD = 64
_PIECE = 1 << 20  # numbers that are unpacked at a time
_ONES_OF_BYTE = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)

Words = npt.NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Bits(Frozen):
    """A set of numbers in [0, size), in two bits of memory for each.

    Args:
        words: the bit of number n is bit n % 64 of word n // 64; bits from ``size`` on are 0.
        size: one past the largest number that may be a member.

    Example:
        >>> even = Bits.of_bools(np.asarray([True, False] * 5))
        >>> len(even), even(np.asarray([0, 4])).tolist(), even.inverse(np.asarray([8, 9])).tolist()
        (5, [0, 8], [4, -1])
    """

    words: Words
    size: int

    def __post_init__(self) -> None:
        if len(self.words) != -(-self.size // _WORD):
            raise ValueError(f"{self.size} bits do not make {len(self.words)} words")
        if self.size % _WORD and int(self.words[-1]) >> self.size % _WORD:
            raise ValueError(f"a member is beyond {self.size}")

    @classmethod
    def of_bools(cls, is_member: BoolArray) -> Bits:
        """The positions at which an array is True."""
        packed = np.packbits(is_member, bitorder="little")
        return cls.of_bytes(packed.tobytes(), len(is_member))

    @classmethod
    def of_pieces(cls, pieces: Iterable[BoolArray], size: int) -> Bits:
        """The positions at which an array is True that comes in pieces, one after the other."""
        is_member = np.zeros(-(-size // 8), np.uint8)
        rest, at = np.zeros(0, np.bool_), 0
        for piece in pieces:
            joined = np.concatenate([rest, piece]) if rest.size else piece
            whole = len(joined) // 8
            is_member[at : at + whole] = np.packbits(joined[: 8 * whole], bitorder="little")
            rest, at = joined[8 * whole :], at + whole
        if 8 * at + len(rest) != size:
            raise ValueError(f"the pieces have {8 * at + len(rest)} entries, expected {size}")
        is_member[at:] = np.packbits(rest, bitorder="little")
        return cls.of_bytes(is_member.tobytes(), size)

    @classmethod
    def of_bytes(cls, data: bytes, size: int) -> Bits:
        """The set that `to_bytes` wrote.

        Raises:
            ValueError: there are too many or too few bytes, or a member is beyond ``size``.
        """
        if len(data) != -(-size // 8):
            raise ValueError(f"{len(data)} bytes do not hold {size} bits")
        return cls(np.frombuffer(data + bytes(-len(data) % 8), "<u8").astype(np.uint64, copy=False), size)

    def to_bytes(self) -> bytes:
        """Number n is bit n % 8 of byte n // 8."""
        return self.words.astype("<u8", copy=False).tobytes()[: -(-self.size // 8)]

    def __len__(self) -> int:
        """Number of members."""
        return int(self._before[-1])

    def __call__(self, positions: Int64Array) -> Int64Array:
        """The members at positions of the ascending order, each in [0, len(self)), ``(N,)``."""
        return _by_pieces(self._members, positions)

    def inverse(self, numbers: Int64Array) -> Int64Array:
        """The position of each number among the members, ``(N,)``; -1 for those that are none."""
        return _by_pieces(self._positions, numbers)

    def below(self, bounds: Int64Array) -> Int64Array:
        """How many members are below each bound, which lies in [0, size], ``(N,)``."""
        return _by_pieces(self._below, bounds)

    def contains(self, numbers: Int64Array) -> BoolArray:
        """Whether numbers in [0, size) are members, ``(N,)``."""
        words = self.words[numbers >> 6] >> (numbers & 63).astype(np.uint64)
        is_member: BoolArray = (words & np.uint64(1)).astype(np.bool_)
        return is_member

    def bools(self, start: int = 0, stop: int | None = None) -> BoolArray:
        """Whether each number of a range is a member, ``(stop - start,)``."""
        stop = self.size if stop is None else stop
        first = start // _WORD
        words = self.words[first : -(-stop // _WORD)].astype("<u8", copy=False)
        unpacked = np.unpackbits(words.view(np.uint8), bitorder="little").view(np.bool_)
        return unpacked[start - first * _WORD : stop - first * _WORD]

    def runs(self) -> Iterator[tuple[Int64Array, Int64Array]]:
        """The runs of neighbouring members, some at a time: where each begins, and one past its last member."""
        begun = -1  # where the run begins that goes on in the next piece
        for start in range(0, self.size, _PIECE):
            is_member = self.bools(start, min(start + _PIECE, self.size))
            edges = np.flatnonzero(is_member[1:] != is_member[:-1]) + (start + 1)
            if is_member[0] != (begun >= 0):
                edges = np.concatenate([[start], edges])
            if begun >= 0:
                edges = np.concatenate([[begun], edges])
            begun = int(edges[-1]) if len(edges) % 2 else -1
            pairs = edges[: len(edges) // 2 * 2]
            yield pairs[::2], pairs[1::2]
        if begun >= 0:
            yield np.asarray([begun], np.int64), np.asarray([self.size], np.int64)

    def __and__(self, other: Bits) -> Bits:
        """The members of both sets, which have one size."""
        if self.size != other.size:
            raise ValueError(f"sets below {self.size} and {other.size} have no common members")
        return Bits(self.words & other.words, self.size)

    @once
    def _before(self) -> Int64Array:
        """Members before each word, and all of them, ``(words + 1,)``."""
        before = np.zeros(len(self.words) + 1, np.int64)
        np.cumsum(_ones(self.words), out=before[1:])
        return before

    def _members(self, positions: Int64Array) -> Int64Array:
        word = self._before.searchsorted(positions, side="right") - 1
        bits = np.unpackbits(
            self.words[word].astype("<u8", copy=False).view(np.uint8).reshape(-1, 8),
            axis=1,
            bitorder="little",
        )
        nth = bits.cumsum(axis=1, dtype=np.uint8) > (positions - self._before[word])[:, None]
        members: Int64Array = word * _WORD + nth.argmax(axis=1)
        return members

    def _positions(self, numbers: Int64Array) -> Int64Array:
        positions = np.full(numbers.shape, -1, np.int64)
        inside = np.flatnonzero((numbers >= 0) & (numbers < self.size))
        inside = inside[self.contains(numbers[inside])]
        positions[inside] = self._below(numbers[inside])
        return positions

    def _below(self, bounds: Int64Array) -> Int64Array:
        word, bit = bounds >> 6, (bounds & 63).astype(np.uint64)
        below: Int64Array = self._before[word].copy()
        partial = np.flatnonzero(bit)  # a bound at the end of the last word has no word
        mask = (np.uint64(1) << bit[partial]) - np.uint64(1)
        below[partial] += _ones(self.words[word[partial]] & mask)
        return below


def _ones(words: Words) -> npt.NDArray[np.integer[Any]]:
    """How many bits of each word are 1."""
    count: Callable[[Words], npt.NDArray[np.uint8]] | None = getattr(np, "bitwise_count", None)
    if count is not None:
        return count(words)
    counts: npt.NDArray[np.integer[Any]] = (
        _ONES_OF_BYTE[words.view(np.uint8)].reshape(-1, 8).sum(axis=1, dtype=np.int64)
    )
    return counts


def _by_pieces(function: Callable[[Int64Array], Int64Array], numbers: Int64Array) -> Int64Array:
    """What a function returns for numbers, called with a million at a time to save memory."""
    if len(numbers) <= _PIECE:
        return function(numbers)
    found = np.empty(numbers.shape, np.int64)
    for start in range(0, len(numbers), _PIECE):
        found[start : start + _PIECE] = function(numbers[start : start + _PIECE])
    return found
