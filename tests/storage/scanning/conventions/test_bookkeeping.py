"""Datasets that netCDF, PyTables and MATLAB write for their own use, and lookalikes."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from scanned import describe

from h5lightning.storage.scanning.metadata_values import ValueReader

VALUES = ValueReader(reads_text=True)
NO_TEXT = ValueReader(reads_text=False)
DIMENSION = np.bytes_(b"This is a netCDF dimension but not a netCDF variable.         4")


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        yield opened


def add(file, path, **attrs):
    dataset = file.create_dataset(path, data=np.zeros(4, "f4"))
    dataset.attrs.update(attrs)


def test_dimensions_of_netcdf_without_coordinates(file):
    add(file, "x", CLASS=np.bytes_(b"DIMENSION_SCALE"), NAME=DIMENSION)
    found = describe(file.id, "x", NO_TEXT)
    assert found.refusal.startswith("is bookkeeping of netCDF")
    assert found.is_bookkeeping


@pytest.mark.parametrize("name", [np.bytes_(b"time"), "This is a netCDF dimension", 3])
def test_coordinates_are_data(file, name):
    add(file, "x", CLASS=np.bytes_(b"DIMENSION_SCALE"), NAME=name)
    found = describe(file.id, "x", NO_TEXT)
    assert (found.refusal, found.is_bookkeeping) == ("", False)


def test_a_name_alone_makes_no_dimension(file):
    add(file, "x", NAME=DIMENSION)
    assert describe(file.id, "x", VALUES).refusal == ""


def test_indexes_of_pytables(file):
    add(file, "df/_i_table/index/bounds", CLASS=np.bytes_(b"CARRAY"))
    file["df/_i_table"].attrs["CLASS"] = np.bytes_(b"TINDEX")
    found = describe(file.id, "df/_i_table/index/bounds", NO_TEXT)
    assert found.refusal.startswith("is bookkeeping of PyTables")
    assert found.is_bookkeeping


@pytest.mark.parametrize("kind", [None, np.bytes_(b"GROUP"), 3])
def test_groups_that_only_have_such_a_name(file, kind):
    add(file, "_i_table/x")
    add(file, "a_i_b")
    if kind is not None:
        file["_i_table"].attrs["CLASS"] = kind
    assert [describe(file.id, path, VALUES).refusal for path in ("_i_table/x", "a_i_b")] == ["", ""]


def test_contents_of_cells_of_matlab_are_bookkeeping_but_can_be_read(file):
    add(file, "#refs#/a")
    add(file, "x#refs#")
    assert [describe(file.id, path, VALUES).refusal for path in ("#refs#/a", "x#refs#")] == ["", ""]
    assert [describe(file.id, path, VALUES).is_bookkeeping for path in ("#refs#/a", "x#refs#")] == [
        True,
        False,
    ]


def test_empty_arrays_of_matlab(file):
    add(file, "x", MATLAB_empty=np.uint8(1), MATLAB_class=np.bytes_(b"double"))
    found = describe(file.id, "x", VALUES)
    assert "empty array of MATLAB" in found.refusal
    assert not found.is_bookkeeping


@pytest.mark.parametrize("value", [np.uint8(0), "1", h5py.Empty("u1")])
def test_arrays_of_matlab_that_are_not_empty(file, value):
    add(file, "x", MATLAB_empty=value)
    assert describe(file.id, "x", NO_TEXT).refusal == ""


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
