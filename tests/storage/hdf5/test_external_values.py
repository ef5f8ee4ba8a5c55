"""Values of other files are read only where the user allows, and only if all of them exist."""

from __future__ import annotations

import os
import re

import h5py
import numpy as np
import pytest
from sources import ROWS, external, virtual, write_sources

from h5lightning.storage.hdf5.external import Sources, link_problem
from h5lightning.storage.hdf5.external_values import RowSources, storage_problem


@pytest.fixture
def folder(tmp_path):
    write_sources(tmp_path)
    return tmp_path


def found_storage(path, allowed):
    with h5py.File(path) as file:
        return storage_problem(file["x"].id, allowed)


# ── virtual datasets ─────────────────────────────────────────────────────────────────────────────────


def test_a_virtual_dataset_is_read_if_it_is_allowed(folder):
    path = virtual(folder)
    assert "is a virtual dataset: its values lie in other files" in found_storage(path, None)
    assert found_storage(path, str(folder / "in")) == ""
    with h5py.File(path) as file:
        assert file["x"][:].tolist() == list(range(ROWS))


VIRTUAL = {
    "outside": ({"source": "../out/source.h5"}, "which is not in"),
    "no file": ({"source": "gone.h5"}, r"'/x' in '.*/in/gone\.h5', which is not there"),
    "no HDF5": ({"source": "values.raw"}, "which cannot be read: .*is not HDF5"),
    "no dataset": ({"name": "absent"}, "'/absent' in .*, which is not there"),
    "a group": ({"name": "g"}, "which is not there"),
    "soft link": ({"name": "soft"}, "soft link"),
    "too short": ({"rows": 20, "length": 20}, r"which has shape \(12,\), too small for the values"),
    "too short for a part": (
        {"rows": 20, "length": 20, "part": 19},
        r"which has shape \(12,\), too small",
    ),
    "not written": ({"name": "never"}, "of which parts were never written"),
    "holes": ({"name": "holes"}, "of which parts were never written"),
    "text": ({"name": "text"}, "elements of another class"),
    "gaps": ({"rows": 8}, "with sources for 8 of its 12 values"),
    "itself": ({"source": "main.h5"}, "which takes its values from other files itself"),
}


@pytest.mark.parametrize(("options", "words"), VIRTUAL.values(), ids=VIRTUAL)
def test_sources_that_are_missing(options, words, folder):
    assert re.search(words, found_storage(virtual(folder, **options), str(folder / "in")))


@pytest.mark.parametrize("name", ["part-%b.h5", "source.h5"], ids=["numbered", "growing"])
def test_an_unlimited_number_of_sources(name, folder):
    path = str(folder / "in" / "main.h5")
    selected = h5py.h5s.create_simple((ROWS,), (h5py.h5s.UNLIMITED,))
    selected.select_hyperslab((0,), (h5py.h5s.UNLIMITED,), (ROWS,), (ROWS,))
    whole = h5py.h5s.create_simple((ROWS,)) if "%" in name else selected
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_virtual(selected, name.encode(), b"/x", whole)
    with h5py.File(path, "w") as file:
        h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F64LE, selected, plist)
    assert "an unlimited number of sources" in found_storage(path, str(folder / "in"))


# ── external storage ─────────────────────────────────────────────────────────────────────────────────


def test_external_storage_is_read_if_it_is_allowed(folder):
    raw = str(folder / "in" / "values.raw")
    path = external(folder, [(raw, 0, h5py.h5f.UNLIMITED)])
    assert "keeps its values outside" in found_storage(path, None)
    assert found_storage(path, str(folder / "in")) == ""
    with h5py.File(path) as file:
        assert file["x"][:].tolist() == list(range(ROWS))


def test_external_storage_of_several_parts(folder):
    raw = str(folder / "in" / "values.raw")
    assert found_storage(external(folder, [(raw, 0, 48), (raw, 48, 48)]), str(folder)) == ""


def test_external_storage_from_the_current_directory(folder, monkeypatch):
    monkeypatch.chdir(folder / "in")
    path = external(folder, [("values.raw", 0, 96)])
    assert found_storage(path, str(folder / "in")) == ""
    monkeypatch.chdir(folder / "out")
    assert "which is not in" in found_storage(path, str(folder / "in"))


EXTERNAL = {
    "outside": ([("out/values.raw", 0, 96)], "which is not in"),
    "passwords": ([("/etc/passwd", 0, 96)], "which is not in"),
    "no file": ([("in/gone.raw", 0, 96)], "which is not there"),
    "too short": ([("in/values.raw", 8, 96)], "which has 96 bytes, expected 104"),
}


