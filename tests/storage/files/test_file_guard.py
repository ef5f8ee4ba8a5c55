"""Watching an open file: what happens to it is noticed and named."""

import os

import numpy as np
import pytest
from changed_files import replace, write_within

from h5lightning.errors import FileChangedError
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.file_schema import FileSchema
from h5lightning.planning.catalog.file_stamps import ScannedFiles
from h5lightning.storage.files.file_guard import OpenFileGuard, check_scanned
from h5lightning.storage.hdf5.file_checks import stamp


@pytest.fixture
def path(tmp_path):
    (tmp_path / "a.h5").write_bytes(bytes(1000))
    return str(tmp_path / "a.h5")


@pytest.fixture
def guard(path):
    descriptor = os.open(path, os.O_RDONLY)
    yield OpenFileGuard(path, descriptor)
    os.close(descriptor)


CHANGES = {
    "written": (write_within, r"was written to \(modified at .*\) while it was read"),
    "grown": (lambda path: os.truncate(path, 2000), "grew from 1000 to 2000 bytes while it was read"),
    "cut": (lambda path: os.truncate(path, 10), "was cut off from 1000 to 10 bytes while it was read"),
    "replaced": (lambda path: replace(path, 1000), "was deleted or replaced while it was read"),
    "deleted": (os.unlink, "was deleted or replaced while it was read"),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_changes_are_named(change, message, path, guard):
    guard.check()
    change(path)
    with pytest.raises(FileChangedError, match=rf"a\.h5 {message}\. .*SWMR.*Start again"):
        guard.check()


HARMLESS = {
    "mode": lambda path: os.chmod(path, 0o600),
    "hard link": lambda path: os.link(path, f"{path}.other"),
    "renamed": lambda path: os.rename(path, f"{path}.other"),
}


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
def test_other_events_are_no_change(change, path, guard):
    change(path)
    guard.check()


def test_what_was_scanned(path, guard, tmp_path):
    def scanned(names, *stamps):
        return ScannedFiles(Catalog.of(str(tmp_path), names, np.asarray(stamps), [FileSchema(())]))

    size, mtime_ns, ctime_ns, inode = stamp(os.stat(path))
    check_scanned(path, guard.stamp, scanned(["a.h5"], (size, mtime_ns, ctime_ns - 5, inode + 1)))
    check_scanned(path, guard.stamp, scanned(["other.h5"], (0, 0, 0, 0)))
    with pytest.raises(FileChangedError, match=r"a\.h5 grew from 999 to 1000 bytes since it was scanned"):
        check_scanned(path, guard.stamp, scanned(["a.h5"], (999, mtime_ns, ctime_ns, inode)))
