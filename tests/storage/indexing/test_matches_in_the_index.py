"""The matches of a ``*`` in the index on disk: kept, taken again, and scanned again where a file has changed."""

from __future__ import annotations

import os

import h5py
import numpy as np
import pytest

from h5lightning.options import Access
from h5lightning.planning.catalog.unit_table import UnitTable
from h5lightning.storage.discovery import discover
from h5lightning.storage.indexing import catalog_store
from h5lightning.storage.indexing.build_catalog import build_catalog
from h5lightning.storage.scanning import ScanRequest, scan_file

REQUEST = ScanRequest(("data/*/x", "grid"), ("@seed",), constants=("grid",), matched=("data/*/x",))


def write(path, series):
    with h5py.File(path, "w") as file:
        file["grid"] = np.arange(3.0)
        file.attrs["seed"] = 1
        for number in range(series):
            group = file.create_group(os.fsencode(f"data/demo_{number}\udcff"))
            group["x"] = np.zeros((number + 1, 2), "f4")
            group.attrs["seed"] = number * 10


@pytest.fixture
def folder(tmp_path):
    directory = tmp_path / "runs"
    directory.mkdir()
    for number in range(4):
        write(directory / f"{number}.h5", 3 * number)
    return directory


def build(folder, request=REQUEST):
    return build_catalog(discover(str(folder / "*.h5")), request, access=Access(), progress=False)


def check(catalog):
    """The catalog says of each match what a fresh scan says."""
    for file in range(len(catalog)):
        found = scan_file(catalog.path(file), REQUEST).matches
        own = catalog.units_of(np.array([file]))
        assert [catalog.matches.texts[unit] for unit in own.tolist()] == list(found.texts)
        for unit, number in zip(own.tolist(), range(len(found.texts)), strict=True):
            rows, grid = found.units.facts[2 * number : 2 * number + 2].tolist()
            assert catalog.facts_of("data/*/x")[unit].tolist() == rows
            assert catalog.facts_of("grid")[unit].tolist() == grid
            assert catalog.stored(unit, "data/*/x").extents == found.units.extents[2 * number]
            assert catalog.stored(unit, "grid").extents == found.units.extents[1]
            assert catalog.attrs_of(unit) == {"@seed": 10 * number}


def test_the_index_knows_the_matches(folder):
    first, second = build(folder), build(folder)
    assert (first.scanned, second.scanned, second.reused) == (4, 0, 4)
    assert second.catalog.matches == first.catalog.matches
    assert second.catalog.matches.counts.tolist() == [0, 3, 6, 9]
    assert second.catalog.where(0).startswith("series 'demo_0")
    check(first.catalog)
    check(second.catalog)


def test_a_changed_and_a_new_file_are_scanned_again(folder):
    build(folder)
    write(folder / "1.h5", 12)
    write(folder / "11.h5", 2)
    os.remove(folder / "2.h5")
    found = build(folder)
    assert (found.scanned, found.reused) == (2, 2)
    assert dict(zip(found.catalog.names, found.catalog.matches.counts.tolist(), strict=True)) == {
        "0.h5": 0,
        "1.h5": 12,
        "11.h5": 2,
        "3.h5": 9,
    }
    check(found.catalog)


def test_other_paths_with_a_star_have_their_own_index(folder):
    build(folder)
    assert build(folder, ScanRequest(("data/*/x", "grid"), ("@seed",), constants=("grid",))).scanned == 4


def test_an_index_of_an_older_version_is_not_read(folder, monkeypatch):
    with monkeypatch.context() as patched:
        older = catalog_store.StoreFormat(
            catalog_store._STORE.magic, catalog_store.FORMAT - 1, "an index", ".h5index"
        )
        patched.setattr(catalog_store, "_STORE", older)
        build(folder)
    assert build(folder).scanned == 4


def test_files_are_taken_with_their_matches(folder):
    catalog = build(folder).catalog
    taken = catalog.take(np.array([3, 1]))
    assert taken.matches.counts.tolist() == [9, 3]
    assert taken.facts_of("data/*/x")[:, 0].tolist() == [*range(1, 10), *range(1, 4)]
    assert taken.stored(9, "grid") == catalog.stored(0, "grid")
    check(taken)


def test_tables_of_units_are_joined_as_if_made_at_once(folder):
    catalog = build(folder).catalog
    tables = [scan_file(catalog.path(file), REQUEST).matches.units for file in range(len(catalog))]
    joined = UnitTable.joined(tables)
    assert len(joined) == catalog.unit_count
    for name in ("layouts", "annotations"):
        assert getattr(joined, name) == getattr(catalog, name)
    assert np.array_equal(joined.facts, catalog.facts)
    assert UnitTable.joined([]) == UnitTable.joined([tables[0], tables[0]])
