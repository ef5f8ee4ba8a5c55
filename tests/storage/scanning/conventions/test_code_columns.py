"""All codes of datasets and of columns of tables are checked, in blocks."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from h5py import h5d
from scanned import describe

from h5lightning.planning.catalog.annotations import Found
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.scanning.conventions.code_columns import CodeRange, category_count, code_ranges
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.scanned_dataset import ScannedDataset

VALUES = ValueReader(reads_text=True)


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        yield opened


def count(file, path):
    return category_count(ScannedDataset(file.id, path, DatasetInfo.of(file[path].id), VALUES))


def write_table(file, codes, names):
    file[codes] = np.array([0, 1, 1, 0], "i1")
    file[codes.rpartition("/")[0] + "/categories"] = names


def test_names_that_were_deleted_are_none(file):
    file["names"] = ["ape", "bee"]
    file["x"] = np.zeros(3, "i1")
    file["x"].attrs["categories"] = file["names"].ref
    del file["names"]
    found = describe(file.id, "x", VALUES)
    assert (found.categories, found.refusal) == (None, "")


def test_names_are_counted_also_where_they_are_too_many_to_be_read(file):
    write_table(file, "g/codes", np.array([b"a"] * 10_001))
    write_table(file, "h/codes", np.arange(3))
    assert count(file, "g/codes") == 10_001
    # Numbers beside numbers may be anything.
    assert count(file, "h/codes") is None
    file["h"].attrs["encoding-type"] = "categorical"
    assert count(file, "h/codes") == 3
    file["m/codes"] = np.zeros((2, 2), "i1")
    file["m/categories"] = ["a"]
    assert count(file, "m/codes") is None


FEW, LONG = 7, 3_000_000


def ranges(tmp_path, values, counts, **options):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=values, **options)
        return code_ranges(DatasetInfo.of(h5d.open(file.id, b"x")), counts)


NUMBERS = {
    "all named": ([0, 2, 1], "i1", None, True),
    "unsigned": ([0, 2, 1], "u1", None, True),
    "big-endian": ([0, 2, 1], ">i4", None, True),
    "minus one": ([0, -1, -1], "i1", Found(1, "holds -1: it has no category"), True),
    "beyond": ([0, 1, 3], "i1", Found(2, "holds 3: it has no category"), False),
    "below": ([-2, 1], "i8", Found(0, "holds -2: it has no category"), False),
    "floats": ([0.0, 2.0], "f4", None, True),
    "not a number": ([0.0, np.nan], "f8", Found(1, "holds nan: it has no category"), True),
    "fractions": ([0.0, 0.5], "f8", Found(1, "holds 0.5: it has no category"), False),
}


@pytest.mark.parametrize(("values", "dtype", "missing", "is_within"), NUMBERS.values(), ids=NUMBERS)
def test_which_numbers_have_names(tmp_path, values, dtype, missing, is_within):
    expected = CodeRange("", is_known=True, is_within=is_within, missing=missing)
    assert ranges(tmp_path, np.array(values, dtype), {"": 3}) == [expected]


OPTIONS = {"contiguous": {}, "gzip": {"chunks": (100_000,), "compression": "gzip"}}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_last_row_of_many_is_found(tmp_path, options):
    codes = np.zeros(LONG, "i1")
    codes[-1] = -1
    (found,) = ranges(tmp_path, codes, {"": 1}, **options)
    assert found.missing == Found(LONG - 1, "holds -1: it has no category")


def test_columns_of_a_table_are_read_together(tmp_path):
    table = np.zeros(200_000, [("name", h5py.string_dtype()), ("a", ">i2"), ("b", "i1", (1,)), ("c", "f4")])
    table["name"] = "x"
    table["a"][150_000], table["b"][199_999], table["c"] = 5, -1, np.nan
    assert ranges(tmp_path, table, {"a": 5, "b": 1}, chunks=(10_000,), compression="gzip") == [
        CodeRange("a", is_known=True, is_within=False, missing=Found(150_000, "holds 5: it has no category")),
        CodeRange("b", is_known=True, missing=Found(199_999, "holds -1: it has no category")),
    ]


def test_expensive_columns_are_not_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((2,))
        plist.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
        did = h5d.create(file.id, b"x", h5py.h5t.STD_I8LE, h5py.h5s.create_simple((6,)), plist)
        assert code_ranges(DatasetInfo.of(did), {"": 2}) == [CodeRange("")]


@pytest.mark.timeout(60)
def test_rows_that_were_never_written_are_not_looked_for(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (10**14,), "i8", chunks=(1000,))
        assert code_ranges(DatasetInfo.of(h5d.open(file.id, b"x")), {"": 2}) == [CodeRange("")]


@pytest.mark.parametrize("values", [np.zeros(0, "i1"), np.zeros(0, [("a", "i1")])], ids=["dataset", "table"])
def test_no_rows(tmp_path, values):
    name = "a" if values.dtype.names else ""
    assert ranges(tmp_path, values, {name: 2}) == [CodeRange(name, is_known=True)]
