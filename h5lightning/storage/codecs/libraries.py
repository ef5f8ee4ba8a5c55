"""Loads decoders of imagecodecs, an optional package of 80 MB with nearly every filter of HDF5."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

from h5lightning.storage.codecs.decoder import Bytes, CodecError, Filler, NoCodecError, check_size

__all__ = ["Decode", "ImagecodecsDecoder", "call", "load", "load_if_installed"]

Decode = Callable[..., Any]  # called with stored bytes and out=


class ImagecodecsDecoder(Filler):
    """A decoder of imagecodecs that undoes a filter in one call.

    Args:
        name: its name in imagecodecs.

    Raises:
        NoCodecError: imagecodecs is not installed.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._decode = load(name)

    def fill(self, stored: Bytes, out: Bytes) -> None:
        """See `Decoder.fill`."""
        call(self._decode, self._name, stored, out)


def call(decode: Decode, name: str, stored: Bytes | bytes | memoryview, out: Bytes, **options: int) -> None:
    """Decode bytes that must fill the buffer.

    Args:
        decode: the decoding function.
        name: name of the format, for errors.
        stored: the stored bytes.
        out: the buffer.
        **options: options of the decoding function.

    Raises:
        CodecError: the stored bytes are damaged, or decode to another size.
    """
    if not len(stored):
        raise CodecError(f"{name}: nothing is stored")
    try:
        decoded = decode(stored, out=out, **options)
    except (RuntimeError, ValueError) as error:
        raise CodecError(f"{name}: {error}") from error
    check_size(decoded, len(out))


def load(name: str) -> Decode:
    """A decoding function of imagecodecs.

    Args:
        name: its name in imagecodecs.

    Raises:
        NoCodecError: imagecodecs is not installed; the message says how to install it.
    """
    decode: Decode | None = load_if_installed(f"{name}_decode")
    if decode is None:
        raise NoCodecError(
            f"is compressed with {name}, which needs imagecodecs: pip install 'h5lightning[codecs]'"
        )
    if not load_if_installed(name.upper()).available:
        raise NoCodecError(f"is compressed with {name}, which this build of imagecodecs lacks")
    return decode


@cache
def load_if_installed(attribute: str) -> Any:
    """An attribute of imagecodecs; None if that is not installed."""
    try:
        library = importlib.import_module("imagecodecs")
    except ImportError:
        return None
    return getattr(library, attribute)
