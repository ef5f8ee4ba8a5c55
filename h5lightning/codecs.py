"""Decoders for the filters of HDF5: stored bytes of a chunk → the chunk.

Each decoder is given a buffer of exactly the size that its output must have, never writes past its end and
refuses input that would leave a part of it unwritten. All release the GIL while they work, and none uses
HDF5, so that any number of threads may decode.

Decoding 128 KiB of float32 takes zlib 680 µs and libdeflate (``deflate``, 0.2 MB) 390 µs. The other formats
come from ``imagecodecs``, which takes 80 MB, and so is an extra.
"""

from __future__ import annotations

import importlib
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, TypeAlias

import deflate
import numpy as np
import numpy.typing as npt

__all__ = ["CodecError", "Filter", "NoCodecError", "Pipeline", "fletcher32"]

Bytes: TypeAlias = npt.NDArray[np.uint8]
Decode: TypeAlias = Callable[[Bytes, Bytes], None]  # stored bytes, and the buffer for what they decode to


class CodecError(ValueError):
    """Stored bytes that are not what the filter writes."""


class NoCodecError(ValueError):
    """A pipeline that cannot be decoded here; the message is what a sentence says of the dataset."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter of a dataset.

    Args:
        number: HDF5's number of the filter.
        values: its client values in this dataset.
    """

    number: int
    values: tuple[int, ...]


class Pipeline:
    """Decodes the chunks of one dataset.

    Args:
        filters: the filters in the order of writing.
        chunk_bytes: bytes of a decoded chunk.

    Raises:
        NoCodecError: chunks of it cannot be decoded here.
    """

    def __init__(self, filters: Sequence[Filter], chunk_bytes: int) -> None:
        self._numbers = [item.number for item in filters]
        self._chunk_bytes = chunk_bytes
        compressors = [number for number in self._numbers if number not in _GROWTH]
        if len(compressors) > 1:
            raise NoCodecError(f"is compressed more than once: filters {compressors}")
        self._decoders = [_decoder(item) for item in filters]

    def decode(self, stored: Bytes, out: Bytes, mask: int = 0) -> None:
        """Decode one chunk.

        Args:
            stored: the stored bytes, ``(stored bytes,)``.
            out: what becomes the chunk, ``(chunk_bytes,)``.
            mask: HDF5's filter mask: bit i is set where filter i was skipped.

        Raises:
            CodecError: the stored bytes are damaged.
        """
        steps = list(self._steps(mask))
        for position in reversed(range(len(steps))):
            number, decode, size = steps[position]
            if size is None:
                size = max(0, len(stored) - _GROWTH[number])
            into = out if position == 0 else np.empty(size, np.uint8)
            decode(stored, into)
            stored = into
        if not steps:
            _copy(stored, out)

    def _steps(self, mask: int) -> Iterator[tuple[int, Decode, int | None]]:
        """The filters that were applied, each with the bytes that it was given; None after a compressor."""
        size: int | None = self._chunk_bytes
        for position, (number, decode) in enumerate(zip(self._numbers, self._decoders, strict=True)):
            if not mask >> position & 1:
                yield number, decode, size
                size = size + _GROWTH[number] if size is not None and number in _GROWTH else None


# ── decoders ─────────────────────────────────────────────────────────────────────────────────────────


def _copy(stored: Bytes, out: Bytes) -> None:
    _check_size(stored, out)
    out[:] = stored


def _check_size(found: Bytes | bytearray | bytes, out: Bytes) -> None:
    if len(found) != len(out):
        raise CodecError(f"{len(found)} bytes, expected {len(out)}")


def _inflate(stored: Bytes, out: Bytes) -> None:
    try:
        decoded = deflate.zlib_decompress(stored, len(out))
    except deflate.DeflateError as error:
        raise CodecError(f"deflate: damaged, or more than {len(out)} bytes") from error
    _copy(np.frombuffer(decoded, np.uint8), out)


