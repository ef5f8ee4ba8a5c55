"""A file without HDF5: bytes by reading and by a map, and errors instead of crashes."""

import os
import shutil
import time

import numpy as np
import pytest
from changed_files import replace, write_within

from h5lightning.errors import BadFileError, FileChangedError
from h5lightning.storage.files.raw_file import RawFile


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.h5"
    path.write_bytes(bytes(range(200)))
    return str(path)


def test_bytes(path):
    raw = RawFile(path)
    assert raw.read(190, 10).tolist() == raw.mapped().view[190:].tolist() == list(range(190, 200))
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
        raw.mapped()


def test_a_map_outlives_its_file(path):
    raw = RawFile(path)
    view = raw.mapped().view
    raw.close()
    raw.close()
    assert view[7] == 7


def test_a_closed_file_is_opened_again_when_it_is_read(path):
    raw = RawFile(path)
    raw.close()
    assert raw.kept_descriptor is raw.kept_map is None
    assert raw.read(7, 1).tolist() == raw.mapped().view[7:8].tolist() == [7]
    assert raw.kept_descriptor is not None


CHANGES = {
    "written": (write_within, "was written to"),
    "grown": (lambda path: os.truncate(path, 201), "grew from 200 to 201 bytes"),
    "cut": (lambda path: os.truncate(path, 10), "was cut off from 200 to 10 bytes"),
    "replaced": (lambda path: replace(path, 300), "was replaced by a file of 300 bytes"),
    "deleted": (os.unlink, "was deleted or replaced"),
    "renamed": (lambda path: os.rename(path, f"{path}.other"), "was deleted or replaced"),
    "its folder is gone": (
        lambda path: os.rename(os.path.dirname(path), f"{os.path.dirname(path)}.other"),
        "was deleted or replaced",
    ),
}


@pytest.mark.parametrize("is_mapped", [True, False], ids=["mapped", "closed"])
@pytest.mark.parametrize(("change", "what"), CHANGES.values(), ids=CHANGES)
def test_a_change_of_a_closed_file_is_noticed(change, what, is_mapped, tmp_path):
    (tmp_path / "folder").mkdir()
    path = str(tmp_path / "folder" / "a.h5")
    with open(path, "wb") as file:
        file.write(bytes(200))
    raw = RawFile(path)
    mapped = raw.mapped()
    raw.close()
    raw.kept_map = mapped if is_mapped else None
    assert raw.check()
    change(path)
    with pytest.raises(FileChangedError, match=rf"a\.h5 {what}.* since it was first read\. .*Start again"):
        raw.check()
    with pytest.raises(BadFileError, match=rf"a\.h5 ({what}|cannot be opened: No such file)"):
        raw.read(0, 1)


HARMLESS = {
    "mode": lambda path: os.chmod(path, 0o600),
    "hard link": lambda path: os.link(path, f"{path}.link"),
    "copy with its times": lambda path: (shutil.copy2(path, f"{path}.new"), os.replace(f"{path}.new", path)),
}


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
def test_what_does_not_touch_the_content_of_a_closed_file_is_told_apart(change, path):
    raw = RawFile(path)
    raw.close()
    change(path)
    assert not raw.check(), "it is to be looked at again"
    assert raw.read(7, 1).tolist() == [7]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look into every folder")
def test_a_folder_that_may_not_be_entered_is_no_change(path):
    raw = RawFile(path)
    raw.close()
    folder = os.path.dirname(path)
    os.chmod(folder, 0)
    try:
        with pytest.raises(BadFileError, match=r"a\.h5 cannot be accessed: Permission denied") as caught:
            raw.check()
    finally:
        os.chmod(folder, 0o700)
    assert not isinstance(caught.value, FileChangedError)


def test_a_reader_keeps_its_descriptor_while_the_file_is_closed(path):
    raw = RawFile(path)
    held = raw.descriptor()
    raw.close()
    other = RawFile(path)
    assert other.descriptor().number != held.number
    number = held.number
    del held
    assert RawFile(path).descriptor().number == number


def test_no_descriptor_is_left_open(path):
    before = len(os.listdir("/dev/fd"))
    closed, dropped = RawFile(path), RawFile(path)
    assert len(closed.mapped().view) == len(dropped.mapped().view) == 200
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
