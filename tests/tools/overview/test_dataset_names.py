"""Words in names of datasets, and bookkeeping of programs, which is neither offered nor an issue."""

import h5py
import numpy as np
import pytest

from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.tools.inspect import inspect_files
from h5lightning.tools.overview.dataset_names import is_bookkeeping, is_label, words_of


def test_words():
    assert words_of("obs/Cell_type2/codes") == {"obs", "cell", "type", "codes"}
    assert words_of("") == frozenset()


def test_labels():
    assert is_label("train/Labels")
    assert is_label("y")
    assert not is_label("labelled")
    assert not is_label("yaw")


@pytest.mark.parametrize(
    ("path", "shape", "refusal"),
    [
        ("_i_table/t/sorted", (9,), "is bookkeeping of PyTables: it belongs to the index of a table"),
        ("#subsystem#/MCOS", (9,), ""),
        ("#refs#/a", (3, 4), ""),
        ("specifications/core/2.6.0/namespace", (), "holds text"),
        ("acquisition/s/starting_time", (), ""),
        ("timestamps_reference_time", (), "holds text"),
        ("file_create_date", (1,), "holds text"),
        ("lon", (9,), "is bookkeeping of netCDF: a dimension without values"),
    ],
)
def test_bookkeeping(path, shape, refusal):
    assert is_bookkeeping(DatasetSchema(path, "<f4", shape, refusal=refusal))


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("x", (9, 4)),
        ("refs/a", (9,)),
        ("a_i_b/x", (9,)),
        ("starting_time", (9,)),
        ("_i", (9,)),
        ("_i_x/y", (9,)),
        ("time", ()),
        ("file_create_date", (9,)),
    ],
)
def test_names_that_are_not_bookkeeping(path, shape):
    assert not is_bookkeeping(DatasetSchema(path, "<f4", shape))


def test_bookkeeping_is_neither_offered_nor_an_issue(tmp_path):
    for number in range(4):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"] = np.ones((40, 3), "f4")
            file["starting_time"] = 1.0
            file["_i_x/sorted"] = np.zeros((0, 90_000), "i8")
            file["_i_x"].attrs["CLASS"] = np.bytes_("TINDEX")
            file["#refs#/a"] = np.arange(20_000.0)
            if number == 3:
                file["#refs#/b"] = np.arange(9.0)
    found = inspect_files([str(tmp_path / "*.h5")])
    assert found.traps == ()
    assert found.is_usable
    assert [dataset.path for dataset in found.datasets][:1] == ["x"]
    assert {dataset.path: dataset.keys for dataset in found.datasets if dataset.keys} == {"x": ("x",)}
