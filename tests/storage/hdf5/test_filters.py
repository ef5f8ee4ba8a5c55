"""Reading what only a plug-in decodes, in processes where none is loaded yet."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest

from h5lightning.storage.hdf5.filters import plugin_problem

READ = """
import sys
if sys.argv[2] == "without":
    sys.modules["hdf5plugin"] = None
import numpy as np
from h5lightning.errors import UnsupportedFieldError
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.options import Access
from h5lightning.storage.readers.make_reader import make_reader
from h5lightning.storage.readers.protocol import DatasetColumn

assert sys.modules.get("hdf5plugin") is None
out = np.zeros(3, "<i8")
with HandlePool(Access()) as pool:
    reader = make_reader("auto", pool)
    try:
        reader.read_rows(sys.argv[1], DatasetColumn("x", None, "<i8", ()), np.array([5, 0, 8]), out)
        print(out.tolist())
    except UnsupportedFieldError as error:
        print(error)
print("hdf5plugin" in sys.modules and sys.modules["hdf5plugin"] is not None)
print(any(sys.argv[3] in line for line in open("/proc/self/maps")) if sys.platform == "linux" else None)
"""


@pytest.fixture
def path(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=np.arange(9), chunks=(3,), **hdf5plugin.BZip2())
    return str(tmp_path / "a.h5")


@pytest.fixture
def folder(tmp_path):
    """A folder with plug-ins, which HDF5 loads if it comes to search it."""
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    for library in Path(hdf5plugin.PLUGIN_PATH).glob("libh5bz*"):
        shutil.copy(library, plugins)
    return str(plugins)


def read(path, folder, hdf5plugin="with"):
    """What a process prints that reads the file: values or error, whether hdf5plugin and the folder were loaded."""
    process = subprocess.run(
        [sys.executable, "-c", READ, path, hdf5plugin, folder],
        env={**os.environ, "HDF5_PLUGIN_PATH": folder},
        capture_output=True,
        text=True,
        check=True,
    )
    return process.stdout.splitlines()


ON_LINUX = str(True) if sys.platform == "linux" else "None"


@pytest.mark.timeout(60)
def test_hdf5plugin_is_imported_where_it_is_needed_and_no_other_plug_in(path, folder):
    assert read(path, folder) == ["[5, 0, 8]", "True", ON_LINUX.replace("True", "False")]


@pytest.mark.timeout(60)
def test_the_folder_of_the_user_is_the_last_resort(path, folder):
    assert read(path, folder, "without") == ["[5, 0, 8]", "False", ON_LINUX]


@pytest.mark.timeout(60)
def test_what_to_install_is_said(path, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    problem, *_ = read(path, str(empty), "without")
    assert problem == (
        f"'/x' in {path} is stored with bzip2, which needs a plug-in: "
        "pip install 'h5lightning[plugins]' (hdf5plugin)"
    )


def test_a_filter_that_nobody_has():
    assert plugin_problem([2, 40_000]) == (
        "is stored with filter 40000, which neither HDF5 nor the installed hdf5plugin can decode. "
        "Rewrite it with another filter"
    )
    assert plugin_problem([1, 2, 3, 4, 5, 6, 32000, 32015]) == ""
