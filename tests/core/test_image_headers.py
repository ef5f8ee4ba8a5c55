"""What headers of images say, against what imagecodecs decodes; damaged ones are told apart and end."""

import struct
import zlib

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5lightning.core.image_headers import ImageHeader, NoImageError, check_whole, read_header

pytestmark = pytest.mark.timeout(60)


def pixels(height, width, channels, dtype="u1"):
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(0).integers(0, 255, shape).astype(dtype)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *, depth=8, color=2, rows=b"", more=b""):
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    parts = [chunk(b"IHDR", header), more, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


JPEG = imagecodecs.jpeg_encode(pixels(13, 29, 3), level=90)
APPLICATION = b"\xff\xe1" + struct.pack(">H", 2 + 40_000) + b"\xff\xc0\xff\xd9" * 10_000


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (JPEG, ImageHeader("jpeg", 13, 29, 3)),
        (imagecodecs.jpeg_encode(pixels(40, 5, 1), level=90), ImageHeader("jpeg", 40, 5, 1)),
        # A long segment with bytes like those of a frame and of an end, and fill bytes before a marker.
        (JPEG[:2] + APPLICATION + b"\xff\xff" + JPEG[2:], ImageHeader("jpeg", 13, 29, 3)),
        (imagecodecs.png_encode(pixels(7, 9, 3)), ImageHeader("png", 7, 9, 3)),
        (imagecodecs.png_encode(pixels(7, 9, 4)), ImageHeader("png", 7, 9, 3)),
        (imagecodecs.png_encode(pixels(7, 9, 2)), ImageHeader("png", 7, 9, 1)),
        (imagecodecs.png_encode(pixels(7, 9, 1)), ImageHeader("png", 7, 9, 1)),
        (png(16, 2, depth=1, color=0, rows=b"\0\xaa\x55" * 2), ImageHeader("png", 2, 16, 1)),
    ],
)
def test_headers(data, expected):
    for padded in (data, data + b"\0" * 50):
        header = read_header(padded)
        check_whole(padded, header)
        assert header == expected
    decode = imagecodecs.jpeg_decode if expected.format == "jpeg" else imagecodecs.png_decode
    assert decode(data).shape[:2] == header.size


def test_a_progressive_image_has_scans():
    data = bytearray(JPEG)
    data[data.find(b"\xff\xc0") + 1] = 0xC2
    header = read_header(bytes(data))
    assert header.has_scans
    check_whole(bytes(data), header)
    with pytest.raises(NoImageError, match=r"more than 500 scans"):
        check_whole(bytes(data[:-2]) + b"\xff\xda\0\x08" * 501 + b"\xff\xd9", header)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\0" * 9, "is empty"),
        (b"GIF89a and more", r"is neither JPEG nor PNG: its first bytes are b'GIF89a"),
        (JPEG[:20], "no frame header"),
        (JPEG[:2] + b"\xff\xda" + JPEG[2:], "no frame header"),
        (JPEG[:2] + b"\xff\xe0\0\0" + JPEG[2:], "no frame header"),
        (png(9, 9)[:30], "no header"),
        (imagecodecs.png_encode(pixels(7, 9, 1, "u2")), r"PNG image of 16 bits, expected 8: decode='bytes'"),
        (png(0, 5), "0 pixels"),
        (png(5, 5, color=5), "unknown type of color 5"),
        (png(100_000, 100_000, rows=b"\0" * 100), r"100000 × 100000 pixels, which \d+ bytes cannot hold"),
    ],
)
def test_what_is_no_image(data, message):
    with pytest.raises(NoImageError, match=message):
        read_header(data)


def test_frames_of_other_kinds():
    at = JPEG.find(b"\xff\xc0") + 4
    for place, value, message in [
        (0, 12, "12 bits"),
        (5, 4, "in CMYK"),
        (5, 2, "2 channels"),
        (2, 0, "0 × 29 pixels"),
    ]:
        data = bytearray(JPEG)
        data[at + place] = value
        with pytest.raises(NoImageError, match=message):
            read_header(bytes(data))


@pytest.mark.parametrize("lost", [0.4, 0.1, 0.002])
def test_a_jpeg_image_that_was_cut_off(lost):
    data = JPEG[: -int(np.ceil(lost * len(JPEG)))]
    if lost < 0.3:
        assert imagecodecs.jpeg_decode(data).shape == (13, 29, 3)  # the decoder does not notice
    with pytest.raises(NoImageError, match="cut off"):
        check_whole(data + b"\0" * 7, read_header(data))


@settings(deadline=None, max_examples=300)
@given(st.sampled_from([JPEG, png(9, 9, rows=b"\0" * 252)]), st.data())
def test_any_bytes_end(data, draw):
    changed = bytearray(data[: draw.draw(st.integers(0, len(data)))])
    for _ in range(draw.draw(st.integers(0, 8)) if changed else 0):
        changed[draw.draw(st.integers(0, len(changed) - 1))] = draw.draw(
            st.sampled_from([0, 1, 0xFF, 0xC0, 0xDA])
        )
    try:
        header = read_header(bytes(changed))
        check_whole(bytes(changed), header)
    except NoImageError:
        return
    assert min(header.size) > 0
    assert header.channels in (1, 3)
