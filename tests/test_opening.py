"""Opening for reading: bounded caches, nothing but data of the file itself, and errors that say what to do."""

import errno
import os
import resource
import subprocess
import sys

import h5py
import numpy as np
import pytest

from h5lightning.errors import BadFileError, MissingFieldError, UnsupportedFieldError
from h5lightning.opening import open_dataset, open_file, open_id
from h5lightning.options import Access


@pytest.fixture
def path(tmp_path):
    """A file with a dataset ``g/x`` and links to it and elsewhere."""
    name = str(tmp_path / "a.h5")
    with h5py.File(name, "w") as file:
        file["g/x"] = np.arange(10)
        file["soft"] = h5py.SoftLink("/g/x")
        file["outside"] = h5py.ExternalLink("other.h5", "/g/x")
        file["away"] = h5py.ExternalLink("other.h5", "/g")
    return name


@pytest.fixture
def few_descriptors():
    """Sets the soft limit of open files, up to the end of the test."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda soft: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"chunks": (5,)}, 0), ({"chunks": (5,), "compression": "gzip"}, 1000)],
    ids=["raw", "filtered"],
)
def test_only_decoded_chunks_are_cached(options, expected, tmp_path):
    path = str(tmp_path / "chunked.h5")
    with h5py.File(path, "w") as file:
        file.create_dataset("g/x", data=np.arange(10), **options)
    with open_file(path, Access(), rdcc_nbytes=1000) as file:
        dataset = open_dataset(file, path, "g/x")
        assert dataset.id.get_access_plist().get_chunk_cache()[1] == expected
        assert dataset.name == "/g/x"
        assert dataset[:].tolist() == list(range(10))


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
    with pytest.raises(BadFileError, match=r"ulimit -n.*access\.max_open_files"):
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


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("y", MissingFieldError, "'/y' is not in .*a.h5"),
        ("g/y/z", MissingFieldError, "'/g/y/z' is not in .*a.h5"),
        ("g/x/z", MissingFieldError, "'/g/x/z' is not in .*a.h5"),
        ("g", UnsupportedFieldError, "'/g' in .*a.h5 is no dataset"),
        ("soft", UnsupportedFieldError, "'/soft' in .*a.h5 is a soft or external link"),
        ("outside", UnsupportedFieldError, "'/outside' in .*a.h5 is a soft or external link"),
        ("away/x", UnsupportedFieldError, "'/away' in .*a.h5 is a soft or external link"),
    ],
    ids=[
        "missing",
        "missing-group",
        "below-a-dataset",
        "group",
        "soft-link",
        "external-link",
        "external-group",
    ],
)
def test_only_datasets_of_the_file_itself_are_opened(path, tmp_path, name, error, message):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["g/x"] = np.arange(3)
    with open_file(path, Access()) as file:
        with pytest.raises(error, match=message):
            open_dataset(file, path, name)
        assert open_dataset(file, path, "g/x")[:].tolist() == list(range(10))


@pytest.mark.parametrize("locking", [False, True], ids=["unlocked", "locked"])
def test_a_user_may_open_the_file_meanwhile(locking, path):
    with open_file(path, Access(locking=locking)) as ours, h5py.File(path) as theirs:
        assert int(theirs["g/x"][7]) == int(ours["g/x"][7]) == 7
