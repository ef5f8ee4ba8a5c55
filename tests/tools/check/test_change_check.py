"""Files, and those that they take values from, that change while a run is checked."""

import os

import h5py
import numpy as np
import pytest
from check_runs import check_run

from h5lightning.options import Access
from h5lightning.tools.check.change_check import check_changes

pytestmark = pytest.mark.timeout(60)


def test_files_that_stay_pass(write_files):
    with check_run(write_files()) as run:
        result = check_changes(run)
    assert (result.failures, result.scope) == ((), "8 files")


def test_each_file_that_changed_is_named(write_files):
    pattern = write_files()
    with check_run(pattern) as run:
        with h5py.File(pattern.replace("*", "run-002"), "r+") as file:
            file["more"] = np.zeros(100)
        os.remove(pattern.replace("*", "run-005"))
        result = check_changes(run)
    assert [failure.split(" ")[0] for failure in result.failures] == ["run-002.h5", "run-005.h5"]
    assert "grew from" in result.failures[0]
    assert "was removed since it was scanned" in result.failures[1]


def test_a_source_that_changed_is_named(tmp_path):
    source = tmp_path / "source.h5"
    with h5py.File(source, "w") as file:
        file["d"] = np.ones((30, 4), "f4")
    layout = h5py.VirtualLayout((30, 4), "f4")
    layout[:] = h5py.VirtualSource("source.h5", "d", (30, 4))
    with h5py.File(tmp_path / "run.h5", "w") as file:
        file.create_virtual_dataset("x", layout)
        file["y"] = np.arange(30)
    access = Access(allow_external=str(tmp_path), on_bad_file="skip", max_bad_fraction=1)
    with check_run(str(tmp_path / "run.h5"), access=access) as run:
        assert check_changes(run).failures == ()
        assert check_changes(run).scope == "1 file, 1 source"
        with h5py.File(source, "r+") as file:
            file["more"] = np.zeros(1000)
        (failure,) = check_changes(run).failures
    assert failure.startswith(f"{source}, which other files take values from, grew")
