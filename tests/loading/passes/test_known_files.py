"""Statistics that are kept: what is read again, and how long the next start takes."""

from __future__ import annotations

import os
import time

import h5py
import numpy as np
import pytest

from h5lightning import Access, Field, H5DataModule, Split
from h5lightning.loading.passes.block_reader import BlockReader
from h5lightning.loading.passes.read_statistics import read_statistics
from h5lightning.planning.fields import AttributeField
from h5lightning.planning.statistics import StatisticsRequest

pytestmark = pytest.mark.timeout(240)
FIELDS = {
    "x": "x",
    "t": Field("t", member=["a", "b"]),
    "grid": Field("grid", constant=True),
    "cell": "attr:cell",
}
REQUESTS = {
    "x": StatisticsRequest(quantiles=(0.01, 0.99)),
    "t": StatisticsRequest("all"),
    "grid": StatisticsRequest("element"),
    "cell": StatisticsRequest(),
}


@pytest.fixture
def read_files(monkeypatch):
    """The files of which rows are read."""
    read: list[str] = []
    real = BlockReader._of

    def recorded(self, located, readers):
        read.extend(os.path.basename(path) for path in located.paths if _reads_files(readers))
        return real(self, located, readers)

    monkeypatch.setattr(BlockReader, "_of", recorded)
    return read


def _reads_files(readers) -> bool:
    return any(not isinstance(one.plan, AttributeField) for one in readers)


def write(folder, number, rows=50):
    rng = np.random.default_rng(number)
    table = np.zeros(rows, [("a", "<f4"), ("b", "<f4")])
    table["a"] = rng.normal(size=rows)
    with h5py.File(folder / f"{number:04}.h5", "w") as file:
        file["x"], file["t"], file["grid"] = rng.normal(size=(rows, 2)), table, rng.normal(size=3)
        file.attrs["cell"] = float(number)


def computed(folder, requests=REQUESTS, files="*.h5", fields=FIELDS, **options):
    dm = H5DataModule(f"{folder}/{files}", fields, index_dir=str(folder / "index"), **options)
    dm.setup()
    data = dm._data
    found = read_statistics(
        data.survey, data.plan, requests, access=Access(), index_dir=str(folder / "index"), progress=False
    )
    dm.teardown()
    return found


def assert_same(found, other, **tolerance):
    assert found.keys() == other.keys()
    for key, one in found.items():
        for name in ("mean", "std", "min", "max", "count", "nonfinite", "masked"):
            np.testing.assert_allclose(getattr(one, name), getattr(other[key], name), **tolerance)
        for share, values in one.quantiles.items():
            np.testing.assert_allclose(values, other[key].quantiles[share], **tolerance)


@pytest.mark.parametrize("by", ["file", "block", "sample"])
def test_only_what_changed_is_read_again(tmp_path, read_files, by):
    for number in range(6):
        write(tmp_path, number)
    split = Split(by=by, val=0.34, test=None, order="path" if by == "file" else "random")
    first = computed(tmp_path, split=split)
    assert set(read_files) == {f"{number:04}.h5" for number in range(4 if by == "file" else 6)}
    read_files.clear()
    assert_same(first, computed(tmp_path, split=split), rtol=0)
    assert not read_files
    write(tmp_path, 1)
    with h5py.File(tmp_path / "0001.h5", "r+") as file:
        file["x"][...] += 5
    other = computed(tmp_path, split=split)
    assert set(read_files) == {"0001.h5"}
    assert other["x"].mean[0] > first["x"].mean[0] + 0.5
    for store in (tmp_path / "index").glob("*.h5stats"):
        store.unlink()
    assert_same(other, computed(tmp_path, split=split), rtol=1e-13)


def test_other_rows_of_a_file_are_read(tmp_path, read_files):
    for number in range(3):
        write(tmp_path, number, rows=60)
    folds = [Split(by="file", test=None, folds=3, fold=fold) for fold in range(3)]
    for fold in folds:
        computed(tmp_path, split=fold, requests={"x": REQUESTS["x"]})
    assert len(read_files) == 3  # a file is read once, whatever folds it is in
    read_files.clear()
    for share in (0.1, 0.2):
        computed(tmp_path, split=Split(by="block", val=share, test=None), requests={"x": REQUESTS["x"]})
    assert len(read_files) >= 4


def test_other_fields_and_requests_are_kept_apart(tmp_path):
    write(tmp_path, 0)
    write(tmp_path, 1)
    split = Split(by="block")
    whole = computed(tmp_path, {"x": StatisticsRequest("all")}, split=split)
    columns = computed(tmp_path, {"x": StatisticsRequest("last")}, split=split)
    assert (whole["x"].mean.shape, columns["x"].mean.shape) == ((), (2,))
    for member in "ab":
        found = computed(
            tmp_path, {"x": StatisticsRequest()}, fields={"x": Field("t", member=member)}, split=split
        )
        assert (found["x"].std > 0) == (member == "a")


def test_a_store_that_is_damaged_is_read_as_none(tmp_path):
    write(tmp_path, 0)
    split = Split(by="block")
    first = computed(tmp_path, split=split)
    stores = list((tmp_path / "index").glob("*.h5stats"))
    assert len(stores) == 3
    for number, store in enumerate(stores):
        data = bytearray(store.read_bytes())
        data[-20] ^= 1
        store.write_bytes(data if number else data[: len(data) // 2])
    assert_same(first, computed(tmp_path, split=split), rtol=0)


def test_the_next_start_of_a_thousand_files_takes_less_than_a_second(tmp_path, read_files):
    for number in range(1000):
        write(tmp_path, number, rows=4)
    requests = {"x": REQUESTS["x"], "t": REQUESTS["t"]}
    dm = H5DataModule(f"{tmp_path}/*.h5", FIELDS, index_dir=str(tmp_path / "index"))
    dm.setup()
    data, options = dm._data, {"access": Access(), "index_dir": str(tmp_path / "index"), "progress": False}
    first = read_statistics(data.survey, data.plan, requests, **options)
    read_files.clear()
    start = time.process_time()
    second = read_statistics(data.survey, data.plan, requests, **options)
    taken_s = time.process_time() - start
    assert not read_files
    assert_same(first, second, rtol=0)
    assert taken_s < 0.5
