"""What a decoder is, and what they share.

A decoder never writes past the end of its output, and fails rather than leave a part of it unwritten. All
release the GIL while they work, and none uses HDF5, so that any number of threads may decode.
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
    """A pipeline that cannot be decoded here; the message is what a sentence says of the dataset."""


class Decoder(ABC):
    """Undoes one filter."""

    growth: ClassVar[int | None] = None  # what the filter adds to the size of its input; None: it compresses

    @abstractmethod
    def fill(self, stored: Bytes, out: Bytes) -> None:
        """Decode into memory that is there.

        Args:
            stored: the stored bytes, ``(stored bytes,)``.
            out: what becomes the decoded bytes; all of it is written.

        Raises:
            CodecError: the stored bytes are damaged, or decode to another size.
        """

    @abstractmethod
    def make(self, stored: Bytes, size: int) -> Bytes:
        """Decode to memory of its own, or to a view of ``stored``.

        Args:
            stored: the stored bytes, ``(stored bytes,)``.
            size: bytes that it must decode to.

        Returns:
            The decoded bytes, ``(size,)``.

        Raises:
            CodecError: the stored bytes are damaged, or decode to another size.
        """


class Filler(Decoder):
    """A decoder that writes to memory that it is given."""

    def make(self, stored: Bytes, size: int) -> Bytes:
        """See `Decoder.make`."""
        out = np.empty(size, np.uint8)
        self.fill(stored, out)
        return out


class Maker(Decoder):
    """A decoder that brings its own memory."""

    def fill(self, stored: Bytes, out: Bytes) -> None:
        """See `Decoder.fill`."""
        copy(self.make(stored, len(out)), out)


class Copy(Maker):
    """Bytes that are what they decode to."""

    growth = 0

    def make(self, stored: Bytes, size: int) -> Bytes:
        """See `Decoder.make`."""
        check_size(stored, size)
        return stored


def copy(stored: Bytes, out: Bytes) -> None:
    """Copy bytes that must be as many as there is room for."""
    check_size(stored, len(out))
    out[:] = stored


def check_size(found: Bytes | bytearray | bytes | memoryview, size: int) -> None:
    """Raise unless there are ``size`` bytes."""
    if len(found) != size:
        raise CodecError(f"{len(found)} bytes, expected {size}")


def unpack(form: struct.Struct, stored: Bytes, place: int) -> tuple[Any, ...]:
    """The values of a header at ``place``, which may lie past the end."""
    try:
        return form.unpack_from(stored.data, place)
    except struct.error as error:
        raise CodecError(f"it ends after {len(stored)} bytes, expected {form.size} more") from error
