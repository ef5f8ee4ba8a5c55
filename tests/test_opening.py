"""Opening a file for reading: only regular ones, and errors that say what to do."""

import errno
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from h5lightning.errors import BadFileError, ResourceError
from h5lightning.opening import open_file, open_id
from h5lightning.options import Access


@pytest.fixture
def path(tmp_path):
    """A file with a dataset ``g/x``."""
    name = str(tmp_path / "a.h5")
    with h5py.File(name, "w") as file:
        file["g/x"] = np.arange(10)
    return name


@pytest.mark.parametrize("opener", [open_id, lambda path: open_file(path, Access())], ids=["id", "file"])
def test_a_missing_file_is_named(opener, tmp_path):
    with pytest.raises(BadFileError, match=r"gone\.h5 cannot be opened: No such file or directory\. .*moved"):
        opener(str(tmp_path / "gone.h5"))


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"no HDF5 here", "signature"), (None, "truncated")],
    ids=["other-format", "truncated"],
)
def test_a_damaged_file_is_explained(content, message, path):
    if content is None:
        os.truncate(path, os.path.getsize(path) // 2)
    else:
        with open(path, "wb") as file:
            file.write(content)
    with pytest.raises(BadFileError, match=rf"a\.h5 cannot be opened: .*{message}.*'h5lightning inspect'"):
        open_id(path)


def test_a_name_is_not_cut_at_a_nul(path):
    with pytest.raises(BadFileError, match="NUL"):
        open_id(path + "\0.h5")


def test_too_many_open_files_name_the_option(path, few_descriptors):
    few_descriptors(3)
    with pytest.raises(ResourceError, match=r"a\.h5 cannot be opened: .*ulimit -n.*access\.max_open_files"):
        open_id(path)


def test_a_lock_of_a_writer_names_the_option(path):
    code = (
        "import h5py, sys; f = h5py.File(sys.argv[1], 'r+', locking=True); print('open', flush=True); input()"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert writer.stdout.readline() == "open\n"
        with pytest.raises(BadFileError, match=rf"{os.strerror(errno.EAGAIN)}.*access\.locking=False"):
            open_id(path, locking=True)
        open_id(path).close()
    finally:
        writer.communicate("\n", timeout=30)


@pytest.mark.parametrize("locking", [False, True], ids=["unlocked", "locked"])
def test_a_user_may_open_the_file_meanwhile(locking, path):
    with open_file(path, Access(locking=locking)) as ours, h5py.File(path) as theirs:
        assert int(theirs["g/x"][7]) == int(ours["g/x"][7]) == 7


@pytest.mark.timeout(10)
def test_a_fifo_is_not_waited_for(tmp_path):
    path = str(tmp_path / "a.h5")
    os.mkfifo(path)
    with pytest.raises(BadFileError, match=r"a\.h5 is not a regular file any more"):
        open_id(path)
