"""What HDF5 holds open is given back before a file that changed is opened again."""

import gc
import os
import threading

import h5py
import numpy as np
import pytest

from h5lightning.errors import FileChangedError
from h5lightning.options import Access
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.hdf5 import held_files
from h5lightning.storage.hdf5.open_file import open_id, opened_id

pytestmark = pytest.mark.timeout(30)


def write(path, value):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.full(100, value), chunks=(10,), compression="gzip")


def rewrite(path, value):
    """In place, so that the file stays the same one."""
    write(f"{path}.new", value)
    with open(path, "r+b") as file, open(f"{path}.new", "rb") as new:
        file.write(new.read())
        file.truncate()
    status = os.stat(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))


def values(pool, path):
    with pool.dataset(path, "x") as dataset:
        return set(dataset[:].tolist())


@pytest.fixture
def path(tmp_path):
    write(tmp_path / "a.h5", 1)
    return str(tmp_path / "a.h5")


def test_another_pool_reads_what_was_written_since(path):
    with HandlePool(Access()) as first, HandlePool(Access()) as second:
        assert values(first, path) == {1}
        rewrite(path, 2)
        assert values(second, path) == {2}
        assert len(first) == 0
        assert values(first, path) == {2}, "it opens the file again"
        assert len(first) == len(second) == 1


def test_what_did_not_change_stays_open(path):
    with HandlePool(Access()) as first, HandlePool(Access()) as second:
        assert values(first, path) == values(second, path) == {1}
        assert len(first) == len(second) == 1
    assert held_files.identity_of(os.stat(path)) not in held_files._holders


def test_files_whose_holders_were_collected_are_forgotten(path, monkeypatch):
    """A pool that is never closed leaves nothing behind for good."""

    class Forgetful:
        pass

    monkeypatch.setattr(held_files, "_holders", {})
    monkeypatch.setattr(held_files, "_FEWEST_TO_SWEEP", 10)
    monkeypatch.setattr(held_files, "_sweep_at", 10)
    kept = Forgetful()
    held_files.hold(kept, [(1, 0)])
    for inode in range(1000):
        held_files.hold(Forgetful(), [(0, inode)])
    gc.collect()
    assert len(held_files._holders) <= 11
    assert (1, 0) in held_files._holders


def test_a_file_in_use_is_waited_for(path):
    started, release = threading.Event(), threading.Event()

    def use():
        with first.dataset(path, "x"):
            started.set()
            release.wait(20)

    def fail():
        with pytest.raises(FileChangedError):
            use()

    with HandlePool(Access()) as first, HandlePool(Access()) as second:
        thread = threading.Thread(target=fail)
        thread.start()
        assert started.wait(20)
        rewrite(path, 2)
        threading.Timer(0.1, release.set).start()
        assert values(second, path) == {2}
        thread.join()


def test_a_file_that_is_open_for_a_moment_is_waited_for(path):
    """As by a thread that scans it: HDF5 would show what that one has read."""
    started, release = threading.Event(), threading.Event()

    def scan():
        with opened_id(path) as fid:
            assert set(h5py.File(fid)["x"][:].tolist()) == {1}
            started.set()
            release.wait(20)

    thread = threading.Thread(target=scan)
    thread.start()
    assert started.wait(20)
    with opened_id(path):
        pass
    rewrite(path, 2)
    threading.Timer(0.1, release.set).start()
    with HandlePool(Access()) as pool:
        assert values(pool, path) == {2}
    thread.join()
    assert held_files._brief == {}


def test_a_file_that_changes_inside_of_the_moment(path, monkeypatch):
    monkeypatch.setattr(held_files, "_PATIENCE_S", 0.0)
    with opened_id(path):
        rewrite(path, 2)
        with pytest.raises(FileChangedError, match="would still show its old contents"):
            open_id(path)
    open_id(path).close()


def test_but_not_indefinitely(path, monkeypatch):
    monkeypatch.setattr(held_files, "_PATIENCE_S", 0.0)

    def use(pool):
        with pool.dataset(path, "x"):
            rewrite(path, 2)
            with pytest.raises(FileChangedError, match="would still show its old contents"):
                open_id(path)

    with HandlePool(Access()) as pool, pytest.raises(FileChangedError, match=r"was written to|grew|was cut"):
        use(pool)
