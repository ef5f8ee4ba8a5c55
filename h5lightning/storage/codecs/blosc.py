"""Decodes Blosc, and Blosc2 frames that hold one chunk, whose blocks may be boxes of an array.

imagecodecs decodes chunks; this module checks their sizes and parses the frames of Blosc2, in the formats that
c-blosc2 documents (README_CFRAME_FORMAT, README_CHUNK_FORMAT, README_B2ND_METALAYER). It refuses what the filter of
HDF5 never writes: chunks that need other data to be decoded, and chunks that leave their output unwritten.
"""

from __future__ import annotations

import struct

import numpy as np

from h5lightning.core.thread_memory import thread_memory
from h5lightning.storage.codecs.boxes import Boxes
from h5lightning.storage.codecs.decoder import Bytes, CodecError, Filler, NoCodecError, unpack
from h5lightning.storage.codecs.libraries import call, load

__all__ = ["Blosc", "Blosc2"]

_SIZES = struct.Struct("<4xIII")  # decoded bytes, bytes of a block, stored bytes
_SNAPPY = 3


class Blosc(Filler):
    """A chunk of Blosc.

    Args:
        values: the client values; the seventh is the compressor.

    Raises:
        NoCodecError: imagecodecs is not installed, or lacks the compressor.
    """

    def __init__(self, values: tuple[int, ...]) -> None:
        if len(values) > 6 and values[6] == _SNAPPY:
            raise NoCodecError("is compressed with snappy inside blosc")
        self._decode = load("blosc")

    def fill(self, stored: Bytes, out: Bytes) -> None:
        """See `Decoder.fill`."""
        # Blosc checks the size of the buffer only, not the sizes in the header.
        nbytes, _, cbytes = unpack(_SIZES, stored, 0)
        if (nbytes, cbytes) != (len(out), len(stored)):
            raise CodecError(
                f"blosc: says {cbytes} bytes that decode to {nbytes}, expected {len(stored)}, {len(out)}"
            )
        call(self._decode, "blosc", stored, out, numthreads=1)


class Blosc2(Filler):
    """A frame with one chunk.

    Args:
        values: the client values; the eighth is the number of axes of a chunk, and its shape follows.

    Raises:
        NoCodecError: imagecodecs is not installed.
    """

    def __init__(self, values: tuple[int, ...]) -> None:
        self._shape = values[8 : 8 + values[7]] if len(values) > 7 else None
        self._decode = load("blosc2")
        self._last: tuple[bytes, int, Boxes | None] = b"", 0, None  # usually the same for all chunks

    def fill(self, stored: Bytes, out: Bytes) -> None:
        """See `Decoder.fill`."""
        frame = _Frame(stored)
        boxes = self._boxes(frame, len(out))
        if boxes is None:
            self._fill(frame, out)
            return
        padded = thread_memory(boxes.padded_bytes)
        self._fill(frame, padded)
        boxes.unpack(padded, out)

    def _boxes(self, frame: _Frame, size: int) -> Boxes | None:
        """How the chunk is divided into boxes; None if its elements are in order."""
        layers = frame.layers()
        last_layers, last_size, boxes = self._last
        if (last_layers, last_size) != (layers, size):
            boxes = self._divided(frame, size)
            self._last = layers, size, boxes
        return boxes

    def _divided(self, frame: _Frame, size: int) -> Boxes | None:
        shapes = frame.shapes()
        if shapes is None:
            return None
        shape, chunk, block = shapes
        if shape != chunk:
            raise _left_to_hdf5(f"an array {shape} in chunks {chunk}")
        if self._shape is not None and shape != self._shape:
            raise CodecError(f"blosc2: an array {shape}, expected {self._shape}")
        boxes = Boxes.of(shape, block, size)
        return None if boxes.are_in_order else boxes

    def _fill(self, frame: _Frame, out: Bytes) -> None:
        if frame.decoded_bytes != len(out):
            raise CodecError(f"blosc2: says {frame.decoded_bytes} bytes, expected {len(out)}")
        if len(frame.chunk):
            self._decode_chunk(frame.chunk, out)
            return
        # The frame holds only the index: an offset of 8 bytes, or a mark in its last byte.
        offset = np.empty(8, np.uint8)
        self._decode_chunk(frame.index(), offset)
        if offset[7] != _ALL_ZEROS:
            raise _left_to_hdf5(f"a chunk that is marked {int(offset[7]):#04x}")
        out[:] = 0

    def _decode_chunk(self, chunk: Bytes, out: Bytes) -> None:
        _check_chunk(chunk, len(out))
        call(self._decode, "blosc2", chunk, out, numthreads=1)


