"""Sparse matrices, as AnnData and older programs write them."""

import h5py
import numpy as np
import pytest
from scanned import describe

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
