"""The coordinate that says which files go on: what the scan reads of it, and what it refuses."""

import h5py
import numpy as np
import pytest

from h5lightning.errors import H5LightningError, MissingFieldError, SchemaError, UnsupportedFieldError
from h5lightning.planning.series.join_files import COORDINATE
from h5lightning.storage.scanning import ScanRequest, scan_file


def scanned(path, values, dtype="f8", **attrs):
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros(len(values))
        if values is not None:
            dataset = file.create_dataset("time", data=np.asarray(values, dtype))
            dataset.attrs.update(attrs)
    return scan_file(str(path), ScanRequest(("x",), coordinate="time")).attrs[COORDINATE]["value"]


@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "u2", ">i4"])
def test_ends_step_and_units_are_read(tmp_path, dtype):
    found = scanned(tmp_path / "a.h5", [6, 12, 18], dtype, units="hours since 1900-01-01", calendar="noleap")
    expected = {"first": 6, "last": 18, "step": 6, "rows": 3}
    assert found == {**expected, "units": "hours since 1900-01-01", "calendar": "noleap"}


def test_one_row_has_no_step_and_no_row_nothing(tmp_path):
    assert scanned(tmp_path / "a.h5", [7])["step"] is None
    assert scanned(tmp_path / "b.h5", []) is None


def test_a_long_coordinate_is_read_in_blocks(tmp_path):
    found = scanned(tmp_path / "a.h5", np.arange(400_000) * 0.1)
    assert found["step"] == pytest.approx(0.1)
    assert found["last"] == pytest.approx(39_999.9)
    values = np.arange(400_000)
    values[300_000:] += 1
    with pytest.raises(SchemaError, match="1 at its beginning, 2 from row 299999 to row 300000"):
        scanned(tmp_path / "b.h5", values)


def test_times_of_nanoseconds_are_exact(tmp_path):
    start = np.datetime64("2024-01-01", "ns").astype("i8")
    found = scanned(tmp_path / "a.h5", start + np.arange(5) * 3_600_000_000_000, "i8")
    assert (found["first"], found["step"]) == (int(start), 3_600_000_000_000)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, 1, 3], "changes its step inside of the file: 1 at its beginning, 2 from row 1 to row 2"),
        ([0, 1, 0], "does not rise or fall throughout"),
        ([5, 5, 6], "has 5.0 at row 0 and at the next row: it must rise or fall"),
        ([0, 1, np.nan], "is nan at row 2"),
    ],
)
def test_what_does_not_go_on_evenly_is_refused(tmp_path, values, message):
    with pytest.raises(SchemaError, match=message):
        scanned(tmp_path / "a.h5", values)


def test_unsigned_numbers_may_fall(tmp_path):
    assert scanned(tmp_path / "a.h5", [30, 20, 10], "u1")["step"] == -10


@pytest.mark.parametrize(
    ("write", "error"),
    [
        (lambda _: None, MissingFieldError),
        (lambda file: file.create_group("time"), UnsupportedFieldError),
        (lambda file: file.create_dataset("time", data=[b"a", b"b"]), UnsupportedFieldError),
        (lambda file: file.create_dataset("time", data=np.zeros((2, 2))), UnsupportedFieldError),
        (lambda file: file.create_dataset("time", data=1.0), UnsupportedFieldError),
    ],
    ids=["missing", "group", "text", "table", "scalar"],
)
def test_what_is_no_coordinate_is_refused_by_name(tmp_path, write, error):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.zeros(2)
        write(file)
    with pytest.raises(H5LightningError, match=r"series\.join_files: '/time' in .*a\.h5") as caught:
        scan_file(str(tmp_path / "a.h5"), ScanRequest(("x",), coordinate="time"))
    assert isinstance(caught.value, error)
