"""A file without HDF5: bytes by reading and by a map, and errors instead of crashes."""

import os
import time

import numpy as np
import pytest

from h5lightning.errors import BadFileError, FileChangedError
from h5lightning.storage.files.raw_file import RawFile


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.h5"
    path.write_bytes(bytes(range(200)))
    return str(path)


def test_bytes(path):
    raw = RawFile(path)
    assert raw.read(190, 10).tolist() == raw.view[190:].tolist() == list(range(190, 200))
    raw.check()


def test_a_read_past_the_end(path):
    with pytest.raises(
        FileChangedError, match=r"a\.h5 was cut off .* ends at byte 200, expected 201 at least"
    ):
        RawFile(path).read(190, 11)


@pytest.mark.parametrize(("size", "what"), [(100, "was cut off"), (300, "grew")], ids=["shorter", "longer"])
def test_another_size(size, what, path):
    raw = RawFile(path)
    os.truncate(path, size)
    with pytest.raises(FileChangedError, match=rf"a\.h5 {what} from 200 to {size} bytes while it was read"):
        raw.check()


def test_an_empty_file_cannot_be_mapped(tmp_path):
    (tmp_path / "a.h5").touch()
    raw = RawFile(str(tmp_path / "a.h5"))
    with pytest.raises(BadFileError, match=r"a\.h5 cannot be mapped: .*reader='h5py'"):
        _ = raw.view


def test_a_map_outlives_its_file(path):
    raw = RawFile(path)
    view = raw.view
    raw.close()
    raw.close()
    assert view[7] == 7


def test_a_closed_file_is_not_mapped(path):
    """Without a descriptor, the system would make a map of zeros."""
    raw = RawFile(path)
    raw.close()
    with pytest.raises(BadFileError, match=r"a\.h5 was closed while it was read"):
        _ = raw.view


def test_closing_twice_leaves_the_next_descriptor_alone(path):
    raw = RawFile(path)
    number = raw.fileno()
    raw.close()
    other = RawFile(path)
    assert other.fileno() == number
    raw.close()
    del raw
    assert other.read(7, 1).tolist() == [7]


def test_no_descriptor_is_left_open(path):
    before = len(os.listdir("/dev/fd"))
    closed, dropped = RawFile(path), RawFile(path)
    assert len(closed.view) == len(dropped.view) == 200
    closed.close()
    del dropped
    assert len(os.listdir("/dev/fd")) == before


@pytest.fixture
def cold(tmp_path):
    """A file of 2 MiB that is not in memory."""
    path = tmp_path / "cold.h5"
    path.write_bytes(bytes(2 << 20))
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)
    return RawFile(str(path))


@pytest.mark.skipif(not hasattr(os, "RWF_NOWAIT"), reason="only Linux says what is in memory")
def test_what_is_asked_for_comes_to_memory(cold):
    if cold.is_cached(1 << 20):
        pytest.skip("the file system keeps what was written in memory")
    cold.prefetch(np.array([1 << 20, 64]), np.array([4096, 10]))
    deadline = time.monotonic() + 10
    while not (cold.is_cached(1 << 20) and cold.is_cached(70)) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert cold.is_cached(1 << 20)
    assert cold.is_cached(70)
    assert not cold.is_cached(3 << 19)


def test_scratch_is_used_where_it_is_large_enough(path):
    raw, scratch = RawFile(path), np.zeros(20, np.uint8)
    found = raw.read(3, 20, scratch)
    assert found.tolist() == scratch.tolist() == list(range(3, 23))
    assert raw.read(5, 21, scratch).tolist() == list(range(5, 26))
    assert scratch.tolist() == list(range(3, 23))
