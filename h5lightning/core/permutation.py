"""Keyed permutations of positions, and their keys.

Random generators of libraries may change between versions; splits and orders must not. So the permutation is our own,
with golden values in the tests: an alternating (unbalanced) Feistel network on the smallest power of two that holds all
positions, with cycle walking (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002). Each position costs
O(1) time and memory.

`KeyedPermutation` is a single permutation; `KeyedPermutations` are many permutations of different sizes.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.core.sample_numbers import to_numbers

__all__ = ["KeyDeriver", "KeyedPermutation", "KeyedPermutations", "derive_key", "derive_keys"]

UInt64Array = npt.NDArray[np.uint64]
_Round: TypeAlias = tuple[int, np.uint64 | UInt64Array]  # number and key

_ROUNDS = 8
_MIN_BITS = 6  # on smaller domains, permutations of few positions are measurably not uniform
_MIN_BITS_OF_MANY = 2  # many permutations include tiny ones, which would walk for long in a domain of 64
_MULTIPLIER_1 = np.uint64(0xBF58476D1CE4E5B9)  # the two multipliers of splitmix64
_MULTIPLIER_2 = np.uint64(0x94D049BB133111EB)
_FOLD = np.uint64(32)
_GOLDEN_RATIO = np.uint64(0x9E3779B97F4A7C15)  # the increment of splitmix64


def derive_key(*parts: int | str) -> int:
    """A 64-bit key of all parts and their order, equal on every platform and in every version.

    Args:
        *parts: integers of any size and strings, such as ``("order", seed, epoch)``.

    Returns:
        An integer in [0, 2**64).

    Example:
        >>> derive_key("split", 0) == derive_key("split", 0) != derive_key("split", 1)
        True
    """
    return KeyDeriver(*parts)()


class KeyDeriver:
    """`derive_key` for many keys that begin with the same parts.

    Args:
        *parts: the first parts.

    Example:
        >>> KeyDeriver("split", 0)(7) == derive_key("split", 0, 7)
        True
    """

    __slots__ = ("_digest",)

    def __init__(self, *parts: int | str) -> None:
        self._digest = hashlib.blake2b(digest_size=8)
        _add(self._digest, parts)

    def __call__(self, *parts: int | str) -> int:
        """The key of the first parts and these."""
        digest = self._digest.copy()
        _add(digest, parts)
        return int.from_bytes(digest.digest(), "little")


def _add(digest: hashlib.blake2b, parts: Iterable[int | str]) -> None:
    for part in parts:
        # NumPy integers and bools count as Python integers.
        text = (f"str:{part}" if isinstance(part, str) else f"int:{int(operator.index(part))}").encode()
        digest.update(len(text).to_bytes(8, "little") + text)


def derive_keys(keys: npt.ArrayLike, numbers: npt.ArrayLike) -> UInt64Array:
    """64-bit keys of pairs of a key and a number, by splitmix64; far cheaper than many calls of `derive_key`.

    Args:
        keys: one 64-bit key or an array of them.
        numbers: integers from 0 on, broadcast against ``keys``.

    Returns:
        One key for each pair, as an array even for a single pair.
    """
    # Arrays wrap around silently, scalars warn.
    steps = np.atleast_1d(np.asarray(numbers, dtype=np.int64)).view(np.uint64) + np.uint64(1)
    state = np.asarray(keys, dtype=np.uint64) + steps * _GOLDEN_RATIO
    state = (state ^ (state >> np.uint64(30))) * _MULTIPLIER_1
    state = (state ^ (state >> np.uint64(27))) * _MULTIPLIER_2
    mixed: UInt64Array = state ^ (state >> np.uint64(31))
    return mixed


class KeyedPermutation:
    """A bijection of ``range(size)`` that is computed and not stored.

    Args:
        size: the number of positions, at least 0.
        key: selects the permutation; see `derive_key`.

    Example:
        >>> order = KeyedPermutation(5, key=1)
        >>> sorted(order(np.arange(5)).tolist())
        [0, 1, 2, 3, 4]
    """

    __slots__ = ("_high_bits", "_low_bits", "_rounds", "key", "size")

    def __init__(self, size: int, key: int) -> None:
        if size < 0:
            raise ValueError(f"a permutation needs a size of at least 0, found {size}")
        self.size = size
        self.key = key
        bits = max(_MIN_BITS, (size - 1).bit_length())
        self._low_bits = np.uint64(bits // 2)
        self._high_bits = np.uint64(bits - bits // 2)
        self._rounds = [(number, np.uint64(derive_key(key, number))) for number in range(_ROUNDS)]

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.size, self.key))

    def __call__(self, positions: npt.ArrayLike) -> Int64Array:
        """Map positions, ``(N,)`` in [0, size), to their images, ``(N,)`` int64.

        Raises:
            IndexError: a position is outside of the permutation.
        """
        return self._walk(self._checked(positions, "positions"), self._rounds)

    def inverse(self, images: npt.ArrayLike) -> Int64Array:
        """Map images, ``(N,)`` in [0, size), back to their positions, ``(N,)`` int64.

        Raises:
            IndexError: an image is outside of the permutation.
        """
        return self._walk(self._checked(images, "images"), self._rounds[::-1])

    def _checked(self, numbers: npt.ArrayLike, name: str) -> Int64Array:
        start = to_numbers(numbers, name, ndim=None)
        if start.size and (start.min() < 0 or start.max() >= self.size):
            raise IndexError(f"{name} must lie in [0, {self.size}), found {start.min()}..{start.max()}")
        return start

    def _walk(self, start: Int64Array, rounds: Sequence[_Round]) -> Int64Array:
        """Encipher, or decipher, until all values lie in the range.

        Cycle walking: a value outside of the range is enciphered again. The domain is less than twice the size (but at
        least 64), so that few repetitions are needed.
        """
        image = _encipher(start.ravel().view(np.uint64), self._low_bits, self._high_bits, rounds)
        outside = np.flatnonzero(image >= self.size)
        while outside.size:
            image[outside] = _encipher(image[outside], self._low_bits, self._high_bits, rounds)
            outside = outside[image[outside] >= self.size]
        return image.view(np.int64).reshape(start.shape)


class KeyedPermutations:
    """Many bijections of ``range(size)`` with different sizes, computed together.

    Args:
        sizes: the number of positions of each permutation, ``(K,)``.
        keys: 64-bit keys that select the permutations, ``(K,)``; see `derive_keys`.

    Example:
        >>> orders = KeyedPermutations(np.array([2, 3]), derive_keys(7, np.arange(2)))
        >>> images = orders(np.array([0, 0, 1, 1, 1]), np.array([0, 1, 0, 1, 2]))
        >>> sorted(images[:2].tolist()), sorted(images[2:].tolist())
        ([0, 1], [0, 1, 2])
    """

    __slots__ = ("_high_bits", "_low_bits", "_round_keys", "_sizes")

    def __init__(self, sizes: Int64Array, keys: UInt64Array) -> None:
        # frexp gives the bit length of integers below 2**53.
        bits = np.maximum(np.frexp((sizes - 1).astype(np.float64))[1], _MIN_BITS_OF_MANY).astype(np.uint64)
        self._sizes = sizes.astype(np.uint64)
        self._low_bits = bits >> np.uint64(1)
        self._high_bits = bits - self._low_bits
        self._round_keys = derive_keys(keys, np.arange(_ROUNDS)[:, None])

    def __call__(self, which: Int64Array, positions: Int64Array) -> Int64Array:
        """Map positions to their images.

        Args:
            which: the permutation of each position, ``(N,)``.
            positions: each in [0, size of its permutation), ``(N,)``.

        Returns:
            ``(N,)`` int64.
        """
        image = self._encipher(which, positions.view(np.uint64))
        outside = np.flatnonzero(image >= self._sizes[which])
        while outside.size:
            image[outside] = self._encipher(which[outside], image[outside])
            outside = outside[image[outside] >= self._sizes[which[outside]]]
        return image.view(np.int64)

    def _encipher(self, which: Int64Array, values: UInt64Array) -> UInt64Array:
        rounds = ((number, of_round[which]) for number, of_round in enumerate(self._round_keys))
        return _encipher(values, self._low_bits[which], self._high_bits[which], rounds)


def _encipher(
    values: UInt64Array,
    low_bits: np.uint64 | UInt64Array,
    high_bits: np.uint64 | UInt64Array,
    rounds: Iterable[_Round],
) -> UInt64Array:
    """The rounds of the network; in reverse order they decipher."""
    low: UInt64Array = values & ((np.uint64(1) << low_bits) - np.uint64(1))
    high: UInt64Array = values >> low_bits
    for number, key in rounds:
        if number % 2:
            low = low ^ _mix(high, key, low_bits)
        else:
            high = high ^ _mix(low, key, high_bits)
    joined: UInt64Array = (high << low_bits) | low
    return joined


def _mix(values: UInt64Array, key: np.uint64 | UInt64Array, bits: np.uint64 | UInt64Array) -> UInt64Array:
    mixed: UInt64Array = (values ^ key) * _MULTIPLIER_1
    mixed ^= mixed >> _FOLD
    mixed *= _MULTIPLIER_2
    mixed >>= np.uint64(64) - bits
    return mixed
