"""What is said around a dataset comes together in one place."""

import h5py
import numpy as np
import pytest

from h5lightning.planning.catalog.annotations import NOTHING
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.scanning.annotator import Annotator
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.scanned_dataset import ScannedDataset

VALUES = ValueReader(reads_text=True)


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        opened["x"], opened["y"], opened["g/z"] = np.zeros((3, 2)), np.zeros((3, 2)), 1
        opened["y"].attrs["columns"] = ["a", "b"]
        yield opened


def annotate(file, path):
    dataset = ScannedDataset(file.id, path, DatasetInfo.of(file[path].id), VALUES)
    return Annotator(file.id, VALUES).annotate(dataset)


def test_where_nothing_is_said_nothing_is_found(file):
    assert annotate(file, "x") is NOTHING


def test_labels_are_found(file):
    found = annotate(file, "y")
    assert [one.path for one in found.labels] == ["y@columns"]


def test_digests_are_made_of_what_must_be_the_same(file):
    annotator, x = Annotator(file.id, VALUES, same=("x", "g", "link")), DatasetInfo.of(file["x"].id)
    assert annotator.with_digest(NOTHING, x, "x").digest.startswith("(3, 2) numbers ")
    assert annotator.with_digest(NOTHING, x, "other") is NOTHING
    group = DatasetSchema("g", "group", (), refusal="is a group")
    assert annotator.with_digest(NOTHING, group, "g").digest.startswith("1 datasets ")
    link = DatasetSchema("link", "link", (), refusal="is a soft link")
    assert annotator.with_digest(NOTHING, link, "link").digest == "? is a soft link"
