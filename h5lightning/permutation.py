"""Keyed permutations of positions, and the keys for them.

Library generators may change their streams between versions; splits and orders must not. So the
permutation is our own, with golden values in the tests: an alternating (unbalanced) Feistel network on
the smallest power of two that holds all positions, with cycle walking (Black and Rogaway, "Ciphers with
arbitrary finite domains", 2002). Any position costs O(1) time and memory.
"""

from __future__ import annotations

import hashlib
import operator
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["KeyedPermutation", "derive_key"]

Int64Array = npt.NDArray[np.int64]
UInt64Array = npt.NDArray[np.uint64]

_ROUNDS = 8
_MIN_BITS = 6  # on smaller domains the permutations of few positions are measurably not uniform
_MULTIPLIER_1 = np.uint64(0xBF58476D1CE4E5B9)  # the two multipliers of splitmix64
_MULTIPLIER_2 = np.uint64(0x94D049BB133111EB)
_FOLD = np.uint64(32)


def derive_key(*parts: int | str) -> int:
    """A 64-bit key that depends on every part and on their order, equal on every platform and version.

    Args:
        *parts: integers of any size and strings, such as ``("order", seed, epoch)``.

    Returns:
        An integer in [0, 2**64).

    Example:
        >>> derive_key("split", 0) == derive_key("split", 0) != derive_key("split", 1)
        True
    """
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        # NumPy integers and bools are the integers that they hold.
        text = (f"str:{part}" if isinstance(part, str) else f"int:{int(operator.index(part))}").encode()
        digest.update(len(text).to_bytes(8, "little") + text)
    return int.from_bytes(digest.digest(), "little")


class KeyedPermutation:
    """A bijection of ``range(size)`` that is computed, not stored.

    Args:
        size: the number of positions, at least 0.
        key: selects the permutation; see `derive_key`.

    Example:
        >>> order = KeyedPermutation(5, key=1)
        >>> sorted(order(np.arange(5)).tolist())
        [0, 1, 2, 3, 4]
    """

    __slots__ = ("_high_bits", "_low_bits", "_round_keys", "key", "size")

    def __init__(self, size: int, key: int) -> None:
        if size < 0:
            raise ValueError(f"a permutation needs a size of at least 0, found {size}")
        self.size = size
        self.key = key
        bits = max(_MIN_BITS, (size - 1).bit_length())
        self._low_bits = np.uint64(bits // 2)
        self._high_bits = np.uint64(bits - bits // 2)
        self._round_keys = [np.uint64(derive_key(key, round_)) for round_ in range(_ROUNDS)]

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.size, self.key))

    def __call__(self, positions: npt.ArrayLike) -> Int64Array:
        """Map positions, ``(N,)`` in [0, size), to their images, ``(N,)`` int64.

        Raises:
            IndexError: a position is outside of the permutation.
        """
        start = np.asarray(positions, dtype=np.int64)
        if start.size and (start.min() < 0 or start.max() >= self.size):
            raise IndexError(f"positions must lie in [0, {self.size}), found {start.min()}..{start.max()}")
        image = self._encipher(start.ravel().view(np.uint64))
        # Cycle walking: an image outside of the range is enciphered again. The domain is less than
        # twice the size (64 positions at least), so that few rounds are needed.
        outside = np.flatnonzero(image >= self.size)
        while outside.size:
            image[outside] = self._encipher(image[outside])
            outside = outside[image[outside] >= self.size]
        return image.view(np.int64).reshape(start.shape)

    def _encipher(self, values: UInt64Array) -> UInt64Array:
        low: UInt64Array = values & ((np.uint64(1) << self._low_bits) - np.uint64(1))
        high: UInt64Array = values >> self._low_bits
        for number, key in enumerate(self._round_keys):
            if number % 2:
                low = low ^ _mix(high, key, self._low_bits)
            else:
                high = high ^ _mix(low, key, self._high_bits)
        joined: UInt64Array = (high << self._low_bits) | low
        return joined


def _mix(values: UInt64Array, key: np.uint64, bits: np.uint64) -> UInt64Array:
    mixed: UInt64Array = (values ^ key) * _MULTIPLIER_1
    mixed ^= mixed >> _FOLD
    mixed *= _MULTIPLIER_2
    mixed >>= np.uint64(64) - bits
    return mixed
