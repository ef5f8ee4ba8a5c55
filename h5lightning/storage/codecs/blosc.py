"""Decodes Blosc, which shuffles and compresses in one filter."""

from __future__ import annotations

import struct

from h5lightning.storage.codecs.decoder import Bytes, CodecError, Filler, NoCodecError, unpack
from h5lightning.storage.codecs.libraries import call, load

__all__ = ["Blosc"]

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