def _unshuffle(stored: Bytes, out: Bytes, *, itemsize: int) -> None:
    _check_size(stored, out)
    whole = len(out) - len(out) % itemsize
    planes = stored[:whole].reshape(itemsize, -1)
    elements = out[:whole].reshape(-1, itemsize)
    # One strided copy for each byte takes 40 µs for 128 KiB, a transposed copy 350 µs.
    for byte in range(itemsize):
        elements[:, byte] = planes[byte]
    out[whole:] = stored[whole:]


def _check_fletcher32(stored: Bytes, out: Bytes) -> None:
    _check_size(stored[: max(0, len(stored) - 4)], out)
    if len(stored) < 4:
        raise CodecError(f"{len(stored)} bytes, expected a checksum of 4 at least")
    found = int.from_bytes(stored[-4:].tobytes(), "little")
    expected = fletcher32(stored[:-4])
    # HDF5 before 1.6.3 swapped the bytes of each half.
    swapped = (expected & 0x00FF00FF) << 8 | (expected & 0xFF00FF00) >> 8
    if found not in (expected, swapped):
        raise CodecError(f"fletcher32: checksum {found:#010x}, expected {expected:#010x}")
    out[:] = stored[:-4]


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


def _library(stored: Bytes, out: Bytes, *, decode: Callable[..., Any], name: str) -> None:
    """A whole decoder of imagecodecs, which fills the buffer or fails."""
    try:
        decoded = decode(stored, out=out)
    except (RuntimeError, ValueError) as error:
        raise CodecError(f"{name}: {error}") from error
    _check_size(decoded, out)


def _blosc(stored: Bytes, out: Bytes, *, decode: Decode) -> None:
    # The header says how much is written; blosc itself only looks at the size of the buffer.
    if len(stored) < 16:
        raise CodecError(f"blosc: {len(stored)} bytes, expected a header of 16 at least")
    nbytes, _, cbytes = _unpack("<III", stored, 4)
    if (nbytes, cbytes) != (len(out), len(stored)):
        raise CodecError(
            f"blosc: says {cbytes} bytes that decode to {nbytes}, expected {len(stored)}, {len(out)}"
        )
    decode(stored, out)


def _lz4(stored: Bytes, out: Bytes, *, decode: Decode) -> None:
    """Blocks with a header that HDF5's plug-in puts before them; a block that did not shrink is stored."""
    size, block = _unpack(">QI", stored, 0)
    if size != len(out) or not block:
        raise CodecError(f"lz4: says {size} bytes in blocks of {block}, expected {len(out)}")
    place = 12
    for start in range(0, size, block):
        into = out[start : start + block]
        payload, place = _next_block(stored, place)
        (_copy if len(payload) == len(into) else decode)(payload, into)


def _next_block(stored: Bytes, place: int) -> tuple[Bytes, int]:
    """A block that follows its length, and the place behind it."""
    (size,) = _unpack(">I", stored, place)
    stop = place + 4 + size
    if stop > len(stored):
        raise CodecError(f"a block of {size} bytes ends after {len(stored) - place - 4}")
    return stored[place + 4 : stop], stop


def _unpack(form: str, stored: Bytes, place: int) -> tuple[Any, ...]:
    try:
        return struct.unpack_from(form, stored.data, place)
    except struct.error as error:
        raise CodecError(
            f"it ends after {len(stored)} bytes, expected {struct.calcsize(form)} more"
        ) from error


def _bitshuffle(
    stored: Bytes, out: Bytes, *, itemsize: int, block: int, decode: Decode | None, transpose: Any
) -> None:
    """Transposed bits, which may be compressed in blocks; see the format in bitshuffle's own documentation."""
    if decode is not None:
        stored, block = _bitshuffled(stored, len(out), itemsize, decode)
    _check_size(stored, out)
    # imagecodecs takes the size of elements from an array's type, and from its argument for a plain buffer.
    decoder = partial(transpose, itemsize=itemsize, blocksize=block)
    _library(memoryview(stored), out, decode=decoder, name="bitshuffle")  # type: ignore[arg-type]


