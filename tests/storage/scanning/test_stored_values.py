"""Rows and columns that a scan reads, in blocks; and datasets that it does not read."""

import h5py
import numpy as np
import pytest

from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.scanning.stored_values import (
    blocks_of,
    blocks_of_columns,
    can_be_read,
    can_be_read_whole,
    has_own_values,
    plugin_filter,
    read_rows,
)

ROWS = np.arange(600_000).reshape(200_000, 3)
LAYOUTS = {
    "contiguous": {},
    "chunked": {"chunks": (1000, 2)},
    "compressed": {"chunks": (777, 3), "compression": "gzip", "shuffle": True},
    "tall chunks": {"chunks": (150_000, 1), "compression": "lzf"},
}


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        yield opened


def info_of(file, path="x"):
    return DatasetInfo.of(file[path].id)


@pytest.mark.parametrize("options", LAYOUTS.values(), ids=LAYOUTS)
def test_blocks_hold_all_rows_in_native_byte_order(file, options):
    file.create_dataset("x", data=ROWS.astype(">i4"), **options)
    starts, blocks = zip(*blocks_of(info_of(file)), strict=True)
    assert list(starts) == [0, *np.cumsum([len(block) for block in blocks])[:-1]]
    assert len(blocks) > 1
    assert blocks[0].dtype == np.dtype("=i4")
    np.testing.assert_array_equal(np.concatenate(blocks), ROWS)
    np.testing.assert_array_equal(read_rows(info_of(file), 5, 8), ROWS[5:8])


def test_a_scalar_is_its_value(file):
    file["x"] = np.float32(2.5)
    value = read_rows(info_of(file), 0, 1)
    assert (value.shape, value.item()) == ((), 2.5)


def test_columns_are_read_without_the_text_beside_them(file):
    dtype = np.dtype([("name", h5py.string_dtype()), ("n", ">i2"), ("v", "f4", (2,)), ("flag", "?")])
    file.create_dataset("x", (100_000,), dtype)
    file["x"]["n"] = np.arange(100_000) % 7
    members = [member for member in info_of(file).element.members if member.name in ("n", "v", "flag")]
    starts, blocks = zip(*blocks_of_columns(info_of(file), members), strict=True)
    assert len(starts) > 1
    table = np.concatenate(blocks)
    assert table.dtype.names == ("n", "v", "flag")
    np.testing.assert_array_equal(table["n"], np.arange(100_000) % 7)
    assert (table["v"].shape, table["flag"].dtype) == ((100_000, 2), np.dtype("?"))


def write_virtual(file):
    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource("b.h5", "x", (3,))
    file.create_virtual_dataset("x", layout)


def write_zstd(file):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((3,))
    plist.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
    h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_FLOAT, h5py.h5s.create_simple((3,)), plist)


REFUSED = {
    "text": lambda file: file.create_dataset("x", data=["a"]),
    "no rows": lambda file: file.create_dataset("x", (0, 3), "f4"),
    "no values": lambda file: file.create_dataset("x", data=h5py.Empty("f4")),
    "virtual": write_virtual,
    "plugin": write_zstd,
    "large chunks": lambda file: file.create_dataset(
        "x", (9,), "i8", chunks=(2**20,), maxshape=(None,), compression=1
    ),
}


@pytest.mark.parametrize("write", REFUSED.values(), ids=REFUSED)
def test_other_datasets_are_not_read(file, write):
    write(file)
    assert not can_be_read(info_of(file))
    assert not can_be_read_whole(info_of(file))


def test_a_table_is_read_only_by_columns(file):
    file["x"] = np.zeros(3, [("a", "i4")])
    assert not can_be_read(info_of(file))
    assert can_be_read_whole(info_of(file))


def test_chunks_that_were_never_written_are_not_read_whole(file):
    file.create_dataset("x", (10,), "f4", chunks=(5,))
    assert can_be_read(info_of(file))
    assert not can_be_read_whole(info_of(file))
    file["x"][:] = 1
    assert can_be_read_whole(info_of(file))


def test_other_files_and_plugins_are_named(file):
    write_virtual(file)
    assert not has_own_values(info_of(file))
    del file["x"]
    write_zstd(file)
    assert (has_own_values(info_of(file)), plugin_filter(info_of(file))) == (True, "zstd")
    file.create_dataset("y", (3,), "f4", chunks=(3,), compression="gzip")
    assert plugin_filter(info_of(file, "y")) == ""