_ALL_ZEROS = 0x81


def _left_to_hdf5(what: str) -> CodecError:
    return CodecError(f"blosc2: {what}, which only HDF5 reads: use reader='h5py'")


# Parts of a frame of Blosc2: magic, header, whole frame, kind, decoded, stored bytes of data.
_HEADER = struct.Struct(">2x8sxixQ2xB3xqxq")
_CHUNK_BYTES = struct.Struct(">58xi")
_LAYERS = struct.Struct(">92xH")
_LAYER = struct.Struct(">94x5sxi")  # name of the first one, where it starts
_AXES = struct.Struct(">7xB")

_MAGIC = b"b2frame\0"
_CONTIGUOUS = 0
_ARRAY = b"\xa4b2nd"
_MOST_AXES = 15


class _Frame:
    """The parts of a frame.

    Args:
        stored: the frame.

    Raises:
        CodecError: it is none, or holds more than one chunk.
    """

    def __init__(self, stored: Bytes) -> None:
        magic, header, total, kind, decoded, size = unpack(_HEADER, stored, 0)
        if magic != _MAGIC or kind & 0x0F != _CONTIGUOUS:
            raise CodecError("blosc2: no frame")
        if not (_LAYERS.size <= header <= header + size <= total <= len(stored)):
            raise CodecError(
                f"blosc2: says {total} bytes, {header} of them header and {size} data, expected {len(stored)}"
            )
        (chunk_bytes,) = unpack(_CHUNK_BYTES, stored, 0)
        if decoded != chunk_bytes:
            raise _left_to_hdf5(f"a frame of {decoded} bytes in chunks of {chunk_bytes}")
        self._header = stored[:header]
        self._behind_data = stored[header + size : total]
        self.chunk = stored[header : header + size]
        self.decoded_bytes: int = decoded

    def index(self) -> Bytes:
        """The chunk of offsets, without the trailer that follows it."""
        return self._behind_data[: unpack(_CHUNK, self._behind_data, 0)[4]]

    def layers(self) -> bytes:
        """The part of the header that describes the chunk."""
        return self._header[_LAYERS.size - 7 :].tobytes()

    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] | None:
        """Shapes of the array, of its chunks and of their blocks; None if the frame holds plain bytes."""
        (layers,) = unpack(_LAYERS, self._header, 0)
        if not layers:
            return None
        name, offset = unpack(_LAYER, self._header, 0)
        if layers > 1 or name != _ARRAY or offset < _LAYERS.size:
            raise _left_to_hdf5("a frame with unknown layers")
        (axes,) = unpack(_AXES, self._header, offset)
        if not 1 <= axes <= _MOST_AXES:
            raise CodecError(f"blosc2: an array of {axes} axes")
        layout = struct.Struct(">9x" + "xq" * axes + "x" + "xi" * axes + "x" + "xi" * axes)
        values = unpack(layout, self._header, offset)
        return values[:axes], values[axes : 2 * axes], values[2 * axes :]


# Parts of a chunk of Blosc2.
_CHUNK = struct.Struct("<BxBxIII6s9xB")  # version, flags, decoded, block, stored bytes, filters, more flags

_VERSION = 5
_EXTENDED = 0b101
_COMPRESSORS = {0, 1, 3, 4}  # blosclz, lz4, zlib, zstd; others are plug-ins
_FILTERS = {bytes([0, 0, 0, 0, 0, number]) for number in range(5)}  # at most one filter, none of a plug-in
_RUNS = {0x00, 0x10, 0x20, 0x30}  # none, zeros, NaN, a value; not: unwritten, lazy, with a dictionary


def _check_chunk(chunk: Bytes, size: int) -> None:
    version, flags, nbytes, block, cbytes, filters, more = unpack(_CHUNK, chunk, 0)
    if (nbytes, cbytes) != (size, len(chunk)) or not 0 < block <= nbytes:
        raise CodecError(
            f"blosc2: says {cbytes} bytes that decode to {nbytes} in blocks of {block}, expected {len(chunk)}, {size}"
        )
    if version != _VERSION or flags & _EXTENDED != _EXTENDED:
        raise _left_to_hdf5(f"a chunk of version {version} with flags {flags:#04x}")
    if flags >> 5 not in _COMPRESSORS or filters not in _FILTERS or more not in _RUNS:
        raise _left_to_hdf5(f"compressor {flags >> 5} with filters {list(filters)} and flags {more:#04x}")
