"""Which blocks hold nothing but values, and the checksums of many files in a few arrays."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.planning.catalog import checksum_table
from h5lightning.planning.catalog.checksum_table import (
    ChecksumTable,
    FileChecksums,
    block_count,
    blocks_of_values,
)


@pytest.fixture(autouse=True, scope="module")
def _small_blocks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checksum_table, "BLOCK_BYTES", 8)
        yield


PARTS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)), max_size=8)


@given(PARTS, st.integers(1, 70))
def test_a_block_of_values_has_no_other_byte(parts, size):
    is_value = np.zeros(200, np.bool_)
    for start, length in parts:
        is_value[start : start + length] = True
    expected = [is_value[start : min(start + 8, size)].all() for start in range(0, size, 8)]
    starts, sizes = (
        np.asarray(column, np.int64) for column in (zip(*parts, strict=True) if parts else ((), ()))
    )
    half = len(starts) // 2
    found = blocks_of_values([(starts[:half], sizes[:half]), (starts[half:], sizes[half:])], size)
    assert found.tolist() == expected
    assert len(found) == block_count(size)


def sums(blocks, seed=0):
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, blocks, dtype=np.uint64)
    return FileChecksums(8 * blocks, seed, hashes, rng.random(blocks) < 0.5)


def same(first, second):
    return (first.size, first.mtime_ns) == (second.size, second.mtime_ns) and all(
        np.array_equal(getattr(first, name), getattr(second, name)) for name in ("hashes", "is_values")
    )


def test_files_are_found_by_name():
    files = {name: sums(blocks, seed) for seed, (name, blocks) in enumerate([("b", 3), ("a/c", 0), ("a", 5)])}
    table = ChecksumTable.of(files)
    assert list(table.names) == ["a", "a/c", "b"]
    assert all(same(table.find(name), one) for name, one in files.items())
    assert [table.find(name) for name in ("", "a/b", "c")] == [None] * 3


def test_no_files():
    assert (len(ChecksumTable.of({})), ChecksumTable.of({}).find("a")) == (0, None)


def test_parts_that_do_not_fit_are_refused():
    table = ChecksumTable.of({"a": sums(3)})
    with pytest.raises(ValueError, match="1 files with 3 blocks"):
        ChecksumTable(table.names, table.stamps, table.ends, table.hashes[:2], table.is_values)


def origin():
    return ChecksumTable.of({"a": sums(1)})


def test_a_pickle_asks_its_origin():
    table = ChecksumTable.of({"a": sums(9)})
    assert len(pickle.loads(pickle.dumps(table))) == 0
    table = ChecksumTable(table.names, table.stamps, table.ends, table.hashes, table.is_values, origin)
    assert len(pickle.loads(pickle.dumps(table)).hashes) == 1
