"""Blocks are verified when they are first looked at, and what differs is named."""

import os
from dataclasses import replace

import numpy as np
import pytest

from h5lightning.errors import ChecksumError
from h5lightning.planning.catalog.checksum_table import BLOCK_BYTES, FileChecksums
from h5lightning.storage.files.verified_blocks import (
    DamagedBlockError,
    VerifiedBlocks,
    hashes_of,
    read_blocks,
    verified_blocks,
)

SIZE = 5 * BLOCK_BYTES + 77


@pytest.fixture
def opened(tmp_path):
    """A file of six blocks, and its checksums; the second and third hold values."""
    path = tmp_path / "a.bin"
    path.write_bytes(np.random.default_rng(0).bytes(SIZE))
    descriptor = os.open(path, os.O_RDWR)
    is_values = np.isin(np.arange(6), [1, 2])
    yield descriptor, FileChecksums(SIZE, 5, hashes_of(descriptor, SIZE), is_values)
    os.close(descriptor)


def view_of(descriptor):
    return np.frombuffer(os.pread(descriptor, SIZE, 0), np.uint8)


def damage(descriptor, place):
    (byte,) = os.pread(descriptor, 1, place)
    os.pwrite(descriptor, bytes([byte ^ 4]), place)


def test_whole_files_pass(opened):
    descriptor, sums = opened
    blocks = VerifiedBlocks("a.h5", sums, 5)
    blocks.check_in(view_of(descriptor), np.array([0, SIZE - 9, BLOCK_BYTES - 4]), 9)
    blocks.check_bytes(BLOCK_BYTES, view_of(descriptor)[BLOCK_BYTES:])
    blocks.check_file(descriptor)


@pytest.mark.parametrize("block", range(6))
def test_each_block_counts(opened, block):
    descriptor, sums = opened
    damage(descriptor, block * BLOCK_BYTES + 70)
    blocks = VerifiedBlocks("a.h5", sums, 5)
    with pytest.raises(DamagedBlockError) as caught:
        blocks.check_in(view_of(descriptor), np.array([block * BLOCK_BYTES]), 1)
    assert (caught.value.start, caught.value.stop) == (
        block * BLOCK_BYTES,
        min((block + 1) * BLOCK_BYTES, SIZE),
    )
    with pytest.raises(ChecksumError, match=r"a\.h5: bytes .*damaged: copy it again"):
        blocks.check_file(descriptor)
    if block in (1, 2):
        blocks.check_file(descriptor, only_metadata=True)
    else:
        with pytest.raises(ChecksumError):
            blocks.check_file(descriptor, only_metadata=True)


def test_a_part_over_many_blocks_brings_in_all_of_them(opened):
    descriptor, sums = opened
    damage(descriptor, 2 * BLOCK_BYTES)
    with pytest.raises(DamagedBlockError):
        VerifiedBlocks("a.h5", sums, 5).check_in(view_of(descriptor), np.array([9]), 4 * BLOCK_BYTES)


def test_what_was_verified_is_not_looked_at_again(opened):
    descriptor, sums = opened
    blocks, view = VerifiedBlocks("a.h5", sums, 5), view_of(descriptor).copy()
    blocks.check_in(view, np.array([3]), 5)
    view[4] ^= 1
    blocks.check_in(view, np.array([3]), 5)
    with pytest.raises(DamagedBlockError):
        blocks.check_bytes(0, view[:BLOCK_BYTES])


def test_a_later_modification_is_named(opened):
    descriptor, sums = opened
    damage(descriptor, 0)
    with pytest.raises(ChecksumError, match="was modified after"):
        VerifiedBlocks("a.h5", sums, 6).check_file(descriptor)


def test_a_file_that_ends_early_differs(opened):
    descriptor, sums = opened
    os.ftruncate(descriptor, 3 * BLOCK_BYTES)
    with pytest.raises(ChecksumError):
        VerifiedBlocks("a.h5", sums, 5).check_file(descriptor)


def test_without_checksums(tmp_path):
    with pytest.raises(ChecksumError, match=r"has no checksums, which access\.verify needs"):
        verified_blocks("/a.h5", (1, 2, 3, 4), None)


@pytest.mark.parametrize("requested", [[], [0], [5], [0, 1, 2, 5], [1, 3, 4]], ids=str)
def test_blocks_are_read_where_they_are(opened, requested):
    descriptor, sums = opened
    found = dict(read_blocks(descriptor, np.asarray(requested, np.int64)))
    data = os.pread(descriptor, SIZE, 0)
    assert {block: bytes(part) for block, part in found.items()} == {
        block: data[block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES] for block in requested
    }
    assert VerifiedBlocks("a.h5", replace(sums, size=SIZE), 5).size == SIZE
