"""Datasets and columns that may divide rows."""

import h5py
import numpy as np
import pytest

from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.scanning.series.candidates import candidates_of


@pytest.fixture
def candidates(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:

        def make(values, name="g/x", **options):
            dataset = file.create_dataset(name, data=values, **options)
            return candidates_of(DatasetInfo.of(dataset.id), name)

        yield make


def test_a_dataset_of_numbers_is_a_candidate(candidates):
    (found,) = candidates(np.array([[1], [2]], ">u2"), "meta/ep_len")
    assert (found.text, found.group, found.name, found.length, found.pairs) == (
        "meta/ep_len",
        "meta",
        "ep_len",
        2,
        0,
    )
    assert found.is_integer
    assert found.problem == ""
    assert found.numbers().tolist() == [1, 2]
    assert found.numbers() is found.numbers()


def test_pairs_are_flat(candidates):
    (found,) = candidates(np.array([[0, 4], [4, 9]]))
    assert (found.length, found.pairs, found.numbers().tolist()) == (0, 2, [0, 4, 4, 9])


def test_columns_of_a_table_are_candidates(candidates):
    rows = np.array([(0, 4, 0.5), (4, 9, 0.5)], [("start", ">i4"), ("stop", "u8"), ("score", "f4")])
    found = candidates(rows, "episodes", chunks=(1,), compression="gzip")
    assert [(one.text, one.group, one.numbers().tolist()) for one in found] == [
        ("episodes[start]", "episodes", [0, 4]),
        ("episodes[stop]", "episodes", [4, 9]),
    ]


@pytest.mark.parametrize("values", [b"text", np.int64(3), [b"a", b"b"]])
def test_text_and_scalars_are_no_candidates(candidates, values):
    assert candidates(values) == []


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"shape": (10_000_000,), "dtype": "i8", "chunks": (1000,)}, "takes over 64 MiB"),
        ({"shape": (9_000_000,), "dtype": "u1", "chunks": (1000,)}, "takes over 64 MiB"),
        (
            {"shape": (9,), "dtype": "i8", "chunks": (2**20,), "maxshape": (None,), "compression": 1},
            "does not decode",
        ),
        ({"shape": (0,), "dtype": "i8"}, "does not decode"),
    ],
)
def test_expensive_datasets_have_a_problem(tmp_path, options, problem):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        (found,) = candidates_of(DatasetInfo.of(file.create_dataset("x", **options).id), "x")
        assert problem in found.problem
