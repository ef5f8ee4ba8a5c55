"""Opening a file for reading: only regular ones, and errors that say what to do."""

import errno
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from h5lightning.errors import BadFileError, ResourceError
from h5lightning.options import Access
from h5lightning.storage.hdf5.open_file import open_file, open_id


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


def test_what_others_of_this_process_hold_is_not_shared(path, monkeypatch, tmp_path, capfd):
    monkeypatch.chdir(tmp_path)
    before = os.listdir()
    with h5py.File(path) as theirs:
        first, second = open_id(path), open_id(path)
        assert first.get_vfd_handle() == second.get_vfd_handle() != theirs.id.get_vfd_handle()
        assert os.path.samestat(os.fstat(first.get_vfd_handle()), os.stat(path))
        first.close()
        second.close()
        assert int(theirs["g/x"][7]) == 7
    assert (os.listdir(), *capfd.readouterr()) == (before, "", ""), "its driver could keep a log"


def test_sources_are_not_shared_either(tmp_path):
    """HDF5 opens the source of a virtual dataset, and the file that a link leads to, like the first file."""
    source, main, new = (str(tmp_path / name) for name in ("source.h5", "main.h5", "new.h5"))
    for name, order in ((source, "xy"), (new, "yx")):
        with h5py.File(name, "w") as file:
            for key in order:
                file[key] = np.full(10, ord(key))
    layout = h5py.VirtualLayout((10,), "<i8")
    layout[:] = h5py.VirtualSource("source.h5", "x", (10,), "<i8")
    with h5py.File(main, "w") as file:
        file.create_virtual_dataset("virtual", layout)
        file["link"] = h5py.ExternalLink("source.h5", "/x")
    with h5py.File(main) as theirs, h5py.File(source) as theirs_too:
        assert theirs["virtual"][0] == theirs["link"][0] == theirs_too["x"][0] == ord("x")
        with open(new, "rb") as data, open(source, "r+b") as target:
            target.write(data.read())
        with open_file(main, Access()) as ours:
            assert ours["virtual"][0] == ours["link"][0] == ord("x")


def test_a_forked_process_reads_through_a_descriptor_without_a_position(path):
    """As `os.pread` does: else processes that inherit an open file would move each other's place in it."""
    fid = open_id(path)
    assert h5py.File(fid)["g/x"][7] == 7
    assert os.lseek(fid.get_vfd_handle(), 0, os.SEEK_CUR) == 0
    fid.close()


@pytest.mark.timeout(10)
def test_a_fifo_is_not_waited_for(tmp_path):
    path = str(tmp_path / "a.h5")
    os.mkfifo(path)
    with pytest.raises(BadFileError, match=r"a\.h5 is not a regular file"):
        open_id(path)
