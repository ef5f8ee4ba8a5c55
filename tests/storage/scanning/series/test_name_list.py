"""The names in a file, listed within bounds."""

from __future__ import annotations

import h5py
import pytest

from h5lightning.storage.scanning.series.name_list import NameList, NearbyTables


@pytest.fixture
def opened(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in ("a/1", "a/2", "a/3", "z/data/x", "z/meta/ends", "z/ends", "ends"):
            file[name] = 1
        file["z/next"] = h5py.SoftLink("/a")
        yield file.id


def test_all_tables_are_listed(opened):
    assert NameList(opened).near("x") == ["ends", "z/ends", "z/meta/ends"]


@pytest.mark.parametrize("most", [3, 4])
def test_of_too_many_those_near_a_dataset_are_listed(opened, most):
    assert NameList(opened, most).near("z/data/x") == ["z/ends", "z/meta/ends", "ends"]


def test_names_that_are_no_text_are_listed(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[b"\xff\xfe ends"] = 1
        assert NameList(file.id).near("x") == ["\udcff\udcfe ends"]


def test_an_empty_file_has_none(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        assert NameList(file.id).near("x") == []


@pytest.mark.parametrize(
    ("table", "path", "others"),
    [
        ("ends", "x", []),
        ("ends", "a/b/x", []),
        ("meta/ends", "x", []),
        ("meta/ends", "data/x", []),
        ("a/meta/ends", "a/data/x", []),
        ("INDEX/det/first", "INSTRUMENT/det/x", ["INDEX/cam/first"]),
        ("INDEX/A/DET/0/first", "INSTRUMENT/A/DET/0/x", ["INDEX/A/DET/1/first", "INDEX/B/DET/0/first"]),
        ("demo_0/dones", "demo_0/obs/x", ["demo_1/dones"]),
        ("train/ends", "train/x", ["val/ends"]),
        ("meta/train/ends", "data/train/x", ["meta/val/ends"]),
    ],
)
def test_a_table_belongs_to_a_dataset(table, path, others):
    assert table in NearbyTables([table, *others]).near(path)


@pytest.mark.parametrize(
    ("table", "path", "others"),
    [
        ("demo_0/dones", "demo_1/x", []),
        ("demo_0/dones", "demo_1/x", ["demo_1/dones"]),
        ("data/a/dones", "data/b/x", ["data/b/dones"]),
        ("data/a/dones", "other", ["data/b/dones"]),
        ("data/a/dones", "meta/other", ["data/b/dones"]),
        ("train/ends", "test/x", ["val/ends"]),
        ("INDEX/A/DET/0/first", "INSTRUMENT/A/DET/1/x", ["INDEX/A/DET/1/first", "INDEX/B/DET/0/first"]),
    ],
)
def test_a_table_does_not_belong_to_a_dataset(table, path, others):
    assert table not in NearbyTables([table, *others]).near(path)


def test_of_many_tables_those_of_the_own_group_are_near():
    tables = NearbyTables([f"data/demo_{number}/dones" for number in range(2000)] + ["meta/ends"])
    assert [tables.near(f"data/demo_{number}/x") for number in (0, 1999)] == [
        ["meta/ends", "data/demo_0/dones"],
        ["meta/ends", "data/demo_1999/dones"],
    ]


def test_without_tables_none_is_near():
    assert NearbyTables(()).near("x") == []
