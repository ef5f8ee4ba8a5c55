"""Datasets that names and references lead to."""

import h5py
import numpy as np
import pytest

from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.scanned_dataset import (
    ScannedDataset,
    dataset_at,
    dereferenced,
    referenced_dataset,
)


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        opened["g/x"], opened["gone"] = np.zeros(3), np.zeros(3)
        opened["soft"] = h5py.SoftLink("/g/x")
        yield opened


@pytest.mark.parametrize(("path", "parts"), [("a/b/c", ("a/b", "c")), ("c", ("", "c"))])
def test_a_path_has_a_group_and_a_name(file, path, parts):
    reader = ValueReader(reads_text=False)
    dataset = ScannedDataset(file.id, path, DatasetInfo.of(file["g/x"].id), reader)
    assert (dataset.group, dataset.name) == parts


def test_only_datasets_behind_hard_links_are_found(file):
    assert dataset_at(file.id, "g/x") == file["g/x"].id
    for path in ("g", "soft", "absent", "g/x/y", "absent/x"):
        assert dataset_at(file.id, path) is None


def test_references_lead_to_datasets_that_exist(file):
    owner, target = file["g/x"], file["gone"]
    reference = target.ref
    assert dereferenced(reference, owner.id) == target.id
    assert dereferenced(file["g"].ref, owner.id) is None
    assert dereferenced(h5py.Reference(), owner.id) is None
    assert dereferenced("gone", owner.id) is None
    del target, file["gone"]
    assert dereferenced(reference, owner.id) is None


def test_attributes_may_refer_to_a_dataset(file):
    attrs = file["g/x"].attrs
    attrs["one"] = file["gone"].ref
    attrs["text"] = "gone"
    attrs["several"] = np.array([file["gone"].ref], h5py.ref_dtype)
    assert referenced_dataset(file["g/x"].id, b"one") == file["gone"].id
    assert referenced_dataset(file["g/x"].id, b"text") is None
    assert referenced_dataset(file["g/x"].id, b"several") is None
