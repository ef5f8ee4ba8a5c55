"""Rows that are read by calls of the system: with gaps, twice, and in any order."""

from __future__ import annotations

import itertools

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5lightning import H5Dataset

pytestmark = pytest.mark.timeout(60)
ROWS = (5, 3)
LAYOUTS = {
    "contiguous": {},
    "chunked": {"chunks": (2, 17)},
    "userblock": {"userblock": 512},
}


@pytest.fixture(scope="module", params=LAYOUTS.values(), ids=LAYOUTS)
def dataset(request, tmp_path_factory):
    folder, layout = tmp_path_factory.mktemp("rows"), dict(request.param)
    userblock = layout.pop("userblock", 0)
    for number, rows in enumerate(ROWS):
        with h5py.File(folder / f"{number}.h5", "w", userblock_size=userblock) as file:
            values = np.arange(rows * 17.0).reshape(rows, 17) + 1000 * number
            file.create_dataset("native", data=values, **layout)
            file.create_dataset("swapped", data=values.astype(">f8"), **layout)
    fields = ["native", "swapped"]
    made = H5Dataset(str(folder / "*.h5"), fields, reader="direct", access={"memory_map": False})
    made.truth = np.concatenate(
        [np.arange(rows * 17.0).reshape(rows, 17) + 1000 * number for number, rows in enumerate(ROWS)]
    )
    yield made
    made.close()


def check(dataset, positions) -> None:
    batch = dataset.read_batch(list(positions))
    for key in ("native", "swapped"):
        assert np.array_equal(batch[key].numpy(), dataset.truth[list(positions)]), (key, positions)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_all_small_batches(dataset, size) -> None:
    """(0, 2, 2) lies in as many rows of the file as it asks for, and is not those."""
    for positions in itertools.product(range(len(dataset)), repeat=size):
        check(dataset, positions)


@settings(max_examples=60, deadline=None)
@given(positions=st.lists(st.integers(0, sum(ROWS) - 1), min_size=1, max_size=20))
def test_any_batch(dataset, positions) -> None:
    check(dataset, positions)
