"""Which datasets a table of series says something of."""

import pytest

from h5lightning.scanning.series_places import belongs_to


@pytest.mark.parametrize(
    ("table", "path", "tables"),
    [
        ("ends", "x", []),
        ("ends", "a/b/x", []),
        ("meta/ends", "x", []),
        ("meta/ends", "data/x", []),
        ("a/meta/ends", "a/data/x", []),
        ("INDEX/det/first", "INSTRUMENT/det/x", ["INDEX/cam/first"]),
        ("demo_0/dones", "demo_0/obs/x", ["demo_1/dones"]),
        ("train/ends", "train/x", ["val/ends"]),
    ],
)
def test_it_does(table, path, tables):
    assert belongs_to(table, path, [table, *tables])


@pytest.mark.parametrize(
    ("table", "path", "tables"),
    [
        ("demo_0/dones", "demo_1/x", []),
        ("demo_0/dones", "demo_1/x", ["demo_1/dones"]),
        ("data/a/dones", "data/b/x", ["data/b/dones"]),
        ("train/ends", "test/x", ["val/ends"]),
    ],
)
def test_it_does_not(table, path, tables):
    assert not belongs_to(table, path, [table, *tables])
