"""Files that change after they were scanned, or while they are read: never other data, and never a silent death."""

import os
import shutil

import h5py
import numpy as np
import pytest
import torch

from h5lightning import H5Dataset
from h5lightning.errors import BadFileError, FileChangedError

READERS = ("auto", "h5py")
LAYOUTS = {"contiguous": {}, "gzip": {"chunks": (8, 4), "compression": "gzip"}}
ROWS = 40


def write(path, value, rows=ROWS, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.full((rows, 4), value, "<f4"), **options)


def later(path):
    """As if the clock had ticked since the file was written first."""
    status = os.stat(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))


def rewrite(path, options):
    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    later(path)


def replace(path, options):
    write(f"{path}.new", 2, **options)
    later(f"{path}.new")
    os.replace(f"{path}.new", path)


def grow(path, options):
    with open(path, "ab") as file:
        file.write(bytes(100))


def cut(path, options):
    os.truncate(path, os.path.getsize(path) // 2)


def lengthen(path, options):
    os.unlink(path)
    write(path, 2, rows=ROWS // 2, **options)


CHANGES = {
    "rewritten": (rewrite, "was written to|was cut off|grew"),
    "replaced": (replace, "was replaced|was deleted or replaced"),
    "grown": (grow, "grew from"),
    "cut": (cut, "was cut off from"),
    "written anew": (lengthen, "was replaced|was deleted or replaced|was written to|grew|was cut off"),
}


@pytest.fixture
def folder(tmp_path, request):
    for number in range(3):
        write(tmp_path / f"{number}.h5", 1, **LAYOUTS[request.param])
    return tmp_path


@pytest.fixture
def open_dataset(folder):
    opened = []

    def make(reader):
        opened.append(H5Dataset(str(folder / "*.h5"), fields={"x": "x"}, reader=reader))
        return opened[0]

    yield make
    opened[0].close()


def layouts():
    return pytest.mark.parametrize("folder", LAYOUTS, indirect=True)


@layouts()
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("change", "words"), CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("is_open", [False, True], ids=["before it is opened", "while it is open"])
def test_a_change_is_an_error_that_names_it(folder, open_dataset, change, words, reader, is_open, request):
    dataset = open_dataset(reader)
    if is_open:
        assert torch.all(dataset.read_batch([ROWS + 3, 2 * ROWS + 1])["x"] == 1)
    path = str(folder / "1.h5")
    change(path, LAYOUTS[request.node.callspec.params["folder"]])
    with pytest.raises(FileChangedError, match=rf"1\.h5 ({words}).*Start again"):
        dataset.read_batch([ROWS + 3, ROWS + 20, 2 * ROWS + 1])
    assert torch.all(dataset.read_batch([0, 2 * ROWS + 1])["x"] == 1), "the others are as they were"


@layouts()
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("is_open", [False, True], ids=["before it is opened", "while it is open"])
def test_a_deleted_file(folder, open_dataset, reader, is_open):
    dataset = open_dataset(reader)
    if is_open:
        assert torch.all(dataset.read_batch([ROWS + 3])["x"] == 1)
    os.unlink(folder / "1.h5")
    with pytest.raises(BadFileError, match=r"1\.h5 (cannot be opened: No such file|was deleted or replaced)"):
        dataset.read_batch([ROWS + 3])


HARMLESS = {
    "mode": lambda path: os.chmod(path, 0o600),
    "hard link": lambda path: os.link(path, f"{path}.link"),
    "copy with its times": lambda path: (shutil.copy2(path, f"{path}.new"), os.replace(f"{path}.new", path)),
}


@layouts()
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
def test_what_does_not_touch_the_content_is_no_change(folder, open_dataset, change, reader):
    dataset = open_dataset(reader)
    change(str(folder / "1.h5"))
    assert torch.all(dataset.read_batch([3, ROWS + 3, ROWS + 20])["x"] == 1)
