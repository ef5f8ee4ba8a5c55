"""The values of rows from files to catalogs: scanned once, kept on disk, read again where a file has changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from h5lightning.errors import BadFileError
from h5lightning.options import Access
from h5lightning.planning.catalog.row_values import RowValues
from h5lightning.storage.discovery import discover
from h5lightning.storage.indexing import array_file
from h5lightning.storage.indexing.build_catalog import CatalogBuild, build_catalog
from h5lightning.storage.scanning import ScanRequest
from h5lightning.storage.scanning.worker_pool import ScanWorkers

pytestmark = pytest.mark.timeout(120)
NAMES = ("label", "table[kind]", "n", "missing")
REQUEST = ScanRequest(("x",), row_values=NAMES, row_texts=("count",))


def write(path: Path, labels: list[str], **changes: Any) -> None:
    table = np.zeros(len(labels), [("kind", "S4"), ("y", "f4")])
    table["kind"] = [label.encode() * 2 for label in labels]
    values = {"x": np.zeros(len(labels)), "table": table, "n": np.arange(len(labels)), "count": [1, 2]}
    with h5py.File(path, "w") as file:
        file["label"] = labels
        for name, stored in (values | changes).items():
            file[name] = stored


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    directory = tmp_path / "runs"
    directory.mkdir()
    write(directory / "0.h5", ["a", "b", "a"])
    write(directory / "1.h5", ["b"])
    write(directory / "2.h5", ["a", "b"], missing=np.asarray([0.5, np.nan]))
    return directory


def build(folder: Path, request: ScanRequest = REQUEST) -> CatalogBuild:
    return build_catalog(discover(str(folder / "*.h5")), request, access=Access(), progress=False)


def rows_of(found: RowValues, unit: int) -> list[Any]:
    rows, values = found.rows_of(unit), [*found.values(unit), None]
    return [found.problem(unit)] if rows is None else [values[code] for code in rows[:, 0].tolist()]


@pytest.mark.parametrize("copied", [0, 2**20])
def test_values_are_scanned_once(folder: Path, copied: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_file, "_MOST_COPIED_BYTES", copied)  # else the index is mapped
    first, second = build(folder), build(folder)
    assert (first.scanned, second.scanned) == (3, 0)
    assert second.catalog.row_values == first.catalog.row_values
    found = second.catalog.row_values
    assert list(found) == [*NAMES, "count"]
    assert [rows_of(found["label"], unit) for unit in range(3)] == [["a", "b", "a"], ["b"], ["a", "b"]]
    assert [rows_of(found["table[kind]"], unit) for unit in range(2)] == [["aa", "bb", "aa"], ["bb"]]
    assert rows_of(found["n"], 0) == [0, 1, 2]
    assert rows_of(found["missing"], 2) == [0.5, None]
    assert rows_of(found["missing"], 0) == ["holds no dataset '/missing'"]
    assert rows_of(found["count"], 0) == [""]
    assert found["label"].codes.dtype == np.int8


def test_a_file_that_has_changed_is_read_again(folder: Path) -> None:
    build(folder)
    write(folder / "1.h5", ["c", "a", "c"])
    second = build(folder)
    assert second.scanned == 1
    found = second.catalog.row_values["label"]
    assert [rows_of(found, unit) for unit in range(3)] == [["a", "b", "a"], ["c", "a", "c"], ["a", "b"]]


def test_other_values_are_another_request(folder: Path) -> None:
    build(folder)
    assert build(folder, ScanRequest(("x",), row_values=("label",))).scanned == 3
    assert build(folder, ScanRequest(("x",), row_texts=("label",))).scanned == 3
    assert build(folder).scanned == 0


def test_scanning_processes_find_the_same(folder: Path) -> None:
    paths = sorted(str(path) for path in folder.glob("*.h5"))
    with ScanWorkers(1, REQUEST) as workers:
        ((_, outcomes),) = workers.scan([paths])
    catalog = build(folder).catalog
    for unit, outcome in enumerate(outcomes):
        assert not isinstance(outcome, Exception)
        assert outcome.row_values == catalog.take(np.asarray([unit])).row_values


def test_each_match_has_its_values(tmp_path: Path) -> None:
    for number in range(2):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["kind"] = "left"
            for unit in range(3):
                file[f"s/{unit}/x"] = np.zeros(2)
                file[f"s/{unit}/label"] = ["a", f"b{number}"]
    request = ScanRequest(("s/*/x",), matched=("s/*/x",), row_values=("s/*/label", "kind"))
    first, second = build(tmp_path, request), build(tmp_path, request)
    assert (first.scanned, second.scanned) == (2, 0)
    assert first.catalog.row_values == second.catalog.row_values
    labels, kinds = second.catalog.row_values["s/*/label"], second.catalog.row_values["kind"]
    assert [rows_of(labels, unit) for unit in range(6)] == [["a", "b0"]] * 3 + [["a", "b1"]] * 3
    assert [rows_of(kinds, unit) for unit in range(6)] == [["left"]] * 6
    assert len(labels.lists) == 2
    kept = second.catalog.take(np.asarray([1])).row_values["s/*/label"]
    assert [rows_of(kept, unit) for unit in range(3)] == [["a", "b1"]] * 3


def test_a_damaged_heap_of_text_is_said_of_its_file_alone(folder: Path) -> None:
    """An object of size 0 in the global heap makes HDF5 search it indefinitely, or is an error."""
    content = (folder / "1.h5").read_bytes()
    start = content.index(b"GCOL") + 24
    (folder / "1.h5").write_bytes(content[:start] + bytes(8) + content[start + 8 :])
    with pytest.raises(BadFileError, match=r"1\.h5'.*damaged"):
        build(folder)
    access = Access(on_bad_file="skip", max_bad_fraction=0.5)
    found = build_catalog(discover(str(folder / "*.h5")), REQUEST, access=access, progress=False).catalog
    assert [rows_of(found.row_values["label"], unit) for unit in range(2)] == [["a", "b", "a"], ["a", "b"]]
