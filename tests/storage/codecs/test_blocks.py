import struct

import imagecodecs
import numpy as np
import pytest
from stored_chunks import OPTIONS, decoded, stored_chunk

from h5lightning.storage.codecs import CodecError, FilterPipeline, NoCodecError, blocks
from h5lightning.storage.codecs.blocks import Bitshuffle, Lz4

VALUES = (np.arange(5003) // 7 % 50).astype("<f4")


def with_header(stored, size, block):
    """Stored blocks with another header."""
    return np.concatenate([np.frombuffer(struct.pack(">QI", size, block), np.uint8), stored[12:]])


@pytest.mark.parametrize(
    ("size", "block"),
    [(0, 1000), (2**63, 1000), (20_008, 1000), (20_012, 0), (20_012, 999), (20_012, 2**32 - 1)],
    ids=["nothing", "huge", "shorter", "no-block", "other-blocks", "huge-blocks"],
)
def test_lies_about_lz4(size, block):
    pipeline, stored, _ = stored_chunk(VALUES, OPTIONS["lz4-blocks"])
    with pytest.raises(CodecError, match=r"lz4: |block \d+ of|bytes, expected"):
        decoded(pipeline, with_header(stored, size, block), VALUES.nbytes)


@pytest.mark.parametrize("options", ["bitshuffle-lz4", "bitshuffle-zstd"])
@pytest.mark.parametrize(
    ("size", "block"),
    [(0, 8192), (2**63, 8192), (20_008, 8192), (20_012, 0), (20_012, 36), (20_012, 4096), (20_012, 2**31)],
    ids=["nothing", "huge", "shorter", "no-block", "not-8", "other-blocks", "huge-blocks"],
)
def test_lies_about_bitshuffle(size, block, options):
    pipeline, stored, _ = stored_chunk(VALUES, OPTIONS[options])
    with pytest.raises(CodecError):
        decoded(pipeline, with_header(stored, size, block), VALUES.nbytes)


def blocks_of(parts):
    return np.frombuffer(b"".join(struct.pack(">I", len(part)) + part for part in parts), np.uint8)


def as_long_as_itself():
    """512 bytes that LZ4 compresses to as many bytes: noise around just as many zeros as make up for its headers."""
    rng = np.random.default_rng(0)
    for zeros in range(4, 40):
        data = rng.bytes(200) + bytes(zeros) + rng.bytes(312 - zeros)
        if len(imagecodecs.lz4_encode(data)) == len(data):
            return data
    raise AssertionError


@pytest.mark.parametrize("count", [1, 2, 3], ids=str)
@pytest.mark.parametrize("tail", [b"", b"abc"], ids=["whole", "tail"])
def test_a_compressed_block_that_is_as_long_as_its_content(count, tail):
    bits = as_long_as_itself()
    stored = [imagecodecs.lz4_encode(bits)] * count
    expected = imagecodecs.bitshuffle_decode(bits, itemsize=1, blocksize=512) * count + tail
    size = 512 * count + len(tail)
    chunk = np.concatenate(
        [
            np.frombuffer(struct.pack(">QI", size, 512), np.uint8),
            blocks_of(stored),
            np.frombuffer(tail, np.uint8),
        ]
    )
    out = np.zeros(size, np.uint8)
    Bitshuffle((0, 5, 1, 512, 2)).fill(chunk, out)
    assert out.tobytes() == expected


def test_a_block_of_lz4_that_did_not_shrink():
    noise = np.random.default_rng(0).bytes(100)
    chunk = np.concatenate(
        [np.frombuffer(struct.pack(">QI", 150, 100), np.uint8), blocks_of([noise, noise[:50]])]
    )
    out = np.zeros(150, np.uint8)
    Lz4().fill(chunk, out)
    assert out.tobytes() == noise + noise[:50]


def test_elements_that_a_version_does_not_know(monkeypatch):
    def refuse(stored, *, itemsize, blocksize, out):
        raise ValueError("invalid item size")

    monkeypatch.setattr(blocks, "load", lambda name: refuse)
    Bitshuffle((0, 5, 8, 0, 0))
    with pytest.raises(
        NoCodecError, match="is bitshuffled in elements of 16 bytes, which this imagecodecs refuses: "
    ):
        Bitshuffle((0, 5, 16, 0, 0))


def test_blocks_that_decode_to_less():
    parts = [imagecodecs.lz4_encode(bytes(60)), imagecodecs.lz4_encode(bytes(64))]
    chunk = np.concatenate([np.frombuffer(struct.pack(">QI", 128, 64), np.uint8), blocks_of(parts)])
    for pipeline in (FilterPipeline([(32008, (0, 5, 1, 64, 2))], 128), FilterPipeline([(32004, ())], 128)):
        with pytest.raises(CodecError, match="124 bytes, expected 128"):
            decoded(pipeline, chunk, 128)
