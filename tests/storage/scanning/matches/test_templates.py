"""Series that differ from the first one in their numbers only are described like it; all others in full."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from h5lightning import H5Dataset


@pytest.mark.parametrize("reader", ["auto", "h5py"])
@pytest.mark.parametrize(
    "others",
    [{"chunks": (2, 3)}, {"chunks": (4, 1)}, {"chunks": (4, 3), "compression": "gzip"}, {}],
    ids=["shorter chunks", "narrower chunks", "filtered", "contiguous"],
)
def test_series_may_be_stored_in_different_ways(tmp_path, reader, others):
    values = np.arange(72, dtype="f4").reshape(3, 8, 3)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number, options in enumerate(({"chunks": (4, 3)}, others, {"chunks": (4, 3)})):
            file.create_dataset(f"demo_{number}/x", data=values[number], **options)
    dataset = H5Dataset(
        str(tmp_path / "a.h5"), {"x": "demo_*/x"}, reader=reader, index_dir=str(tmp_path / "index")
    )
    np.testing.assert_array_equal(dataset.read_batch(range(24))["x"].numpy(), values.reshape(24, 3))
    dataset.close()


def test_an_empty_series_has_no_samples(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number, rows in enumerate((3, 0, 2)):
            file[f"demo_{number}/x"] = np.full(rows, number)
    dataset = H5Dataset(str(tmp_path / "a.h5"), {"x": "demo_*/x"}, index_dir=str(tmp_path / "index"))
    assert dataset.read_batch(range(5))["x"].tolist() == [0, 0, 0, 2, 2]
    dataset.close()
