"""Columns of tables in every storage, with an index: the values that h5py reads."""

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t

from h5lightning import H5Dataset

RECORD = np.dtype([("number", "<f8"), ("flag", ">i2"), ("vector", "<f4", (3,))])
STORAGE = {
    "contiguous": {},
    "chunks": {"chunks": (8,)},
    "only shuffled": {"chunks": (8,), "shuffle": True},
    "gzip": {"chunks": (8,), "compression": "gzip"},
}


def write_compact(file, values):
    """A dataset in the header of its object, which h5py has no option for."""
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_layout(h5d.COMPACT)
    space = h5s.create_simple(values.shape)
    dataset = h5d.create(file.id, b"table", h5t.py_create(values.dtype), space, plist)
    dataset.write(h5s.ALL, h5s.ALL, values)


@pytest.mark.parametrize("reader", ["auto", "h5py"])
@pytest.mark.parametrize("storage", [*STORAGE, "compact"])
def test_columns_are_what_h5py_reads(storage, reader, tmp_path):
    rng = np.random.default_rng(0)
    stored = []
    for number, rows in enumerate((20, 11)):
        values = np.zeros(rows, RECORD)
        values["number"], values["flag"] = rng.random(rows), rng.integers(-99, 99, rows)
        values["vector"] = rng.random((rows, 3))
        stored.append(values)
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            if storage == "compact":
                write_compact(file, values)
            else:
                file.create_dataset("table", data=values, **STORAGE[storage])
    fields = {name: {"path": "table", "member": name} for name in RECORD.names}
    dataset = H5Dataset(str(tmp_path / "*.h5"), fields, reader=reader)
    order = rng.permutation(31)
    batch = dataset.read_batch(order)
    expected = np.concatenate(stored)[order]
    for name in RECORD.names:
        np.testing.assert_array_equal(batch[name].numpy(), expected[name])
    dataset.close()


@pytest.mark.parametrize("reader", ["auto", "h5py"])
def test_a_constant_table_without_records(reader, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.arange(5)
        file["table"] = np.zeros(0, RECORD)
    fields = {"x": "x", "c": {"path": "table", "member": "vector", "constant": True}}
    dataset = H5Dataset(str(tmp_path / "*.h5"), fields, reader=reader)
    assert dataset.read_batch([3, 1])["c"].shape == (2, 0, 3)
    dataset.close()
