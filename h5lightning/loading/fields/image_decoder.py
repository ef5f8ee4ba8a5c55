"""Decodes JPEG and PNG images into the buffer of a batch, with imagecodecs, which releases the GIL."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.image_headers import ImageHeader, NoImageError
from h5lightning.errors import MissingExtraError
from h5lightning.storage.codecs.libraries import load_if_installed

__all__ = ["ImageDecoder"]

_RGB = 3

Pixels = npt.NDArray[np.uint8]


class ImageDecoder:
    """Decodes images of some channels.

    Args:
        channels: 3 for RGB, to which gray images are expanded; 1 for gray.
        channels_first: whether channels come before height and width.

    Raises:
        MissingExtraError: imagecodecs is not installed.
    """

    def __init__(self, channels: int, *, channels_first: bool) -> None:
        self._channels = channels
        self._channels_first = channels_first and channels > 1
        if load_if_installed("jpeg_decode") is None:
            raise MissingExtraError("decode='image' needs imagecodecs: pip install 'h5lightning[images]'")

    def check(self, header: ImageHeader) -> None:
        """Raise `NoImageError` if an image has more channels than those that are delivered."""
        if header.channels > self._channels:
            raise NoImageError(
                "is a color image, and the first image of each file is gray: decode='bytes' delivers their bytes"
            )

    def decode(self, data: bytes, header: ImageHeader, out: Pixels) -> None:
        """Decode an image.

        Args:
            data: its bytes.
            header: its header, which was checked.
            out: for its pixels, ``(height, width)``, ``(height, width, 3)`` or ``(3, height, width)``.

        Raises:
            NoImageError: it is damaged.
        """
        try:
            if header.format == "jpeg":
                self._decode_jpeg(data, header, out)
            else:
                self._put(self._without_alpha(load_if_installed("png_decode")(data), header), out)
        except NoImageError:
            raise
        except (RuntimeError, ValueError) as error:
            raise NoImageError(f"is a damaged {header.format.upper()} image: {error}") from error

    def _decode_jpeg(self, data: bytes, header: ImageHeader, out: Pixels) -> None:
        decode: Any = load_if_installed("jpeg_decode")
        if header.channels == 1 and self._channels == 1:
            decode(data, out=out)
        elif self._channels_first:
            self._put(decode(data, outcolorspace="RGB"), out)
        else:
            decode(data, outcolorspace="RGB", out=out)

    @staticmethod
    def _without_alpha(pixels: Any, header: ImageHeader) -> Any:
        """The pixels of a PNG image without the channel of alpha, which a file may add to any color."""
        if header.channels == _RGB:
            return pixels[..., :_RGB]
        return pixels if pixels.ndim == 2 else pixels[..., 0]

    def _put(self, pixels: Any, out: Pixels) -> None:
        """Put pixels ``(height, width)`` or ``(height, width, 3)`` where they are delivered."""
        if pixels.shape[:2] != (out.shape[1:] if self._channels_first else out.shape[:2]):
            raise NoImageError(f"is an image of shape {pixels.shape}, unlike its header")
        if self._channels == 1:
            out[...] = pixels
        elif self._channels_first:
            for channel in range(_RGB):
                out[channel] = pixels if pixels.ndim == 2 else pixels[..., channel]
        else:
            out[...] = pixels[..., None] if pixels.ndim == 2 else pixels
