"""Which datasets a table of series says something of."""

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
def test_it_does(table, path, others):
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
def test_it_does_not(table, path, others):
    assert table not in NearbyTables([table, *others]).near(path)


def test_many_tables_are_found_at_once():
    places = NearbyTables([f"data/demo_{number}/dones" for number in range(2000)] + ["meta/ends"])
    assert len(places) == 2001
    assert [places.near(f"data/demo_{number}/x") for number in (0, 1999)] == [
        ["meta/ends", "data/demo_0/dones"],
        ["meta/ends", "data/demo_1999/dones"],
    ]


def test_no_tables_are_none():
    assert (len(NearbyTables(())), NearbyTables(()).near("x")) == (0, [])
