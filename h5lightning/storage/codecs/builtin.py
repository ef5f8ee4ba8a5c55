"""Decodes the filters that HDF5 itself has: deflate, shuffle, fletcher32.

Inflating 128 KiB of float32 takes 420 µs with zlib, 226 µs with ISA-L (``isal``), 215 µs with zlib-ng and 163 µs with
libdeflate (``deflate``, 0.2 MB; in imagecodecs 159 µs). Undoing shuffle takes 38 µs with NumPy and 6 µs with Blosc.
"""

from __future__ import annotations

import struct
from typing import ClassVar

import deflate
import numpy as np

from h5lightning.core.thread_memory import thread_memory
from h5lightning.storage.codecs.decoder import Bytes, CodecError, Copy, Decoder, Filler, Maker, check_size
from h5lightning.storage.codecs.libraries import call, load_if_installed

__all__ = ["Fletcher32", "Inflate", "Unshuffle", "fletcher32", "unshuffle"]


class Inflate(Maker):
    """Undoes deflate, and never writes more than the expected size."""

    def make(self, stored: Bytes, size: int) -> Bytes:
        """See `Decoder.make`."""
        try:
            decoded = deflate.zlib_decompress(stored, size)
        except deflate.DeflateError as error:
            raise CodecError(f"deflate: damaged, or more than {size} bytes") from error
        check_size(decoded, size)
        return np.frombuffer(decoded, np.uint8)


_MOST_BLOSC_ITEM_BYTES = 255
_MOST_BLOSC_BYTES = 256 << 20


def unshuffle(itemsize: int) -> Decoder:
    """The decoder that undoes shuffle for elements of ``itemsize`` bytes."""
    return Unshuffle(itemsize) if itemsize > 1 else Copy()


class Unshuffle(Filler):
    """Puts the bytes of each element together again.

    Args:
        itemsize: bytes of an element.
    """

    growth: ClassVar[int | None] = 0

    def __init__(self, itemsize: int) -> None:
        self._itemsize = itemsize
        self._blosc = load_if_installed("blosc_decode") if itemsize <= _MOST_BLOSC_ITEM_BYTES else None

    def fill(self, stored: Bytes, out: Bytes) -> None:
        """See `Decoder.fill`."""
        check_size(stored, len(out))
        if self._blosc is None or len(out) > _MOST_BLOSC_BYTES:
            _transpose(stored, out, self._itemsize)
            return
        frame = _shuffled_by_blosc(stored, self._itemsize)
        call(self._blosc, "shuffle", frame, out, numthreads=1)


_BLOSC = struct.Struct("<BBBBIIIII")  # header, start of its only block, bytes of that block
_BLOSC_FLAGS = 0b110001  # shuffled, in one LZ4 stream; a stream that did not shrink is stored uncompressed


def _shuffled_by_blosc(stored: Bytes, itemsize: int) -> Bytes:
    """A Blosc frame around shuffled bytes, as Blosc writes it for data that it cannot compress."""
    size, start = len(stored), _BLOSC.size - 4
    frame = thread_memory(_BLOSC.size + size)
    _BLOSC.pack_into(frame.data, 0, 2, 1, _BLOSC_FLAGS, itemsize, size, size, len(frame), start, size)
    frame[_BLOSC.size :] = stored
    return frame


def _transpose(stored: Bytes, out: Bytes, itemsize: int) -> None:
    whole = len(out) - len(out) % itemsize
    planes = stored[:whole].reshape(itemsize, -1)
    elements = out[:whole].reshape(-1, itemsize)
    # One strided copy for each byte takes 40 µs for 128 KiB, a transposed copy 350 µs.
    for byte in range(itemsize):
        elements[:, byte] = planes[byte]
    out[whole:] = stored[whole:]


class Fletcher32(Maker):
    """Checks and removes the checksum, without a copy."""

    growth: ClassVar[int | None] = 4

    def __init__(self) -> None:
        # 4 KiB take 2 µs with imagecodecs, 11 µs with NumPy.
        self._checksum = load_if_installed("h5checksum_fletcher32") or fletcher32

    def make(self, stored: Bytes, size: int) -> Bytes:
        """See `Decoder.make`."""
        if len(stored) <= 4:
            raise CodecError(f"{len(stored)} bytes, expected more than a checksum of 4")
        data = stored[:-4]
        check_size(data, size)
        checksum = int.from_bytes(stored[-4:].tobytes(), "little")
        expected = self._checksum(data)
        # HDF5 before 1.6.3 swapped the bytes of each half.
        swapped = (expected & 0x00FF00FF) << 8 | (expected & 0xFF00FF00) >> 8
        if checksum not in (expected, swapped):
            raise CodecError(f"fletcher32: checksum {checksum:#010x}, expected {expected:#010x}")
        return data


_WORDS = 256
_WEIGHTS = np.stack([np.ones(_WORDS), np.arange(_WORDS, 0, -1)], axis=1)


def fletcher32(data: Bytes) -> int:
    """HDF5's checksum of bytes, ``(N,)``: over big-endian words, with sums that fold to 65535 instead of 0.

    Example:
        >>> hex(fletcher32(np.full(4, 0xFF, np.uint8)))
        '0xffffffff'
    """
    words = (len(data) + 1) // 2
    rows = -(-words // _WORDS)
    padded = np.zeros(2 * rows * _WORDS, np.uint8)
    padded[: len(data)] = data
    # Sums of rows of 256 words, and sums weighted by the words to the end of the row: exact as float64.
    sums = (padded.view(">u2").reshape(rows, _WORDS).astype(np.float64) @ _WEIGHTS).astype(np.int64)
    after = words - _WORDS * np.arange(1, rows + 1)
    first = int(sums[:, 0].sum())
    second = int((sums[:, 1] + sums[:, 0] % 0xFFFF * (after % 0xFFFF)).sum())
    return _folded(second, first) << 16 | _folded(first, first)


def _folded(total: int, is_nonzero: int) -> int:
    return (total - 1) % 0xFFFF + 1 if is_nonzero else 0
