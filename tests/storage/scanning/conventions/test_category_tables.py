"""Names of categories beside a column of codes, as AnnData stores them."""

import h5py
import numpy as np
import pytest
from scanned import describe

from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.scanning.conventions.category_tables import category_count
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.scanned_dataset import ScannedDataset

VALUES = ValueReader(reads_text=True)


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        yield opened


def count(file, path):
    return category_count(ScannedDataset(file.id, path, DatasetInfo.of(file[path].id), VALUES))


def write_table(file, codes, names):
    file[codes] = np.array([0, 1, 1, 0], "i1")
    file[codes.rpartition("/")[0] + "/categories"] = names


def test_names_that_were_deleted_are_none(file):
    file["names"] = ["ape", "bee"]
    file["x"] = np.zeros(3, "i1")
    file["x"].attrs["categories"] = file["names"].ref
    del file["names"]
    found = describe(file.id, "x", VALUES)
    assert (found.categories, found.refusal) == (None, "")


def test_names_are_counted_also_where_they_are_too_many_to_be_read(file):
    write_table(file, "g/codes", np.array([b"a"] * 10_001))
    write_table(file, "h/codes", np.arange(3))
    assert count(file, "g/codes") == 10_001
    # Numbers beside numbers may be anything.
    assert count(file, "h/codes") is None
    file["h"].attrs["encoding-type"] = "categorical"
    assert count(file, "h/codes") == 3
    file["m/codes"] = np.zeros((2, 2), "i1")
    file["m/categories"] = ["a"]
    assert count(file, "m/codes") is None
