"""Files, and those that they take values from, that change while a run is checked."""

import os

import h5py
import numpy as np
import pytest
from cases import case_of

from h5lightning.options import Access
from h5lightning.tools.check.change_check import prove_unchanged

pytestmark = pytest.mark.timeout(60)


def test_files_that_stay_pass(write_files):
    with case_of(write_files()) as case:
        outcome = prove_unchanged(case)
    assert (outcome.failures, outcome.scope) == ((), "8 files")


def test_each_file_that_changed_is_named(write_files):
    pattern = write_files()
    with case_of(pattern) as case:
        with h5py.File(pattern.replace("*", "run-002"), "r+") as file:
            file["more"] = np.zeros(100)
        os.remove(pattern.replace("*", "run-005"))
        outcome = prove_unchanged(case)
    assert [failure.split(" ")[0] for failure in outcome.failures] == ["run-002.h5", "run-005.h5"]
    assert "grew from" in outcome.failures[0]
    assert "is not there any more since it was scanned" in outcome.failures[1]


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
    with case_of(str(tmp_path / "run.h5"), access=access) as case:
        assert prove_unchanged(case).failures == ()
        assert prove_unchanged(case).scope == "1 file, 1 source"
        with h5py.File(source, "r+") as file:
            file["more"] = np.zeros(1000)
        (failure,) = prove_unchanged(case).failures
    assert failure.startswith(f"{source}, which other files take values from, grew")
