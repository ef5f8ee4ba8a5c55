"""Sparse matrices, as AnnData and its ancestors write them."""

import h5py
import numpy as np
import pytest
from scanned import describe

from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.scanning.conventions.category_tables import category_count
from h5lightning.storage.scanning.metadata_values import ValueReader

VALUES = ValueReader(reads_text=True)


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        yield opened


def write_sparse(file, path, name, value):
    group = file.create_group(path)
    group.attrs[name] = value
    group["data"] = np.ones(5, "f4")
    group["indices"] = np.arange(5)
    group["indptr"] = np.array([0, 2, 5])
    return group


FORMATS = {
    "csr": ("encoding-type", "csr_matrix", "CSR"),
    "csc": ("encoding-type", "csc_matrix", "CSC"),
    "h5sparse": ("h5sparse_format", "csr", "CSR"),
    "bytes": ("h5sparse_format", np.bytes_(b"csc"), "CSC"),
}


@pytest.mark.parametrize(("name", "value", "form"), FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("path", ["X", "layers/raw"])
def test_parts_of_a_sparse_matrix_are_refused(file, path, name, value, form):
    write_sparse(file, path, name, value)
    for leaf in ("data", "indices", "indptr"):
        assert f"the sparse {form} matrix '/{path}'" in describe(file.id, f"{path}/{leaf}", VALUES).refusal
    assert f"sparse matrix ({form})" in describe(file.id, path, VALUES).refusal


def test_data_of_a_plain_group_are_not_refused(file):
    file["g/data"] = np.ones(3)
    file["g"].attrs["encoding-type"] = "dict"
    file["data"] = np.ones(3)
    assert describe(file.id, "g/data", VALUES).refusal == ""
    assert describe(file.id, "data", VALUES).refusal == ""


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
    opened = [DatasetInfo.of(file[path].id) for path in ("g/codes", "h/codes")]
    assert category_count(file.id, opened[0], "g/codes") == 10_001
    # Numbers beside numbers may be anything.
    assert category_count(file.id, opened[1], "h/codes") is None
    file["h"].attrs["encoding-type"] = "categorical"
    assert category_count(file.id, opened[1], "h/codes") == 3
    file["m/codes"] = np.zeros((2, 2), "i1")
    file["m/categories"] = ["a"]
    assert category_count(file.id, DatasetInfo.of(file["m/codes"].id), "m/codes") is None
