"""replace_file: the old content or the new one."""

import os
import stat
import time

import pytest

from h5lightning.core.atomic_write import replace_file


@pytest.mark.parametrize("old", [None, b"old and longer"], ids=["new file", "existing file"])
def test_the_content_is_replaced(tmp_path, old):
    path = tmp_path / "file"
    if old is not None:
        path.write_bytes(old)
    replace_file(str(path), b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


def test_the_mode_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        replace_file(str(tmp_path / "file"), b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_nothing_is_left_behind_when_it_fails(tmp_path):
    (tmp_path / "file").mkdir()  # a directory cannot be replaced by a file
    with pytest.raises(OSError, match="directory"):
        replace_file(str(tmp_path / "file"), b"new")
    assert os.listdir(tmp_path) == ["file"]


def test_a_missing_directory_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        replace_file(str(tmp_path / "nowhere" / "file"), b"new")


def test_what_a_killed_writer_left_is_removed_after_an_hour(tmp_path):
    names = [f"file.{letter * 32}.tmp" for letter in "ab"]
    for name, age_s in zip(names, (3700, 60), strict=True):
        (tmp_path / name).write_bytes(b"a part")
        os.utime(tmp_path / name, (time.time() - age_s,) * 2)
    (tmp_path / "other.tmp").write_bytes(b"of another program")
    os.utime(tmp_path / "other.tmp", (0, 0))
    replace_file(str(tmp_path / "file"), b"new")
    assert sorted(os.listdir(tmp_path)) == ["file", names[1], "other.tmp"]