def _bitshuffled(stored: Bytes, size: int, itemsize: int, decode: Decode) -> tuple[Bytes, int]:
    found, block_bytes = _unpack(">QI", stored, 0)
    block = block_bytes // itemsize
    if found != size or not block or block % 8:
        raise CodecError(
            f"bitshuffle: says {found} bytes in blocks of {block} elements, expected {size} in multiples of 8"
        )
    decoded = np.empty(size, np.uint8)
    eights = (
        size // (8 * itemsize) * 8 * itemsize
    )  # what is left over, less than 8 elements, is stored as it is
    place = 12
    for start in range(0, eights, block * itemsize):
        into = decoded[start : min(start + block * itemsize, eights)]
        payload, place = _next_block(stored, place)
        decode(payload, into)
    _copy(stored[place:], decoded[eights:])
    return decoded, block


# ── the table ────────────────────────────────────────────────────────────────────────────────────────


def _make_shuffle(values: tuple[int, ...]) -> Decode:
    return partial(_unshuffle, itemsize=max(1, values[0])) if values else _copy


def _make_plain(function: str, values: tuple[int, ...]) -> Decode:  # noqa: ARG001 - same for all values
    return partial(_library, decode=_imagecodecs(function), name=function)


def _make_lz4(values: tuple[int, ...]) -> Decode:
    return partial(_lz4, decode=_make_plain("lz4", values))


def _make_blosc(values: tuple[int, ...]) -> Decode:
    if len(values) > 6 and values[6] == _BLOSC_SNAPPY:
        raise NoCodecError("is compressed with snappy inside of blosc")
    decode = partial(_imagecodecs("blosc"), numthreads=1)
    return partial(_blosc, decode=partial(_library, decode=decode, name="blosc"))


def _make_bitshuffle(values: tuple[int, ...]) -> Decode:
    itemsize, block, compression = (*values[2:5], 0, 0, 0)[:3]
    if not itemsize or compression not in _BITSHUFFLE_INNER:
        raise NoCodecError(f"is bitshuffled in a way that is not known: {values}")
    inner = _BITSHUFFLE_INNER[compression]
    decode = _make_plain(inner, values) if inner else None
    transpose = _imagecodecs("bitshuffle")
    return partial(_bitshuffle, itemsize=itemsize, block=block, decode=decode, transpose=transpose)


_DEFLATE, _SHUFFLE, _FLETCHER32 = 1, 2, 3
_BLOSC_SNAPPY = 3
_BITSHUFFLE_INNER = {0: "", 2: "lz4", 3: "zstd"}

# What a filter adds to the size of its input; a compressor is not in here.
_GROWTH = {_SHUFFLE: 0, _FLETCHER32: 4}

# The numbers of https://github.com/HDFGroup/hdf5_plugins/blob/master/docs/RegisteredFilterPlugins.md.
_CODECS: dict[int, Callable[[tuple[int, ...]], Decode]] = {
    _DEFLATE: lambda _: _inflate,
    _SHUFFLE: _make_shuffle,
    _FLETCHER32: lambda _: _check_fletcher32,
    32000: partial(_make_plain, "lzf"),
    32001: _make_blosc,
    32004: _make_lz4,
    32008: _make_bitshuffle,
    32015: partial(_make_plain, "zstd"),
}


def _decoder(item: Filter) -> Decode:
    if item.number not in _CODECS:
        raise NoCodecError(f"has filter {item.number}, which only HDF5 decodes")
    return _CODECS[item.number](item.values)


@cache
def _imagecodecs(name: str) -> Callable[..., Any]:
    """A decoding function of imagecodecs."""
    try:
        library = importlib.import_module("imagecodecs")
    except ImportError:
        raise NoCodecError(
            f"is compressed with {name}, which takes: pip install 'h5lightning[codecs]' (imagecodecs)"
        ) from None
    if not getattr(library, name.upper()).available:
        raise NoCodecError(f"is compressed with {name}, which this build of imagecodecs lacks")
    function: Callable[..., Any] = getattr(library, f"{name}_decode")
    return function
