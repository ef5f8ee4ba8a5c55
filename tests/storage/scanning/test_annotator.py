"""Annotations of a dataset, collected from all conventions."""

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


def test_a_dataset_without_attributes_has_no_annotations(file):
    assert annotate(file, "x") is NOTHING


def test_labels_are_found(file):
    found = annotate(file, "y")
    assert [one.path for one in found.labels] == ["y@columns"]


def test_objects_that_must_be_the_same_have_digests(file):
    annotator, info = Annotator(file.id, VALUES, same=("x", "g", "link")), DatasetInfo.of(file["x"].id)

    def digest(schema, info=None):
        return annotator.with_digest(schema, info).annotations.digest

    assert digest(DatasetSchema("x", "<f8", (3, 2)), info).startswith("(3, 2) numbers ")
    other = DatasetSchema("other", "<f8", (3, 2))
    assert annotator.with_digest(other, info) is other
    assert digest(DatasetSchema("g", "group", (), refusal="is a group")).startswith("1 datasets ")
    assert digest(DatasetSchema("link", "link", (), refusal="is a soft link")) == "? is a soft link"