@pytest.mark.parametrize(("parts", "words"), EXTERNAL.values(), ids=EXTERNAL)
def test_external_bytes_that_are_missing(parts, words, folder):
    path = external(folder, [(os.path.join(folder, name), offset, size) for name, offset, size in parts])
    assert re.search(words, found_storage(path, str(folder / "in")))


def test_an_ordinary_dataset_may_be_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.arange(4)
    assert found_storage(str(tmp_path / "a.h5"), None) == ""


N = 12


@pytest.fixture
def parted(tmp_path):
    for name in ("a.h5", "b.h5"):
        with h5py.File(tmp_path / name, "w") as file:
            file["x"] = np.arange(2 * N).reshape(N, 2)
    return tmp_path


def row_sources(parted, path="main.h5"):
    sources = Sources()
    with h5py.File(parted / path) as file:
        assert link_problem(file.id, str(parted / path), "x", str(parted), sources=sources) == ""
        assert storage_problem(file["x"].id, str(parted), sources) == ""
        return RowSources.of(file["x"].id, sources)


def virtual_parts(parted, parts, shape=(3 * N, 2)):
    """A virtual dataset: for each part its file, its rows, and the rows of the source."""
    layout = h5py.VirtualLayout(shape, "<i8")
    for name, rows, taken in parts:
        layout[rows] = h5py.VirtualSource(name, "x", (N, 2), "<i8")[taken]
    with h5py.File(parted / "main.h5", "w") as file:
        file["own"] = file["y"] = 0
        file.create_virtual_dataset("x", layout)


def names(parted, rows, found=None):
    found = found or row_sources(parted)
    return [path.removeprefix(f"{parted}/") for path in found.touched(np.asarray(rows))]


ALL = slice(None)


def test_parts_that_follow_each_other(parted):
    parts = [slice(start, start + N) for start in (0, N, 2 * N)]
    virtual_parts(parted, [("a.h5", parts[0], ALL), ("b.h5", parts[1], ALL), ("a.h5", parts[2], ALL)])
    assert names(parted, [0]) == names(parted, [N - 1]) == names(parted, [0, 3 * N - 1]) == ["a.h5"]
    assert names(parted, [N]) == names(parted, [2 * N - 1, 2 * N - 1]) == ["b.h5"]
    assert names(parted, [N - 1, N]) == names(parted, range(3 * N)) == ["a.h5", "b.h5"]


def test_parts_side_by_side_and_in_turn(parted):
    virtual_parts(parted, [("a.h5", np.s_[:, 0], np.s_[:, 0]), ("b.h5", np.s_[:, 1], np.s_[:, 0])], (N, 2))
    assert names(parted, [3]) == ["a.h5", "b.h5"]
    # Of every second row, what lies between counts too.
    virtual_parts(parted, [("a.h5", np.s_[::2], np.s_[:6]), ("b.h5", np.s_[1::2], np.s_[:6])], (N, 2))
    assert names(parted, [3]) == ["a.h5", "b.h5"]


def test_links_and_external_storage_hold_all_rows(parted):
    with h5py.File(parted / "link.h5", "w") as file:
        file["x"] = h5py.ExternalLink("a.h5", "/x")
    assert names(parted, [5], row_sources(parted, "link.h5")) == ["a.h5"]
    np.arange(N).tofile(parted / "values.raw")
    with h5py.File(parted / "raw.h5", "w") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_external(str(parted / "values.raw").encode(), 0, 8 * N)
        h5py.h5d.create(file.id, b"x", h5py.h5t.STD_I64LE, h5py.h5s.create_simple((N,)), plist)
    assert names(parted, [5], row_sources(parted, "raw.h5")) == ["values.raw"]


def test_a_link_to_parts(parted):
    virtual_parts(
        parted,
        [("a.h5", slice(0, N), ALL), ("b.h5", slice(N, 2 * N), ALL)],
        (2 * N, 2),
    )
    with h5py.File(parted / "link.h5", "w") as file:
        file["x"] = h5py.ExternalLink("main.h5", "/x")
    found = row_sources(parted, "link.h5")
    assert names(parted, [0], found) == ["main.h5", "a.h5"]
    assert names(parted, [N], found) == ["main.h5", "b.h5"]


def test_a_dataset_of_the_file_itself(parted):
    assert names(parted, [0], row_sources(parted, "a.h5")) == []
