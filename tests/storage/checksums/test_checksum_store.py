"""Checksums on disk: whole or not at all, and for the files that they were made of."""

import logging
import os
import pickle

import numpy as np
import pytest

from h5lightning.planning.catalog.checksum_table import ChecksumTable, FileChecksums
from h5lightning.storage.checksums.checksum_store import ChecksumStore


def table_of(files):
    one = FileChecksums(200_000, 7, np.arange(4, dtype=np.uint64) + 2**63, np.arange(4) % 2 == 0)
    return ChecksumTable.of({f"{number}.h5": one for number in range(files)})


@pytest.fixture
def store(tmp_path):
    store = ChecksumStore(tmp_path)
    store.save("/data", table_of(3))
    return store


def path_in(store):
    (name,) = os.listdir(store.directory)
    return os.path.join(store.directory, name)


def test_round_trip(store):
    found = store.load("/data")
    assert list(found.names) == ["0.h5", "1.h5", "2.h5"]
    assert found.find("2.h5").hashes.tolist() == [2**63 + number for number in range(4)]
    assert found.find("0.h5").is_values.tolist() == [True, False, True, False]
    assert not found.hashes.flags.writeable


def test_another_process_finds_them_also_when_others_were_added(store):
    pickled = pickle.dumps(store.load("/data"))
    assert len(pickle.loads(pickled)) == 3
    store.save("/data", table_of(5))
    assert len(pickle.loads(pickled)) == 5
    os.unlink(path_in(store))
    assert len(pickle.loads(pickled)) == 0


def test_hashes_are_compared_with_their_digest_and_copied(store, caplog):
    found = store.load("/data")
    with open(path_in(store), "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"!")
    assert found.find("2.h5").hashes.tolist() == [2**63 + number for number in range(4)]
    with caplog.at_level(logging.WARNING):
        assert store.load("/data") is None
    assert "the digest of its numbers differs" in caplog.text


def test_other_roots_have_their_own(store):
    assert store.load("/other") is None
    store.save("/other", table_of(1))
    assert (len(store.load("/data")), len(store.load("/other"))) == (3, 1)


@pytest.mark.parametrize("offset", [3, 8, 20, 40, 100], ids=["magic", "version", "digest", "size", "header"])
def test_damaged_or_of_another_version_is_as_good_as_none(store, offset, caplog):
    with open(path_in(store), "r+b") as file:
        file.seek(offset)
        file.write(b"\x7f")
    with caplog.at_level(logging.WARNING):
        assert store.load("/data") is None
    assert "cannot be used" in caplog.text


@pytest.mark.parametrize("size", [0, 10, 300])
def test_torn(store, size):
    os.truncate(path_in(store), size)
    assert store.load("/data") is None


def test_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        ChecksumStore(tmp_path / "file").save("/data", table_of(1))
    assert ChecksumStore(tmp_path / "file").load("/data") is None
