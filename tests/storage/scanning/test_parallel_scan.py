"""Many files: scanned in this process or by others, the outcome is the same."""

import logging
import sys

import h5py
import numpy as np
import pytest

from h5lightning.errors import BadFileError, FieldError
from h5lightning.storage.scanning import ScanRequest, scan_file, scan_files
from h5lightning.storage.scanning.parallel_scan import (
    difference_between,
    scan_by_workers,
    scan_in_process,
)

pytestmark = pytest.mark.timeout(60)

REQUEST = ScanRequest(None, ("@machine",))
BAD = 7


@pytest.fixture
def paths(tmp_path):
    """Files of different lengths and types, one of them empty, some with text."""
    names = [str(tmp_path / f"{number:03}.h5") for number in range(40)]
    for number, name in enumerate(names):
        with h5py.File(name, "w") as file:
            file["x"] = np.zeros((number, 2), "f4" if number % 3 else ">f8")
            if number >= 20:
                file.attrs["machine"] = f"m{number}"
    open(names[BAD], "w").close()
    return names


def ignore(_):
    pass


def comparable(outcomes):
    return [str(outcome) if isinstance(outcome, Exception) else outcome for outcome in outcomes]


def test_outcomes_do_not_depend_on_the_process(paths):
    in_process = scan_in_process(paths, REQUEST, advance=ignore, reads_text=True)
    by_workers = scan_by_workers(paths, REQUEST, processes=2, advance=ignore)
    assert comparable(in_process) == comparable(by_workers) == comparable(scan_files(paths, REQUEST))
    assert [number for number, outcome in enumerate(in_process) if isinstance(outcome, BadFileError)] == [BAD]
    assert [in_process[number].datasets[0].rows for number in (0, 39)] == [0, 39]


def test_this_process_stops_at_text(paths):
    assert len(scan_in_process(paths, REQUEST, advance=ignore)) == 20


def test_this_process_stops_when_its_patience_ends(paths):
    assert scan_in_process(paths, REQUEST, advance=ignore, patience_s=0) == []
    assert len(scan_in_process(paths, ScanRequest(None), advance=ignore, patience_s=60)) == 40


def test_each_file_advances_the_bar_once(paths):
    steps = []
    scan_in_process(paths, REQUEST, advance=steps.append, reads_text=True)
    scan_by_workers(paths, REQUEST, processes=2, advance=steps.append)
    assert sum(steps) == 80


def test_no_files():
    assert scan_files([], REQUEST) == []


def test_one_file(paths):
    assert scan_file(paths[3], REQUEST).datasets[0].shape == (3, 2)
    assert scan_file(paths[30], REQUEST).attrs == {"@machine": "m30"}
    with pytest.raises(BadFileError, match="is empty"):
        scan_file(paths[BAD], REQUEST)


@pytest.mark.parametrize("number", [2, 30], ids=["this process", "another process"])
def test_attribute_that_cannot_be_kept_ends_the_scan(paths, number):
    with h5py.File(paths[number], "r+") as file:
        file.attrs["machine"] = h5py.Empty("f4")
    with pytest.raises(FieldError, match=f"'@machine' of {paths[number]} is empty"):
        scan_files(paths, REQUEST)


def test_without_other_processes_this_one_scans_all(paths, monkeypatch, caplog):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with caplog.at_level(logging.WARNING):
        outcomes = scan_files(paths, REQUEST)
    assert outcomes[30].attrs == {"@machine": "m30"}
    assert "scanned by this process alone" in caplog.text


@pytest.mark.parametrize(("most", "is_known"), [(80, True), (79, False)], ids=["few", "many"])
def test_values_of_very_many_chunks_are_not_located(tmp_path, monkeypatch, most, is_known):
    names = [str(tmp_path / f"{number}.h5") for number in range(8)]
    for name in names:
        with h5py.File(name, "w") as file:
            file.create_dataset("x", data=np.arange(10), chunks=(1,))
            file["y"] = np.arange(10)
    monkeypatch.setattr("h5lightning.storage.scanning.parallel_scan._MOST_CHUNKS", most)
    for schema in scan_files(names, ScanRequest(("x", "y"))):
        assert [extents is not None for extents in schema.extents] == [is_known, True]
    assert scan_file(names[0], ScanRequest(("x", "y"), most_chunks=0)).extents == (None, None)


@pytest.mark.parametrize("values", [(["a"], ["b"]), ([1], [2])], ids=["text", "numbers"])
def test_two_files_are_compared_in_this_process_or_another(tmp_path, values):
    names = [str(tmp_path / name) for name in ("a.h5", "b.h5")]
    for name, value in zip(names, values, strict=True):
        with h5py.File(name, "w") as file:
            file["s"] = value
    one, other = (repr(value[0]) for value in values)
    assert difference_between(*names, "s") == f"row 0: {one}, expected {other}"
    assert difference_between(*names, "absent") == ""
    assert difference_between(names[0], str(tmp_path / "c.h5"), "s") == ""


def test_labels_and_digests_do_not_depend_on_the_process(tmp_path):
    name = str(tmp_path / "a.h5")
    with h5py.File(name, "w") as file:
        file["x"], file["s"] = np.zeros((4, 2)), ["a", "b"]
        file["x"].dims[1].attach_scale(file["s"])
    request = ScanRequest(("x",), same=("s",), constants=("x",))
    in_process = scan_in_process([name], request, advance=ignore, reads_text=True)
    assert (
        in_process
        == scan_by_workers([name], request, processes=1, advance=ignore)
        == scan_files([name], request)
    )
    assert in_process[0].datasets[0].annotations.labels[0].path == "s"
    assert in_process[0].datasets[1].annotations.digest.startswith("(2,) text ")
