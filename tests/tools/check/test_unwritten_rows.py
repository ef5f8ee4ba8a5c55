"""The first row that was never written, where HDF5 knows it."""

import h5py
import numpy as np
import pytest

from h5lightning.options import Field
from h5lightning.tools.check import check_files
from h5lightning.tools.check.unwritten_rows import unwritten_since

pytestmark = pytest.mark.timeout(60)
SETTINGS = {"fields": {"x": Field("x")}, "progress": False}


def write(path, written, rows=100, row_shape=(3,), dtype="f4", **options):
    with h5py.File(path, "w") as file:
        stored = file.create_dataset("x", (rows, *row_shape), dtype, **options)
        if written:
            stored[:written] = 1 + np.arange(written).reshape(-1, *[1] * len(row_shape))
    return str(path)


@pytest.mark.parametrize(
    ("written", "options"),
    [
        (40, {"chunks": (20, 3)}),
        (30, {"chunks": (20, 3)}),
        (33, {"chunks": (20, 3), "compression": "gzip", "fillvalue": np.nan}),
        (30, {"chunks": (20, 1), "dtype": "i2", "fillvalue": -1}),
        (70, {"chunks": (20, 3), "maxshape": (None, 3)}),
        (0, {"chunks": (20, 3)}),
        (0, {}),
    ],
)
def test_the_first_row_is_named(tmp_path, written, options):
    path = write(tmp_path / "a.h5", written, **options)
    assert unwritten_since(path, ["x"]) == f"row {written} of '/x' is the first that was not written"


@pytest.mark.parametrize("options", [{}, {"chunks": (20, 3)}, {"chunks": (30, 2)}])
def test_nothing_is_said_of_whole_files(tmp_path, options):
    assert unwritten_since(write(tmp_path / "a.h5", 100, **options), ["x"]) == ""


def test_nothing_is_said_where_hdf5_may_mix_up_chunks(tmp_path):
    path = write(tmp_path / "a.h5", 30, chunks=(20, 3), maxshape=(100, None))
    assert unwritten_since(path, ["x"]) == ""


@pytest.mark.parametrize("path", ["no_such.h5", "a.h5"])
def test_nothing_is_said_of_what_cannot_be_opened(tmp_path, path):
    write(tmp_path / "a.h5", 30, chunks=(20, 3))
    assert unwritten_since(str(tmp_path / path), ["y"]) == ""


def test_one_bad_file_among_others(tmp_path):
    for number, written in enumerate((100, 30, 100)):
        write(tmp_path / f"{number}.h5", written, chunks=(20, 3))
    (result, *_) = check_files([str(tmp_path / "*.h5")], **SETTINGS).results
    (failure,) = result.failures
    assert failure.startswith("1.h5: lacks values that were never written: 3 chunks of '/x'; row 30 of '/x'")
    assert failure.endswith("accept the fill value with access.on_missing='fill'")


def test_all_files_are_bad(tmp_path):
    path = write(tmp_path / "a.h5", 30, chunks=(20, 3))
    (result,) = check_files([path], **SETTINGS).results
    (failure,) = result.failures
    assert failure.startswith(f"MissingDataError: '/x' in {path} has 3 chunks never written")
    assert failure.endswith("In a.h5, row 30 of '/x' is the first that was not written")
