"""What the first bytes of a JPEG or PNG image say: its format and its size. Nothing is decoded."""

from __future__ import annotations

import struct
from typing import NamedTuple

__all__ = ["ImageHeader", "NoImageError", "check_whole", "read_header"]

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_END_OF_JPEG = b"\xff\xd9"
_START_OF_SCAN = b"\xff\xda"
# Markers of frames; 0xC4, 0xC8 and 0xCC, which lie between them, begin tables.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a segment
_MOST_SCANS = 500  # each one takes as long as the whole image: no camera writes more than a dozen
_MOST_INFLATED = 1032  # bytes of one deflated byte, at most: https://www.zlib.net/zlib_tech.html
_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # numbers of a pixel in the file, by type of color
_SHOWN = 16


class NoImageError(ValueError):
    """Bytes that are no image, or none that can be delivered; the message says why, to follow their name."""


class ImageHeader(NamedTuple):
    """What an image is.

    Args:
        format: ``jpeg`` or ``png``.
        height: in pixels.
        width: in pixels.
        channels: 3 for color, 1 for gray; an alpha channel does not count.
        has_scans: whether decoding takes one pass for each of many scans.
    """

    format: str
    height: int
    width: int
    channels: int
    has_scans: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width


def read_header(data: bytes) -> ImageHeader:
    """The header of an image.

    Raises:
        NoImageError: it is neither JPEG nor PNG, or one of a kind that is not supported.
    """
    if data.startswith(_JPEG):
        return _jpeg(data)
    if data.startswith(_PNG):
        return _png(data)
    if not data.strip(b"\0"):
        raise NoImageError("is empty, expected an image")
    raise NoImageError(f"is neither JPEG nor PNG: its first bytes are {data[:_SHOWN]!r}")


def check_whole(data: bytes, header: ImageHeader) -> None:
    """Raise `NoImageError` if an image was cut off, where its decoder would not notice.

    The decoder of JPEG fills with gray what is missing. That of PNG finds each missing byte, as PNG has checksums.
    """
    if header.format != "jpeg":
        return
    if data.rfind(_END_OF_JPEG) <= data.find(_START_OF_SCAN):
        raise NoImageError(f"is a JPEG image that was cut off: {len(data)} bytes without its end marker")
    if header.has_scans and data.count(_START_OF_SCAN) > _MOST_SCANS:
        raise NoImageError(
            f"is a JPEG image of more than {_MOST_SCANS} scans, which would take minutes to decode"
        )


def _jpeg(data: bytes) -> ImageHeader:
    at = 2
    while True:
        while data[at : at + 2] == b"\xff\xff":  # fill bytes
            at += 1
        if len(data) < at + 4 or data[at] != 0xFF:
            raise NoImageError("is a JPEG image that was cut off or damaged: it has no frame header")
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in _ALONE:
            at += 2
            continue
        if marker in _FRAMES:
            return _jpeg_frame(data[at + 4 : at + 10], marker)
        if marker == 0xDA or length < 2:
            raise NoImageError("is a JPEG image that was damaged: it has no frame header")
        at += 2 + length


def _jpeg_frame(frame: bytes, marker: int) -> ImageHeader:
    if len(frame) < 6:
        raise NoImageError("is a JPEG image that was cut off: it has no frame header")
    depth, height, width, channels = struct.unpack(">BHHB", frame)
    if depth != 8:
        raise NoImageError(f"is a JPEG image of {depth} bits, expected 8: decode='bytes' delivers its bytes")
    if channels not in (1, 3):
        kind = "in CMYK" if channels == 4 else f"of {channels} channels"
        raise NoImageError(f"is a JPEG image {kind}, expected RGB or gray: decode='bytes' delivers its bytes")
    if not height or not width:
        raise NoImageError(f"is a JPEG image of {height} × {width} pixels")
    return ImageHeader("jpeg", height, width, channels, marker in _PROGRESSIVE)


def _png(data: bytes) -> ImageHeader:
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise NoImageError("is a PNG image that was cut off or damaged: it has no header")
    width, height, depth, color = struct.unpack(">IIBB", data[16:26])
    if color not in _PNG_SAMPLES:
        raise NoImageError(f"is a PNG image with the unknown type of color {color}")
    if depth > 8:
        raise NoImageError(f"is a PNG image of {depth} bits, expected 8: decode='bytes' delivers its bytes")
    if not height or not width:
        raise NoImageError(f"is a PNG image of {height} × {width} pixels")
    inflated = height * (1 + width * depth * _PNG_SAMPLES[color] // 8)
    if inflated > _MOST_INFLATED * len(data):
        raise NoImageError(
            f"is a PNG image whose header says {height} × {width} pixels, which {len(data)} bytes cannot hold"
        )
    return ImageHeader("png", height, width, 1 if color in (0, 4) else 3)
