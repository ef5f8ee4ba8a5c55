"""Filters of plug-ins that compress block by block: lz4 and bitshuffle, which store blocks in the same format.

A header holds the decoded size and the size of a block; each block follows its stored size. A loop in Python over the
blocks of 128 KiB took 95 µs (bitshuffle with lz4, blocks of 8 KiB) and 439 µs (lz4, blocks of 1 KiB); imagecodecs
decodes all blocks in one call, in 43 and 32 µs.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import numpy as np

from h5lightning.core.thread_memory import thread_memory
from h5lightning.storage.codecs.decoder import Bytes, CodecError, Filler, NoCodecError, copy, unpack
from h5lightning.storage.codecs.libraries import call, load

__all__ = ["Bitshuffle", "Lz4"]

_HEADER = struct.Struct(">QI")  # decoded size, bytes of a block
_SIZE = struct.Struct(">I")


class Lz4(Filler):
    """Blocks of LZ4; a block that did not shrink is stored uncompressed."""

    def __init__(self) -> None:
        self._decode = load("lz4h5")

    def fill(self, stored: Bytes, out: Bytes) -> None:
        """See `Decoder.fill`."""
        size, block = unpack(_HEADER, stored, 0)
        if size != len(out) or not block:
            raise CodecError(f"lz4: says {size} bytes in blocks of {block}, expected {len(out)}")
        sizes = _sizes(stored, -(-size // block))
        call(self._decode, "lz4", stored[: _stop(sizes)], out)


class Bitshuffle(Filler):
    """Transposed bits, which may be compressed in blocks; bitshuffle documents the format.

    Args:
        values: the client values: two versions, then bytes of an element, elements of a block, compressor.

    Raises:
        NoCodecError: imagecodecs is not installed, or cannot decode this variant.
    """

    def __init__(self, values: tuple[int, ...]) -> None:
        itemsize, block, compressor = (*values[2:5], 0, 0, 0)[:3]
        if not itemsize or compressor not in (0, *_INNER):
            raise NoCodecError(f"is bitshuffled with unknown parameters: {values}")
        self._itemsize = itemsize
        self._block = block
        self._inner = _INNER[compressor]() if compressor else None
        self._transpose = load("bitshuffle")
        if itemsize not in (1, 2, 4, 8):
            self._try()

    def fill(self, stored: Bytes, out: Bytes) -> None:
        """See `Decoder.fill`."""
        block = self._block
        if self._inner is not None:
            stored, block = self._decompressed(stored, len(out), self._inner)
        if len(stored) != len(out):
            raise CodecError(f"bitshuffle: {len(stored)} bytes, expected {len(out)}")
        self._untranspose(stored, out, block)

    def _untranspose(self, stored: Bytes, out: Bytes, block: int) -> None:
        # The size of elements is taken from an array's type, and from the argument for a plain buffer.
        call(self._transpose, "bitshuffle", stored.data, out, itemsize=self._itemsize, blocksize=block)

    def _try(self) -> None:
        """Some versions of imagecodecs accept elements of 1, 2, 4 and 8 bytes only."""
        try:
            probe = np.zeros(8 * self._itemsize, np.uint8)
            self._untranspose(probe, np.empty_like(probe), 8)
        except CodecError as error:
            raise NoCodecError(
                f"is bitshuffled in elements of {self._itemsize} bytes, which this imagecodecs refuses: {error}"
            ) from error

    def _decompressed(self, stored: Bytes, size: int, inner: _Inner) -> tuple[Bytes, int]:
        """The transposed bits, and the elements of a block."""
        decoded_bytes, block_bytes = unpack(_HEADER, stored, 0)
        block = block_bytes // self._itemsize
        if decoded_bytes != size or not block or block % 8:
            raise CodecError(
                f"bitshuffle: says {decoded_bytes} bytes in blocks of {block} elements, expected {size} in "
                "multiples of 8"
            )
        decoded = thread_memory(size)
        # The last elements, fewer than 8, are stored untransposed.
        eights = size - size % (8 * self._itemsize)
        sizes = _sizes(stored, -(-eights // (block * self._itemsize)))
        stop = _stop(sizes)
        if eights:
            inner(stored[:stop], sizes, decoded[:eights])
        copy(stored[stop:], decoded[eights:])
        return decoded, block


def _sizes(stored: Bytes, count: int) -> list[int]:
    """The stored sizes of blocks."""
    read, buffer, offset = _SIZE.unpack_from, stored.data, _HEADER.size
    sizes = []
    try:
        for _ in range(count):
            (size,) = read(buffer, offset)
            sizes.append(size)
            offset += _SIZE.size + size
    except struct.error:
        offset = len(stored) + 1
    if offset > len(stored):
        raise CodecError(f"block {len(sizes)} of {count} ends past the {len(stored)} bytes that are stored")
    return sizes


def _stop(sizes: list[int]) -> int:
    """Offset of the end of blocks with these sizes."""
    return _HEADER.size + _SIZE.size * len(sizes) + sum(sizes)


def _payloads(stored: Bytes, sizes: list[int]) -> Iterator[memoryview]:
    buffer, stop = stored.data, _HEADER.size
    for size in sizes:
        start, stop = stop + _SIZE.size, stop + _SIZE.size + size
        yield buffer[start:stop]


# Called with header and blocks, their stored sizes, and the buffer.
_Inner = Callable[[Bytes, list[int], Bytes], None]


class _Lz4Blocks:
    """Blocks of LZ4, all of them compressed."""

    def __init__(self) -> None:
        self._decode = load("lz4")
        self._decode_all = load("lz4h5")

    def __call__(self, stored: Bytes, sizes: list[int], out: Bytes) -> None:
        said, block = unpack(_HEADER, stored, 0)
        last = len(out) - (len(sizes) - 1) * block
        if block in sizes or last in sizes:
            # For the filter lz4, a block of that size is stored uncompressed.
            for number, payload in enumerate(_payloads(stored, sizes)):
                call(self._decode, "lz4", payload, out[number * block : (number + 1) * block])
        else:
            call(self._decode_all, "lz4", stored if said == len(out) else _with_size(stored, len(out)), out)


def _with_size(stored: Bytes, size: int) -> Bytes:
    """The same blocks with a header that says another size."""
    changed: Bytes = stored.copy()
    changed[:8] = np.frombuffer(size.to_bytes(8, "big"), np.uint8)
    return changed


class _ZstdBlocks:
    """Frames of Zstandard; frames that follow each other decode as one."""

    def __init__(self) -> None:
        self._decode = load("zstd")

    def __call__(self, stored: Bytes, sizes: list[int], out: Bytes) -> None:
        call(self._decode, "zstd", b"".join(_payloads(stored, sizes)), out)


_INNER: dict[int, Callable[[], _Inner]] = {2: _Lz4Blocks, 3: _ZstdBlocks}
