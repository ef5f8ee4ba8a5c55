"""The numbers of indexes as a scan reads them: any integers, once for each file or match, or why they are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.planning.catalog.row_index import IndexTable
from h5lightning.storage.scanning import ScanRequest, scan_file
from h5lightning.storage.scanning.metadata_values import NeedsProcessError, ValueReader
from h5lightning.storage.scanning.series.read_row_index import read_row_index

pytestmark = pytest.mark.timeout(120)
NO_TEXT = ValueReader(reads_text=False)


@pytest.fixture
def file(tmp_path: Path) -> Any:
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        yield opened


def read(file: h5py.File, path: str = "i", texts: list[str] | None = None) -> IndexTable:
    return read_row_index(file.id, file.filename, path, NO_TEXT, texts=texts)


@pytest.mark.parametrize("kind", ["<u1", ">u2", ">i4", "<u4", "<i8", ">u8"])
@pytest.mark.parametrize("options", [{}, {"chunks": (2,), "compression": "gzip"}])
def test_integers_of_any_width_and_order_are_read(
    file: h5py.File, kind: str, options: dict[str, Any]
) -> None:
    file.create_dataset("i", data=np.asarray([0, 3, 3, 200], kind), **options)
    found = read(file)
    assert (found.numbers.tolist(), found.numbers.dtype) == ([0, 3, 3, 200], np.int64)
    assert (found.must_be_ends.tolist(), found.problems[0]) == ([False], "")


@given(st.lists(st.integers(0, 2**63 - 1), max_size=8))
def test_ascending_numbers_are_kept_as_they_are(numbers: list[int]) -> None:
    with h5py.File("m.h5", "w", driver="core", backing_store=False) as file:
        file["i"] = np.sort(np.asarray(numbers, "u8"))
        found = read(file)
    assert found.numbers.tolist() == sorted(numbers)
    assert found.must_be_ends[0] == bool(numbers and min(numbers) > 0)


@pytest.mark.parametrize(
    ("stored", "problem"),
    [
        (np.asarray([1.0, np.nan]), "'/i' holds <f8, expected integers"),
        (np.asarray([True, True]), "'/i' holds |b1, expected integers"),
        (np.asarray([b"a"]), "'/i' holds text, expected integers"),
        (np.asarray([-1, 4]), "entry 0 of '/i' is -1, expected 0 or above"),
        (np.asarray([4, 2**63 + 5], "u8"), f"entry 1 of '/i' is {2**63 + 5}"),
        (np.asarray([2, 7, 6]), "'/i' does not ascend: entry 2 is 6, after 7: its entries are the end of each row"),
        (np.zeros((2, 3), "i8"), "'/i' has shape (2, 3), expected one axis"),
        (np.int64(3), "'/i' has shape (), expected one axis"),
        (np.zeros(3, [("a", "i4")]), "'/i' is a table with the columns a"),
    ],
    ids=["floats", "flags", "text", "negative", "huge", "descending", "two axes", "scalar", "table"],
)  # fmt: skip
def test_what_is_no_index_is_said_as_a_sentence(file: h5py.File, stored: Any, problem: str) -> None:
    file["i"] = stored
    found = read(file)
    assert problem in found.problems[0]
    assert len(found.numbers) == 0


def test_other_objects_and_missing_ones(file: h5py.File) -> None:
    file.create_group("g/i")
    assert read(file, "g").problems[0].startswith("'/g' is a group")
    assert read(file, "n").problems[0] == "holds no dataset '/n'"
    file["l"] = h5py.ExternalLink("other.h5", "i")
    assert "'/l'" in read(file, "l").problems[0]
    file.create_dataset("u", (5,), "i8", chunks=(2,))
    assert "never written" in read(file, "u").problems[0]
    file["column"] = np.asarray([(3,), (9,)], [("end", "u4")])
    assert read(file, "column/end").numbers.tolist() == [3, 9]


def test_a_size_that_no_file_has_takes_no_memory(file: h5py.File) -> None:
    file.create_dataset("i", (2**40,), "i8", chunks=(1024,))
    assert "'/i' takes 8,796,093,022,208 bytes, over" in read(file).problems[0]
    file.create_dataset("j", (70 * 2**20,), "u1", chunks=(2**20,), compression="gzip")[:] = 0
    assert "'/j' has 73,400,320 entries, over" in read(file, "j").problems[0]


@pytest.mark.parametrize("first", [0, 2])
@pytest.mark.parametrize("kind", ["VectorIndex", "VectorData"])
def test_the_type_of_nwb_tells_ends(file: h5py.File, first: int, kind: str) -> None:
    file["i"] = np.asarray([first, 7])
    file["i"].attrs["neurodata_type"] = np.bytes_(kind)
    assert read(file).must_be_ends.tolist() == [first > 0 or kind == "VectorIndex"]
    file["i"].attrs["neurodata_type"] = kind  # text of variable length
    if first:
        assert read(file).must_be_ends.tolist() == [True]
    else:
        with pytest.raises(NeedsProcessError):
            read(file)


def test_each_match_has_its_own_index(file: h5py.File) -> None:
    for number, ends in enumerate([[2, 4], [4], []]):
        file[f"data/{number}/i"] = np.asarray(ends, "u4")
    found = read(file, "data/*/i", ["0", "1", "2", "3"])
    assert (found.counts.tolist(), found.numbers.tolist()) == ([2, 1, 0, 0], [2, 4, 4])
    assert list(found.problems) == ["", "", "", "holds no dataset '/data/3/i'"]
    assert len(read(file, "data/*/i", []).table_of) == 0


def test_matches_share_an_index_that_is_kept_once(file: h5py.File) -> None:
    file["i"] = np.arange(1, 1001)
    found = read(file, "i", [str(number) for number in range(500)])
    assert (len(found.table_of), len(found.numbers)) == (500, 1000)
    assert len(read(file, "i", []).table_of) == 0


def test_a_scan_reads_each_index_that_is_asked_for(file: h5py.File) -> None:
    file["x"], file["i"], file["j"] = np.zeros(9), np.asarray([4, 9]), np.asarray([0, 9])
    file.flush()
    found = scan_file(file.filename, ScanRequest(("x",), indexes=("i", "j", "k")))
    assert list(found.row_indexes) == ["i", "j", "k"]
    assert found.row_indexes["j"].numbers.tolist() == [0, 9]
    assert found.row_indexes["k"].problems[0] == "holds no dataset '/k'"
