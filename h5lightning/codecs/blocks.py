"""Filters of plug-ins that compress block by block: lz4 and bitshuffle, whose blocks look the same.

A header holds the decoded size and that of a block, each block follows its stored size. A loop in Python over the
blocks of 128 KiB took 95 µs (bitshuffle with lz4, blocks of 8 KiB) and 439 µs (lz4, blocks of 1 KiB); imagecodecs
goes through them by itself in 43 and 32 µs.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from h5lightning.codecs.decoder import Bytes, CodecError, Filler, NoCodecError, copy, unpack
from h5lightning.codecs.libraries import call, load

__all__ = ["Bitshuffle", "Lz4"]

_HEADER = struct.Struct(">QI")  # decoded size, bytes of a block
_SIZE = struct.Struct(">I")


class Lz4(Filler):
    """Blocks of LZ4; one that did not shrink is stored as it is."""

    def __init__(self) -> None:
        self._decode = load("lz4h5")

    def fill(self, stored: Bytes, out: Bytes) -> None:
        """See `Decoder.fill`."""
        size, block = unpack(_HEADER, stored, 0)
        if size != len(out) or not block:
            raise CodecError(f"lz4: says {size} bytes in blocks of {block}, expected {len(out)}")
        call(self._decode, "lz4", stored, out)


class Bitshuffle(Filler):
    """Transposed bits, which may be compressed in blocks; see the format in bitshuffle's own documentation.

    Args:
        values: the client values: two versions, then bytes of an element, elements of a block, compressor.

    Raises:
        NoCodecError: it is not installed, or compresses in a way that is not known.
    """

    def __init__(self, values: tuple[int, ...]) -> None:
        itemsize, block, compressor = (*values[2:5], 0, 0, 0)[:3]
        if not itemsize or compressor not in (0, *_INNER):
            raise NoCodecError(f"is bitshuffled in a way that is not known: {values}")
        self._itemsize = itemsize
        self._block = block
        self._inner = _INNER[compressor]() if compressor else None
        self._transpose = load("bitshuffle")

    def fill(self, stored: Bytes, out: Bytes) -> None:
        """See `Decoder.fill`."""
        block = self._block
        if self._inner is not None:
            stored, block = self._decompressed(stored, len(out), self._inner)
        if len(stored) != len(out):
            raise CodecError(f"bitshuffle: {len(stored)} bytes, expected {len(out)}")
        # The size of elements is taken from an array's type, and from the argument for a plain buffer.
        call(self._transpose, "bitshuffle", stored.data, out, itemsize=self._itemsize, blocksize=block)

    def _decompressed(self, stored: Bytes, size: int, inner: _Inner) -> tuple[Bytes, int]:
        """The transposed bits, and the elements of a block."""
        found, block_bytes = unpack(_HEADER, stored, 0)
        block = block_bytes // self._itemsize
        if found != size or not block or block % 8:
            raise CodecError(
                f"bitshuffle: says {found} bytes in blocks of {block} elements, expected {size} in multiples of 8"
            )
        decoded = np.empty(size, np.uint8)
        eights = size - size % (8 * self._itemsize)  # what is left, fewer than 8 elements, is stored as it is
        blocks = _Blocks.of(stored, eights, block * self._itemsize)
        if eights:
            inner(blocks, decoded[:eights])
        copy(stored[blocks.stop :], decoded[eights:])
        return decoded, block


@dataclass(frozen=True, slots=True, eq=False)
class _Blocks:
    """Stored blocks.

    Args:
        stored: header and blocks, and what follows them.
        spans: where each block starts and stops, after its size.
        block_bytes: decoded bytes of each but the last.
    """

    stored: Bytes
    spans: list[tuple[int, int]]
    block_bytes: int

    @classmethod
    def of(cls, stored: Bytes, size: int, block_bytes: int) -> _Blocks:
        """The blocks that ``size`` bytes were stored in."""
        return cls(stored, _spans(stored, -(-size // block_bytes)), block_bytes)

    @property
    def stop(self) -> int:
        """Where they end."""
        return self.spans[-1][1] if self.spans else _HEADER.size


def _spans(stored: Bytes, count: int) -> list[tuple[int, int]]:
    read, buffer, stop = _SIZE.unpack_from, stored.data, _HEADER.size
    spans = []
    try:
        for _ in range(count):
            start = stop + _SIZE.size
            stop = start + read(buffer, stop)[0]
            spans.append((start, stop))
    except struct.error:
        stop = len(stored) + 1
    if stop > len(stored):
        raise CodecError(f"block {len(spans)} of {count} ends past the {len(stored)} bytes that are stored")
    return spans


_Inner = Callable[[_Blocks, Bytes], None]


class _Lz4Blocks:
    """Blocks of LZ4, all of them compressed."""

    def __init__(self) -> None:
        self._decode = load("lz4")
        self._decode_all = load("lz4h5")

    def __call__(self, blocks: _Blocks, out: Bytes) -> None:
        size = blocks.block_bytes
        last_size = len(out) - (len(blocks.spans) - 1) * size
        if {stop - start for start, stop in blocks.spans}.isdisjoint((size, last_size)):
            call(self._decode_all, "lz4", _with_size(blocks.stored[: blocks.stop], len(out)), out)
            return
        # For the filter lz4, a block of that size is stored as it is.
        for number, (start, stop) in enumerate(blocks.spans):
            call(self._decode, "lz4", blocks.stored[start:stop], out[number * size : (number + 1) * size])


def _with_size(stored: Bytes, size: int) -> Bytes:
    """The same blocks with a header that says ``size``."""
    if unpack(_HEADER, stored, 0)[0] == size:
        return stored
    changed: Bytes = stored.copy()
    changed[:8] = np.frombuffer(size.to_bytes(8, "big"), np.uint8)
    return changed


class _ZstdBlocks:
    """Frames of Zstandard, which decode to one piece when they follow each other."""

    def __init__(self) -> None:
        self._decode = load("zstd")

    def __call__(self, blocks: _Blocks, out: Bytes) -> None:
        buffer = blocks.stored.data
        frames = b"".join([buffer[start:stop] for start, stop in blocks.spans])
        call(self._decode, "zstd", frames, out)


_INNER: dict[int, Callable[[], _Inner]] = {2: _Lz4Blocks, 3: _ZstdBlocks}
