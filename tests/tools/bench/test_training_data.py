"""What can be trained on, and how it lies in the files."""

import h5py
import numpy as np
import pytest

from h5lightning.errors import FieldError, MissingFieldError, NoMatchError
from h5lightning.options import Field, Rows, Whole
from h5lightning.tools.bench.training_data import find_training_data


@pytest.fixture
def images(tmp_path):
    for number in range(6):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            pixels = np.zeros((40, 8, 8), "u1")
            file.create_dataset("images", data=pixels, chunks=(16, 8, 8), compression="gzip")
            file["labels"] = np.arange(40)
            file["table"] = np.zeros(40, [("a", "f4"), ("b", "f8")])
    return [str(tmp_path / "*.h5")]


def test_fields_are_guessed(images):
    found = find_training_data(images, None)
    assert found.arguments["fields"] == {"x": Field("images"), "y": Field("labels")}
    assert found.arguments["samples"] == Rows()
    assert found.datasets == ["images", "labels"]
    assert (found.samples, found.rows.tolist(), found.sample_bytes) == (240, [40] * 6, [64, 8])
    assert (found.chunk_rows, found.decoded_bytes) == (16, 240 * 64)
    assert (found.mode("auto"), found.mode("none"), found.readers) == ("block", "none", ("direct",))
    with h5py.File(images[0].replace("*", "0")) as file:
        stored = file["images"].id.get_storage_size() + file["labels"].id.get_storage_size()
    assert found.stored_bytes == 6 * stored


def test_fields_are_named(images):
    fields = {"a": Field("table", member="a"), "b": Field("table", member="b"), "n": Field("labels")}
    found = find_training_data(images, fields)
    assert found.datasets == ["table", "labels"]
    assert found.sample_bytes == [4, 8, 8]
    assert (found.mode("auto"), found.readers) == ("full", ("direct", "h5py"))


def test_whole_files(tmp_path):
    for number in range(12):
        with h5py.File(tmp_path / f"{number:02}.h5", "w") as file:
            file["image"] = np.zeros((16, 16, 3), "u1")
            file["label"] = number % 3
    found = find_training_data([str(tmp_path / "*.h5")], None)
    assert (found.is_whole, found.samples, found.sample_bytes) == (True, 12, [16 * 16 * 3])
    assert found.arguments["samples"] == Whole()


def test_what_cannot_be_read_is_left_out(images, tmp_path):
    (tmp_path / "torn.h5").write_bytes(b"")
    assert find_training_data(images, None).left_out == 1
    found = find_training_data(images, {"x": Field("images")})
    assert (found.left_out, found.arguments["access"].on_bad_file) == (1, "skip")


@pytest.mark.parametrize(
    ("patterns", "fields", "error"),
    [
        (["missing/*.h5"], None, NoMatchError),
        (None, {"x": Field("image")}, MissingFieldError),
        (None, {"x": Field(attr="a")}, FieldError),
    ],
    ids=["files", "field", "no rows"],
)
def test_what_cannot_be_used(images, patterns, fields, error):
    with pytest.raises(error):
        find_training_data(patterns or images, fields)


def test_nothing_that_can_be_read(tmp_path):
    (tmp_path / "torn.h5").write_bytes(b"")
    with pytest.raises(FieldError, match="none of the files can be read"):
        find_training_data([str(tmp_path / "torn.h5")], None)
