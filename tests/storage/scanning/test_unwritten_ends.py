"""Datasets that end with rows that were never written, and others that only look alike."""

import h5py
import numpy as np
import pytest

from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.open_file import opened_id
from h5lightning.storage.scanning import ScanRequest, scan_file
from h5lightning.storage.scanning.unwritten_ends import ends_with_fill

RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(100, 8)) + 5


def marked(tmp_path, written, *, values=VALUES, dtype="f4", userblock_size=0, **options):
    """Whether a dataset whose first rows were written is marked by a scan."""
    path = str(tmp_path / "a.h5")
    with h5py.File(path, "w", userblock_size=userblock_size) as file:
        stored = file.create_dataset("x", values.shape, dtype, **options)
        stored[:written] = values[:written].astype(dtype)
        if options.get("chunks") and written < len(values):
            stored[written:] = stored.fillvalue
    return scan_file(path, ScanRequest(("x",))).datasets[0].annotations.ends_with_fill


@pytest.mark.parametrize("written", [1, 30, 93, 99])
@pytest.mark.parametrize("dtype", ["f2", ">f4", "f8", "c8"])
def test_half_written_floats_are_marked(tmp_path, written, dtype):
    assert marked(tmp_path, written, dtype=dtype)


@pytest.mark.parametrize("fill", [np.nan, 9.969209968386869e36, -1.0], ids=str)
@pytest.mark.parametrize("dtype", ["<f4", ">f8"])
def test_other_fill_values(tmp_path, fill, dtype):
    assert marked(tmp_path, 40, dtype=dtype, fillvalue=fill)
    # Zeros are values there.
    assert not marked(tmp_path, 100, values=np.where(np.arange(100)[:, None] < 40, VALUES, 0), fillvalue=fill)


def test_numbers_behind_a_user_block_and_in_chunks(tmp_path):
    assert marked(tmp_path, 40, userblock_size=1024)
    assert marked(tmp_path, 40, chunks=(7, 8))
    assert marked(tmp_path, 40, values=VALUES[:, 0])


LOOKALIKES = {
    "written": {},
    "a row that is zero in some places": {
        "values": np.vstack([VALUES[:-1], [[0, 0, 0, 0, 0, 0, 0, 1]]]),
    },
    "rows that end with another number": {"values": np.vstack([VALUES[:-1], np.full((1, 8), 3)])},
    "minus zero": {"values": np.vstack([VALUES[:-1], np.full((1, 8), -0.0)])},
    "zeros everywhere": {"values": np.zeros((100, 8))},
    "zeros now and then": {"values": np.where(np.arange(100)[:, None] % 3 == 0, 0, VALUES)},
    "zeros at both ends": {
        "values": np.where((np.arange(100)[:, None] % 90) < 10, 0, VALUES),
    },
    "integers": {"values": np.where(np.arange(100)[:, None] < 40, 7, 0), "dtype": "i4"},
    "one row": {"values": np.zeros((1, 8))},
    "rows of width zero": {"values": np.zeros((9, 0))},
}


@pytest.mark.parametrize("options", LOOKALIKES.values(), ids=LOOKALIKES)
def test_honest_files_are_not_marked(tmp_path, options):
    values = options.get("values", VALUES)
    assert not marked(tmp_path, len(values), **options)


@pytest.mark.parametrize(
    "options",
    [{"chunks": (10, 8), "compression": "gzip"}, {"chunks": (10, 4)}],
    ids=["compressed", "a row in two chunks"],
)
def test_expensive_datasets_are_not_checked(tmp_path, options):
    assert not marked(tmp_path, 40, **options)


def test_a_file_that_is_cut_off_is_not_read_past_its_end(tmp_path):
    path = str(tmp_path / "a.h5")
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (100, 8), "f4")[:40] = 1
    with opened_id(path) as fid:
        opened = DatasetInfo.of(h5py.h5d.open(fid, b"x"))
        with open(path, "r+b") as raw:
            raw.truncate(opened.did.get_offset() + 50)
        assert not ends_with_fill(fid, opened)
