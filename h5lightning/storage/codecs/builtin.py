"""The filters that HDF5 itself has: deflate, shuffle, fletcher32.

To inflate 128 KiB of float32 takes zlib 420 µs, ISA-L (``isal``) 226 µs, zlib-ng 215 µs and libdeflate 163 µs
(``deflate``, 0.2 MB; in imagecodecs 159 µs). To undo shuffle takes NumPy 38 µs and Blosc 6 µs.
"""

from __future__ import annotations

import struct
from typing import ClassVar

import deflate
import numpy as np

from h5lightning.storage.codecs.decoder import Bytes, CodecError, Copy, Decoder, Filler, Maker, check_size
from h5lightning.storage.codecs.libraries import call, load_if_there

__all__ = ["Fletcher32", "Inflate", "Unshuffle", "fletcher32", "unshuffle"]


# ── deflate ──────────────────────────────────────────────────────────────────────────────────────────


class Inflate(Maker):
    """Undoes deflate, never beyond the size that is expected."""

    def make(self, stored: Bytes, size: int) -> Bytes:
        """See `Decoder.make`."""
        try:
            decoded = deflate.zlib_decompress(stored, size)
        except deflate.DeflateError as error:
            raise CodecError(f"deflate: damaged, or more than {size} bytes") from error
        check_size(decoded, size)
        return np.frombuffer(decoded, np.uint8)


# ── shuffle ──────────────────────────────────────────────────────────────────────────────────────────

_MOST_BLOSC_ITEM_BYTES = 255
_MOST_BLOSC_BYTES = 256 << 20


def unshuffle(itemsize: int) -> Decoder:
    """What undoes shuffle for elements of a size."""
    return Unshuffle(itemsize) if itemsize > 1 else Copy()


class Unshuffle(Filler):
    """Puts the bytes of each element together again.

    Args:
        itemsize: bytes of an element.
    """

    growth: ClassVar[int | None] = 0

    def __init__(self, itemsize: int) -> None:
        self._itemsize = itemsize
        self._blosc = load_if_there("blosc_decode") if itemsize <= _MOST_BLOSC_ITEM_BYTES else None

    def fill(self, stored: Bytes, out: Bytes) -> None:
        """See `Decoder.fill`."""
        check_size(stored, len(out))
        if self._blosc is None or len(out) > _MOST_BLOSC_BYTES:
            _transpose(stored, out, self._itemsize)
            return
        frame = _shuffled_by_blosc(stored, self._itemsize)
        call(self._blosc, "shuffle", frame, out, numthreads=1)


_BLOSC = struct.Struct("<BBBBIIIII")  # header, where its one block starts, bytes of that block
_BLOSC_FLAGS = 0b110001  # shuffled, in one stream; LZ4, but a stream that did not shrink is stored as it is


def _shuffled_by_blosc(stored: Bytes, itemsize: int) -> Bytes:
    """Shuffled bytes as what Blosc makes of data that it shuffles and cannot compress."""
    size, place = len(stored), _BLOSC.size - 4
    frame = np.empty(_BLOSC.size + size, np.uint8)
    _BLOSC.pack_into(frame.data, 0, 2, 1, _BLOSC_FLAGS, itemsize, size, size, len(frame), place, size)
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


# ── fletcher32 ───────────────────────────────────────────────────────────────────────────────────────


class Fletcher32(Maker):
    """Checks and takes off the checksum, without a copy."""

    growth: ClassVar[int | None] = 4

    def __init__(self) -> None:
        # For 4 KiB it takes 2 µs, NumPy 11 µs.
        self._checksum = load_if_there("h5checksum_fletcher32") or fletcher32

    def make(self, stored: Bytes, size: int) -> Bytes:
        """See `Decoder.make`."""
        if len(stored) <= 4:
            raise CodecError(f"{len(stored)} bytes, expected some and a checksum of 4")
        data = stored[:-4]
        check_size(data, size)
        found = int.from_bytes(stored[-4:].tobytes(), "little")
        expected = self._checksum(data)
        # HDF5 before 1.6.3 swapped the bytes of each half.
        swapped = (expected & 0x00FF00FF) << 8 | (expected & 0xFF00FF00) >> 8
        if found not in (expected, swapped):
            raise CodecError(f"fletcher32: checksum {found:#010x}, expected {expected:#010x}")
        return data


_WORDS = 256
_WEIGHTS = np.stack([np.ones(_WORDS), np.arange(_WORDS, 0, -1)], axis=1)


def fletcher32(data: Bytes) -> int:
    """HDF5's checksum of bytes, ``(N,)``: of big-endian words, with sums that fold to 65535 rather than 0.

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
