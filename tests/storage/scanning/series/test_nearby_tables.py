"""The datasets to which a table of series belongs, by their paths."""

import pytest

from h5lightning.storage.scanning.series.nearby_tables import NearbyTables


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
    assert len(tables) == 2001
    assert [tables.near(f"data/demo_{number}/x") for number in (0, 1999)] == [
        ["meta/ends", "data/demo_0/dones"],
        ["meta/ends", "data/demo_1999/dones"],
    ]


def test_without_tables_none_is_near():
    assert (len(NearbyTables(())), NearbyTables(()).near("x")) == (0, [])
