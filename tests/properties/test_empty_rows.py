"""Datasets whose rows hold no value: read like any other, by each reader, and by the loaders."""

import h5py
import numpy as np
import pytest
import torch

from h5lightning import H5DataModule, H5Dataset
from h5lightning.errors import FileChangedError, SchemaError
from h5lightning.options import Access
from h5lightning.storage.checksums.make_checksums import make_checksums
from h5lightning.storage.discovery import discover
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.indexing.build_catalog import build_catalog
from h5lightning.storage.readers.make_reader import make_reader
from h5lightning.storage.readers.protocol import DatasetColumn
from h5lightning.storage.scanning import ScanRequest

ROWS = 6
READERS = ("auto", "h5py", "direct")
SHAPES = ((0,), (0, 3), (2, 0))
STORED = {
    "contiguous": {},
    "chunked": {"chunks": True},
    "gzip": {"chunks": True, "compression": "gzip"},
    "lzf": {"chunks": True, "compression": "lzf"},
    "sums": {"chunks": True, "shuffle": True, "fletcher32": True},
    "scale-offset": {"chunks": True, "scaleoffset": 2},
}
SAMPLES = {
    "rows": (None, ()),
    "windows": ({"kind": "windows", "length": 3}, (3,)),
    "whole": ({"kind": "whole"}, (ROWS,)),
}
TABLE = np.dtype([("a", "<f4"), ("b", "<i2")])

pytestmark = pytest.mark.timeout(60)


def write(path, name, shape, dtype="<f4", libver=None, rows=ROWS):
    options = dict(STORED[name])
    if options.pop("chunks", False):
        options |= {"chunks": (3, *[2] * len(shape)), "maxshape": (None,) * (1 + len(shape))}
    with h5py.File(path, "w", libver=libver) as file:
        file.create_dataset("x", shape=(rows, *shape), dtype=dtype, **options)
        file.create_dataset("c", shape=shape, dtype=dtype)
        file["y"] = np.arange(rows)


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("reader", READERS)
def test_each_way_to_store_and_to_read(tmp_path, stored, shape, reader):
    fields = {"x": "x", "y": "y", "c": {"path": "c", "constant": True}}
    for libver in (None, "latest"):
        write(tmp_path / "a.h5", stored, shape, libver=libver)
        for samples, steps in SAMPLES.values():
            for memory_map in (None, False):
                access = Access(memory_map=memory_map)
                for some in (fields, {"x": "x"}):
                    dataset = H5Dataset(str(tmp_path / "a.h5"), some, samples, reader=reader, access=access)
                    batch = dataset.read_batch([0] * 3)
                    assert batch["x"].shape == (3, *steps, *shape)
                    assert dataset[0]["x"].shape == (*steps, *shape)
                    assert "c" not in batch or batch["c"].shape == (3, *shape)
                    dataset.close()


@pytest.mark.parametrize("dtype", [">f8", "?", "<i2", TABLE], ids=str)
@pytest.mark.parametrize("stored", ["contiguous", "gzip"])
def test_each_type(tmp_path, dtype, stored):
    write(tmp_path / "a.h5", stored, (0,), dtype)
    for reader in READERS[: 2 if dtype is TABLE else 3]:
        field = {"path": "x", "member": "b"} if dtype is TABLE else "x"
        dataset = H5Dataset(str(tmp_path / "a.h5"), {"x": field, "y": "y"}, reader=reader)
        batch = dataset.read_batch([5, 0])
        assert (batch["x"].shape, batch["y"].tolist()) == ((2, 0), [5, 0])
        dataset.close()


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize("mode", ["full", "block", "none"])
def test_loaders(tmp_path, num_workers, verify, mode):
    for number in range(3):
        write(tmp_path / f"{number}.h5", "gzip", (0,))
    if verify:
        found = discover(str(tmp_path / "*.h5"))
        make_checksums(build_catalog(found, ScanRequest(None), access=Access()).catalog)
    module = H5DataModule(
        str(tmp_path / "*.h5"),
        {"x": "x"},
        batch_size=4,
        shuffle=mode,
        num_workers=num_workers,
        split={"val": 0, "test": 0},
        access={"verify": verify},
    )
    module.prepare_data()
    module.setup()
    shapes = [batch["x"].shape for batch in module.train_dataloader()]
    assert shapes == [(4, 0)] * 4 + [(2, 0)] * (len(shapes) - 4)
    module.teardown()


@pytest.mark.parametrize("reader", READERS)
def test_rows_and_files_are_checked_all_the_same(tmp_path, reader):
    path = str(tmp_path / "a.h5")
    write(path, "gzip", (0,))
    source = DatasetColumn("x", None, "<f4", (0,))
    with HandlePool(Access()) as pool:
        rows = make_reader(reader, pool)
        out = np.empty((1, 0), "<f4")
        rows.read_rows(path, source, np.asarray([5]), out)
        with pytest.raises(FileChangedError, match="has 6 rows, but row 6 is requested"):
            rows.read_rows(path, source, np.asarray([6]), out)
        with pytest.raises(IndexError):
            rows.read_rows(path, source, np.asarray([-1]), out)
        other = DatasetColumn("x", None, "<f4", (0, 2))
        with pytest.raises(FileChangedError, match="expected"):
            rows.read_rows(path, other, np.asarray([0]), np.empty((1, 0, 2), "<f4"))
        assert not rows.prefetch([path], [], only_remote=False, is_probe=True)
        rows.close()


@pytest.mark.parametrize("reader", READERS)
def test_files_without_rows_beside_others(tmp_path, reader):
    write(tmp_path / "a.h5", "gzip", (0,), rows=0)
    write(tmp_path / "b.h5", "gzip", (0,))
    with pytest.raises(SchemaError, match=r"a\.h5 holds no rows"):
        H5Dataset(str(tmp_path / "*.h5"), ["x", "y"], reader=reader)
    access = Access(on_bad_file="skip", max_bad_fraction=0.5)
    dataset = H5Dataset(str(tmp_path / "*.h5"), ["x", "y"], reader=reader, access=access)
    assert len(dataset) == ROWS
    assert torch.equal(dataset.read_batch(range(ROWS))["y"], torch.arange(ROWS))
    dataset.close()


def test_a_constant_without_values(tmp_path):
    for reader in READERS:
        write(tmp_path / "a.h5", "contiguous", (0,))
        dataset = H5Dataset(
            str(tmp_path / "a.h5"), {"c": {"path": "c", "constant": True}, "y": "y"}, reader=reader
        )
        assert dataset.read_batch([1, 2])["c"].shape == (2, 0)
        dataset.close()
