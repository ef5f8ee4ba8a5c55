"""The indexes of ragged rows from files to plans: scanned once, kept on disk, read again where a file has changed."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from h5lightning.errors import SchemaError
from h5lightning.options import Access, Field, Rows
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.nonconforming_files import find_nonconforming
from h5lightning.planning.series.row_index import OtherRows, check_row_index, row_index_of
from h5lightning.storage.discovery import discover
from h5lightning.storage.indexing import catalog_store
from h5lightning.storage.indexing.build_catalog import CatalogBuild, build_catalog
from h5lightning.storage.scanning.worker_pool import ScanWorkers
from h5lightning.storage.survey import survey
from h5lightning.storage.survey_request import scan_request

pytestmark = pytest.mark.timeout(120)

EVENTS = {
    "x": Field("events/x", index="events/offsets", ragged="list"),
    "t": Field("events/t", index="events/offsets", ragged="list"),
    "label": Field("label"),
}


def write_events(path: Path, lengths: list[int], **changes: Any) -> None:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(">u2")
    values = {
        "events/x": np.arange(sum(lengths), dtype="f4"),
        "events/t": np.arange(sum(lengths), dtype="u2"),
        "events/offsets": offsets,
        "label": np.arange(len(lengths)),
    }
    with h5py.File(path, "w") as file:
        for name, stored in (values | changes).items():
            if stored is not None:
                file[name] = stored


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    directory = tmp_path / "runs"
    directory.mkdir()
    for number in range(4):
        write_events(directory / f"{number}.h5", [number, 0, 3, 2])
    return directory


def build(folder: Path, fields: dict[str, Field] = EVENTS, processes: int | None = None) -> CatalogBuild:
    request = scan_request(fields, None, None, Access(), None, labels=True)
    found = discover(str(folder / "*.h5"))
    return build_catalog(found, request, access=Access(), progress=False, processes=processes)


def rows_in(catalog: Catalog, field: Field, rows: int) -> list[list[np.ndarray]]:
    """The rows of each unit, cut from its dataset by the plan."""
    (part,), every = field.parts(), np.arange(catalog.unit_count)
    others = np.full(len(every), rows)
    check_row_index(catalog, every, part, OtherRows("label", others), "x")
    index, found = row_index_of(catalog, every, part, others), []
    for unit in every.tolist():
        with h5py.File(catalog.unit_path(unit)) as file:
            values = file[catalog.with_text(unit, part.path)][:]
        own = range(int(index.first[unit]), int(index.first[unit] + index.counts[unit]))
        found.append([values[index.starts[p] : index.starts[p] + index.lengths[p]] for p in own])
    return found


def test_an_index_of_several_fields_is_kept_once_and_never_read_again(folder: Path) -> None:
    first, second = build(folder), build(folder)
    assert (first.scanned, second.scanned, second.reused) == (4, 0, 4)
    assert list(second.catalog.row_indexes) == ["events/offsets"]
    assert second.catalog.row_indexes == first.catalog.row_indexes
    for number, rows in enumerate(rows_in(second.catalog, EVENTS["x"], 4)):
        assert [len(row) for row in rows] == [number, 0, 3, 2]
        np.testing.assert_array_equal(np.concatenate(rows), np.arange(number + 5))


def test_a_file_that_has_changed_is_read_again(folder: Path) -> None:
    build(folder)
    write_events(folder / "2.h5", [1, 1, 4, 9])
    second = build(folder)
    assert second.scanned == 1
    assert [[len(row) for row in rows] for rows in rows_in(second.catalog, EVENTS["t"], 4)][1:3] == [
        [1, 0, 3, 2],
        [1, 1, 4, 9],
    ]


def test_another_index_is_another_request(folder: Path) -> None:
    build(folder)
    other = {"x": Field("events/x", index="label", ragged="list"), "t": Field("events/t")}
    assert build(folder, other).scanned == 4


def test_an_index_on_disk_of_an_older_version_is_not_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = catalog_store.StoreFormat(
        catalog_store._STORE.magic, catalog_store.FORMAT - 1, "an index", ".h5index"
    )
    with monkeypatch.context() as patch:
        patch.setattr(catalog_store, "_STORE", older)
        build(folder)
    assert build(folder).scanned == 4


def test_scanning_processes_find_the_same(folder: Path) -> None:
    request = scan_request(EVENTS, None, None, Access(), None, labels=True)
    paths = sorted(str(path) for path in folder.glob("*.h5"))
    with ScanWorkers(1, request) as workers:
        ((_, outcomes),) = workers.scan([paths])
    catalog = build(folder).catalog
    for unit, outcome in enumerate(outcomes):
        assert (
            outcome.row_indexes["events/offsets"]
            == catalog.take(np.asarray([unit])).row_indexes["events/offsets"]
        )


def test_each_match_has_its_rows(tmp_path: Path) -> None:
    for number in range(2):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            for unit in range(3):
                file[f"s/{unit}/v"] = np.arange(unit + 4)
                file[f"s/{unit}/i"] = np.asarray([unit, 4 + unit], "u1")
                file[f"s/{unit}/y"] = np.zeros(2)
    fields = {"v": Field("s/*/v", index="s/*/i", ragged="list"), "y": Field("s/*/y")}
    first, second = build(tmp_path, fields), build(tmp_path, fields)
    assert second.scanned == 0
    assert second.catalog.row_indexes == first.catalog.row_indexes
    found = rows_in(second.catalog, fields["v"], 2)
    assert [[len(row) for row in rows] for rows in found] == [[unit, 4] for unit in range(3)] * 2
    kept = second.catalog.take(np.asarray([1]))
    assert [[len(row) for row in rows] for rows in rows_in(kept, fields["v"], 2)] == [[0, 4], [1, 4], [2, 4]]
    with h5py.File(tmp_path / "1.h5", "a") as file:
        file["s/2/i"][1] = 9
    with pytest.raises(
        SchemaError, match=r"series '2' of .*1\.h5: the last entry of '/s/2/i', \[1\], is 9, expected 6"
    ):
        survey(str(tmp_path / "*.h5"), fields, Rows(), access=Access())


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "missing": ({"events/offsets": None}, "holds no dataset '/events/offsets'"),
    "floats": ({"events/offsets": np.zeros(5)}, "'/events/offsets' holds <f8, expected integers"),
    "descending": ({"events/offsets": np.asarray([0, 5, 3, 5, 7])}, "'/events/offsets' does not ascend"),
    "beyond": ({"events/offsets": np.asarray([0, 2, 2, 5, 99])}, "is 99, expected 7, the length of '/events/x'"),
    "other rows": ({"label": np.arange(3)}, "expected 3, the end of each row, or 4 offsets"),
    "other values": ({"events/t": np.arange(8, dtype="u2")}, "is 7, expected 8, the length of '/events/t'"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "words"), BROKEN.values(), ids=BROKEN)
def test_a_file_with_an_index_that_divides_nothing(folder: Path, changes: dict[str, Any], words: str) -> None:
    write_events(folder / "2.h5", [2, 0, 3, 2], **changes)
    pattern = str(folder / "*.h5")
    with pytest.raises(SchemaError) as caught:
        survey(pattern, EVENTS, Rows(), access=Access())
    assert "2.h5" in str(caught.value)
    assert words in str(caught.value)
    catalog = build(folder).catalog
    (skipped,) = find_nonconforming(catalog, EVENTS, np.arange(4), on_missing="raise")
    assert (skipped.name, words in skipped.reason) == ("2.h5", True)


def test_files_are_left_out_without_other_fields_too(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_events(folder / "2.h5", [2, 0, 3, 2], **{"events/offsets": np.asarray([0, 5, 3])})
    fields = {key: EVENTS[key] for key in ("x", "t")}
    catalog = build(folder, fields).catalog
    (skipped,) = find_nonconforming(catalog, fields, np.arange(4), on_missing="raise")
    assert (skipped.name, "does not ascend" in skipped.reason) == ("2.h5", True)
    access = Access(on_bad_file="skip", max_bad_fraction=0.5)
    with caplog.at_level(logging.WARNING):
        first, second = (survey(str(folder / "*.h5"), fields, Rows(), access=access) for _ in range(2))
    assert (len(first.catalog), len(first.index), second.scanned) == (3, len(second.index), 0)
    assert "1 of 4 files are left out: 2.h5: '/events/offsets' does not ascend" in caplog.text
