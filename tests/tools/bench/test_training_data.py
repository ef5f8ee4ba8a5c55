"""What can be trained on, how it lies in the files, and which subset of large data is measured."""

import h5py
import numpy as np
import pytest

from h5lightning.errors import FieldError, MissingFieldError, NoMatchError
from h5lightning.options import Field, Rows, Whole
from h5lightning.tools.bench.training_data import choose_subset, find_training_data


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
    assert (found.mode("auto"), found.readers) == ("full", ("direct",))


def test_some_fields_are_read_through_hdf5(images):
    for number in range(6):
        with h5py.File(images[0].replace("*", str(number)), "r+") as file:
            file.create_dataset("times", data=np.arange(40), chunks=(40,), scaleoffset=0)
    found = find_training_data(images, {"a": Field("table", member="a"), "t": Field("times")})
    assert found.readers == ("direct", "h5py")


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


def rows_of(subset, rows):
    return subset.share * rows[subset.files].sum()


@pytest.mark.parametrize(
    ("rows", "expected", "chunk_rows"),
    [
        (np.full(10, 1000), 5000, 1),
        (np.full(10, 1000), 5000, 64),
        (np.full(10_000, 50), 3000, 1),
        (np.array([1_000_000]), 20_000, 32),
        (np.arange(1, 200), 2000, 4),
    ],
    ids=["rows", "chunks", "many files", "one file", "unequal"],
)
def test_about_as_many_rows_as_asked_for(rows, expected, chunk_rows):
    subset = choose_subset(rows, expected, chunk_rows=chunk_rows)
    assert expected * 0.5 <= rows_of(subset, rows) <= expected * 1.5 + rows.max() * (subset.share == 1)
    assert np.all(np.diff(subset.files) > 0)
    assert len(subset.files) <= 64


def test_a_file_gives_several_chunks():
    rows = np.full(20, 10_000)
    subset = choose_subset(rows, 4000, chunk_rows=100)
    assert rows_of(subset, rows) / len(subset.files) >= 8 * 100


def test_files_are_spread_over_all():
    subset = choose_subset(np.full(1000, 10), 100, chunk_rows=1)
    assert subset.files[0] < 100
    assert subset.files[-1] >= 900


def test_nearly_all_is_all():
    subset = choose_subset(np.full(4, 100), 350, chunk_rows=1)
    assert subset.is_all(4)
    assert not choose_subset(np.full(4, 100), 100, chunk_rows=1).is_all(4)


def test_whole_files_are_not_divided():
    subset = choose_subset(np.full(40, 1000), 5000, chunk_rows=1, is_divisible=False)
    assert (len(subset.files), subset.share) == (5, 1)
