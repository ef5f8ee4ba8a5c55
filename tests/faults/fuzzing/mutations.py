"""One damage to the bytes of a file, which a seed repeats exactly."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["KINDS", "Target", "mutate"]

_INTERESTING = (
    0,
    1,
    2,
    3,
    7,
    8,
    64,
    255,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**40,
    2**63 - 1,
    2**64 - 1,
)


@dataclass(frozen=True)
class Target:
    """A whole file, and what is known of it.

    Args:
        data: its bytes.
        metadata: start and stop of the parts that are not values of datasets.
        donor: bytes of another file, to take parts from.
    """

    data: bytes
    metadata: Sequence[tuple[int, int]]
    donor: bytes

    def place(self, rng: random.Random) -> int:
        """A byte of the file: every second time one of its metadata."""
        if not self.metadata or rng.random() < 0.5:
            return rng.randrange(len(self.data))
        start, stop = rng.choices(self.metadata, weights=[stop - start for start, stop in self.metadata])[0]
        return rng.randrange(start, stop)


def mutate(target: Target, kind: str, seed: int) -> bytes:
    """The damaged bytes; other than those of the file.

    Args:
        target: the whole file.
        kind: one of `KINDS`.
        seed: says where and how.
    """
    rng = random.Random(f"{kind}-{seed}")
    while True:
        damaged = _MUTATIONS[kind](target, rng)
        if damaged != target.data:
            return damaged


def _flip_bit(target: Target, rng: random.Random) -> bytes:
    place = target.place(rng)
    return _written(target.data, place, bytes([target.data[place] ^ 1 << rng.randrange(8)]))


def _set_byte(target: Target, rng: random.Random) -> bytes:
    return _written(
        target.data, target.place(rng), bytes([rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))])
    )


def _set_word(target: Target, rng: random.Random) -> bytes:
    size = rng.choice((2, 4, 8))
    value = rng.choice(
        (*_INTERESTING, len(target.data), rng.randrange(len(target.data)), rng.getrandbits(64))
    )
    return _written(
        target.data, target.place(rng) // size * size, (value % 256**size).to_bytes(size, "little")
    )


def _fill_block(target: Target, rng: random.Random) -> bytes:
    return _written(target.data, target.place(rng), rng.randbytes(rng.randrange(2, 256)))


def _zero_range(target: Target, rng: random.Random) -> bytes:
    size = rng.choice((16, 64, 512, 4096))
    return _written(target.data, target.place(rng) // size * size, bytes(size))


def _truncate(target: Target, rng: random.Random) -> bytes:
    # A file that lost its end may have been extended again: with zeros, as after a crash of the system.
    size = target.place(rng)
    return target.data[:size] + (bytes(len(target.data) - size) if rng.random() < 0.5 else b"")


def _splice(target: Target, rng: random.Random) -> bytes:
    source = target.data if rng.random() < 0.5 else target.donor
    size = rng.choice((8, 32, 128, 512, len(source)))
    start = rng.randrange(len(source))
    place = start if rng.random() < 0.5 else target.place(rng)
    return _written(target.data, place, source[start : start + size])


def _shift(target: Target, rng: random.Random) -> bytes:
    place, size = target.place(rng), rng.randrange(1, 16)
    rest = target.data[place:]
    return target.data[:place] + (rest[size:] if rng.random() < 0.5 else rng.randbytes(size) + rest)


def _written(data: bytes, place: int, new: bytes) -> bytes:
    """The data with other bytes at a place; they do not grow."""
    return (data[:place] + new + data[place + len(new) :])[: len(data)]


_MUTATIONS: dict[str, Callable[[Target, random.Random], bytes]] = {
    "bit": _flip_bit,
    "byte": _set_byte,
    "word": _set_word,
    "block": _fill_block,
    "zeros": _zero_range,
    "cut": _truncate,
    "splice": _splice,
    "shift": _shift,
}
KINDS = tuple(_MUTATIONS)
