"""The schema of one file, and the errors of files that cannot be described."""

import os
import random

import h5py
import numpy as np
import pytest

from h5lightning.errors import BadFileError, FieldError
from h5lightning.storage.scanning.describe_file import attribute_names, describe_file, outcome_of
from h5lightning.storage.scanning.metadata_values import NeedsProcessError, ValueReader
from h5lightning.storage.scanning.scan_request import DIFFERENCE, ScanRequest

VALUES = ValueReader(reads_text=True)


@pytest.fixture
def path(tmp_path):
    name = str(tmp_path / "a.h5")
    with h5py.File(name, "w") as file:
        file["x"] = np.zeros((5, 2), "f4")
        file["g/y"] = np.zeros(5, "i8")
        file["text"] = ["a", "b"]
        file.attrs["machine"] = "m1"
        file["x"].attrs["scale"] = 0.5
    return name


def paths_of(schema):
    return [dataset.path for dataset in schema.datasets]


def test_walk_finds_all_datasets_with_reasons_against_some(path):
    schema = describe_file(path, ScanRequest(None), VALUES)
    assert paths_of(schema) == ["g/y", "text", "x"]
    assert [bool(dataset.refusal) for dataset in schema.datasets] == [False, True, False]


def test_request_keeps_its_order_and_leaves_out_what_is_missing(path):
    schema = describe_file(
        path, ScanRequest(("x", "absent", "g/y", "x"), ("@machine", "@absent", "x@scale")), VALUES
    )
    assert paths_of(schema) == ["x", "g/y"]
    assert schema.attrs == {"@machine": "m1", "x@scale": 0.5}


def test_any_object_that_must_be_the_same_has_a_digest(path):
    schema = describe_file(path, ScanRequest(("x",), same=("text", "g", "absent")), VALUES)
    assert paths_of(schema) == ["x", "text", "g"]
    assert [bool(dataset.annotations.digest) for dataset in schema.datasets] == [False, True, True]
    schema = describe_file(path, ScanRequest(None, same=("g/y", "g")), VALUES)
    assert paths_of(schema) == ["g/y", "text", "x", "g"]
    assert [bool(dataset.annotations.digest) for dataset in schema.datasets] == [True, False, False, True]


def test_the_first_axis_of_constants_has_labels(path):
    with h5py.File(path, "r+") as file:
        file["lat"] = np.arange(5)
        file["x"].dims[0].attach_scale(file["lat"])

    def axes(constants):
        return {
            one.axis for one in describe_file(path, request(constants), VALUES).datasets[0].annotations.labels
        }

    def request(constants):
        return ScanRequest(("x",), constants=constants)

    assert axes(()) == {-1}
    assert axes(("x",)) == {-1, 0}


def test_two_files_can_be_compared(path, tmp_path):
    other = str(tmp_path / "b.h5")
    with h5py.File(other, "w") as file:
        file["text"] = ["a", "c"]
    schema = describe_file(path, ScanRequest((), compared=(other, "text", "text")), VALUES)
    assert schema.datasets == ()
    assert schema.attrs == {DIFFERENCE: "row 1: 'b', expected 'c'"}


def test_text_can_be_left_to_another_process(path):
    with pytest.raises(NeedsProcessError):
        describe_file(path, ScanRequest(("x",), ("@machine",)), ValueReader(reads_text=False))
    assert paths_of(describe_file(path, ScanRequest(("x", "text")), ValueReader(reads_text=False)))


def test_file_is_closed(path):
    describe_file(path, ScanRequest(None), VALUES)
    with h5py.File(path, "r+") as file:
        file["z"] = 1


@pytest.mark.parametrize("content", [b"", b"not HDF5 at all"], ids=["empty", "text"])
def test_file_is_guarded(tmp_path, content):
    (tmp_path / "b.h5").write_bytes(content)
    with pytest.raises(BadFileError, match=r"b\.h5"):
        describe_file(str(tmp_path / "b.h5"), ScanRequest(None), VALUES)


@pytest.mark.parametrize(
    ("owner", "names"),
    [("", ["machine"]), ("x", ["scale"]), ("g", []), ("absent", []), ("x/y", []), ("link", [])],
    ids=["file", "dataset", "group", "absent", "below a dataset", "link"],
)
def test_names_of_attributes(path, owner, names):
    with h5py.File(path, "a") as file:
        file["link"] = h5py.SoftLink("/x")
    assert attribute_names(path, owner) == names


def test_fifo_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "b.h5")
    with pytest.raises(BadFileError, match="FIFO"):
        describe_file(str(tmp_path / "b.h5"), ScanRequest(None), VALUES)


def test_damage_names_file_object_and_remedy(tmp_path):
    path = str(tmp_path / "b.h5")
    with h5py.File(path, "w", libver="latest") as file:
        file["x"] = np.zeros(5)
        header = h5py.h5o.get_info(file["x"].id).addr
    flip(path, header + 20)
    with pytest.raises(BadFileError, match="checksum") as caught:
        describe_file(path, ScanRequest(("x",)), VALUES)
    message = str(caught.value)
    assert path in message
    assert "'/x'" in message
    assert "access.on_bad_file=skip" in message


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0xFF]))


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_damage_is_a_bad_file_error_or_goes_unnoticed(tmp_path, libver):
    path = str(tmp_path / "b.h5")
    with h5py.File(path, "w", libver=libver) as file:
        file.create_dataset("g/x", data=np.zeros((16, 4)), chunks=(4, 4), compression="gzip")
        header = h5py.h5o.get_info(file["g/x"].id).addr
    flips = random.Random(0).sample(range(header, header + 200), 60)
    found = set()
    for offset in flips:
        flip(path, offset)
        found.add(type(outcome_of(path, ScanRequest(None), VALUES)).__name__)
        flip(path, offset)
    assert found <= {"FileSchema", "BadFileError"}
    assert "BadFileError" in found


def test_outcome_is_a_value(path, tmp_path):
    assert outcome_of(path, ScanRequest(("x",)), VALUES) == describe_file(path, ScanRequest(("x",)), VALUES)
    assert isinstance(outcome_of(str(tmp_path / "none.h5"), ScanRequest(None), VALUES), BadFileError)
    with h5py.File(path, "r+") as file:
        file.attrs["empty"] = h5py.Empty("f4")
    assert isinstance(outcome_of(path, ScanRequest((), ("@empty",)), VALUES), FieldError)
