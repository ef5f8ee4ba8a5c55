"""Bytes of an element in a file, held against what HDF5 stores."""

import h5py
import numpy as np
import pytest

from h5lightning.storage.hdf5.stored_sizes import stored_size

TEXT = h5py.string_dtype()
TYPES = {
    "float": "<f4",
    "table": [("a", "<f4"), ("b", "S3")],
    "text": [("a", "<f4"), ("b", TEXT)],
    "two": [("a", TEXT), ("b", "<i2"), ("c", TEXT)],
    "array": [("a", "<f4"), ("b", TEXT, (2, 3))],
    "nested": [("a", "<f4"), ("b", [("c", TEXT), ("d", "<f8")], (2,))],
    "sequences": [("a", "<f4"), ("b", h5py.vlen_dtype("<f8"))],
    "texts in a sequence": [("a", "<f4"), ("b", h5py.vlen_dtype(TEXT))],
    "references": [("a", "<f4"), ("b", h5py.ref_dtype), ("c", h5py.regionref_dtype)],
    "complex": "<c16",
}


@pytest.mark.parametrize("dtype", TYPES.values(), ids=TYPES)
def test_it_is_what_contiguous_data_take(tmp_path, dtype):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        tid = h5py.h5t.py_create(np.dtype(dtype), logical=True)
        did = h5py.h5d.create(file.id, b"x", tid, h5py.h5s.create_simple((10,)), plist)
        assert stored_size(did.get_type()) * 10 == did.get_storage_size()
