"""The interface of decoders, and functions that they share.

A decoder never writes past the end of its output, and raises instead of leaving a part of it unwritten. Decoders
release the GIL and do not use HDF5, so that any number of threads may decode at the same time.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from h5lightning.core.arrays import Bytes

__all__ = [
    "Bytes",
    "CodecError",
    "Copy",
    "Decoder",
    "Filler",
    "Maker",
    "NoCodecError",
    "check_size",
    "copy",
    "unpack",
]


class CodecError(ValueError):
    """Stored bytes that are not what the filter writes."""


class NoCodecError(ValueError):
    """A pipeline without a decoder. The message is to follow the name of the dataset: "is compressed with …"."""


class Decoder(ABC):
    """Undoes one filter."""

    growth: ClassVar[int | None] = None  # what the filter adds to the size of its input; None: it compresses

    @abstractmethod
    def fill(self, stored: Bytes, out: Bytes) -> None:
        """Decode into memory of the caller.

        Args:
            stored: the stored bytes, ``(stored bytes,)``.
            out: memory for the decoded bytes; all of it is written.

        Raises:
            CodecError: the stored bytes are damaged, or decode to another size.
        """

    @abstractmethod
    def make(self, stored: Bytes, size: int) -> Bytes:
        """Decode into new memory, or to a view of ``stored``.

        Args:
            stored: the stored bytes, ``(stored bytes,)``.
            size: expected number of decoded bytes.

        Returns:
            The decoded bytes, ``(size,)``.

        Raises:
            CodecError: the stored bytes are damaged, or decode to another size.
        """


class Filler(Decoder):
    """A decoder that writes into the memory of the caller."""

    def make(self, stored: Bytes, size: int) -> Bytes:
        """See `Decoder.make`."""
        out = np.empty(size, np.uint8)
        self.fill(stored, out)
        return out


class Maker(Decoder):
    """A decoder that allocates its output."""

    def fill(self, stored: Bytes, out: Bytes) -> None:
        """See `Decoder.fill`."""
        copy(self.make(stored, len(out)), out)


class Copy(Maker):
    """Delivers the stored bytes unchanged."""

    growth = 0

    def make(self, stored: Bytes, size: int) -> Bytes:
        """See `Decoder.make`."""
        check_size(stored, size)
        return stored


def copy(stored: Bytes, out: Bytes) -> None:
    """Copy bytes into a buffer of the same size, or raise."""
    check_size(stored, len(out))
    out[:] = stored


def check_size(data: Bytes | bytearray | bytes | memoryview, size: int) -> None:
    """Raise unless there are ``size`` bytes."""
    if len(data) != size:
        raise CodecError(f"{len(data)} bytes, expected {size}")


def unpack(layout: struct.Struct, stored: Bytes, offset: int) -> tuple[Any, ...]:
    """The values of a header at ``offset``, or an error if it ends past the stored bytes."""
    try:
        return layout.unpack_from(stored.data, offset)
    except struct.error as error:
        raise CodecError(f"it ends after {len(stored)} bytes, expected {layout.size} more") from error
