"""The files that rows of a dataset lie in."""

import h5py
import numpy as np
import pytest

from h5lightning.storage.hdf5.external import Sources, link_problem
from h5lightning.storage.hdf5.external_values import storage_problem
from h5lightning.storage.hdf5.row_sources import RowSources

ROWS = 12


@pytest.fixture
def folder(tmp_path):
    for name in ("a.h5", "b.h5"):
        with h5py.File(tmp_path / name, "w") as file:
            file["x"] = np.arange(2 * ROWS).reshape(ROWS, 2)
    return tmp_path


def row_sources(folder, path="main.h5"):
    sources = Sources()
    with h5py.File(folder / path) as file:
        assert link_problem(file.id, str(folder / path), "x", str(folder), sources=sources) == ""
        assert storage_problem(file["x"].id, str(folder), sources) == ""
        return RowSources.of(file["x"].id, sources)


def virtual(folder, parts, shape=(3 * ROWS, 2)):
    """A virtual dataset: for each part its file, its rows, and the rows of the source."""
    layout = h5py.VirtualLayout(shape, "<i8")
    for name, rows, taken in parts:
        layout[rows] = h5py.VirtualSource(name, "x", (ROWS, 2), "<i8")[taken]
    with h5py.File(folder / "main.h5", "w") as file:
        file["own"] = file["y"] = 0
        file.create_virtual_dataset("x", layout)


def names(folder, rows, found=None):
    found = found or row_sources(folder)
    return [path.removeprefix(f"{folder}/") for path in found.touched(np.asarray(rows))]


ALL = slice(None)


def test_parts_that_follow_each_other(folder):
    parts = [slice(start, start + ROWS) for start in (0, ROWS, 2 * ROWS)]
    virtual(folder, [("a.h5", parts[0], ALL), ("b.h5", parts[1], ALL), ("a.h5", parts[2], ALL)])
    assert names(folder, [0]) == names(folder, [ROWS - 1]) == names(folder, [0, 3 * ROWS - 1]) == ["a.h5"]
    assert names(folder, [ROWS]) == names(folder, [2 * ROWS - 1, 2 * ROWS - 1]) == ["b.h5"]
    assert names(folder, [ROWS - 1, ROWS]) == names(folder, range(3 * ROWS)) == ["a.h5", "b.h5"]


def test_parts_side_by_side_and_in_turn(folder):
    virtual(folder, [("a.h5", np.s_[:, 0], np.s_[:, 0]), ("b.h5", np.s_[:, 1], np.s_[:, 0])], (ROWS, 2))
    assert names(folder, [3]) == ["a.h5", "b.h5"]
    # Of every second row, what lies between counts too.
    virtual(folder, [("a.h5", np.s_[::2], np.s_[:6]), ("b.h5", np.s_[1::2], np.s_[:6])], (ROWS, 2))
    assert names(folder, [3]) == ["a.h5", "b.h5"]


def test_links_and_external_storage_hold_all_rows(folder):
    with h5py.File(folder / "link.h5", "w") as file:
        file["x"] = h5py.ExternalLink("a.h5", "/x")
    assert names(folder, [5], row_sources(folder, "link.h5")) == ["a.h5"]
    np.arange(ROWS).tofile(folder / "values.raw")
    with h5py.File(folder / "raw.h5", "w") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_external(str(folder / "values.raw").encode(), 0, 8 * ROWS)
        h5py.h5d.create(file.id, b"x", h5py.h5t.STD_I64LE, h5py.h5s.create_simple((ROWS,)), plist)
    assert names(folder, [5], row_sources(folder, "raw.h5")) == ["values.raw"]


def test_a_link_to_parts(folder):
    virtual(folder, [("a.h5", slice(0, ROWS), ALL), ("b.h5", slice(ROWS, 2 * ROWS), ALL)], (2 * ROWS, 2))
    with h5py.File(folder / "link.h5", "w") as file:
        file["x"] = h5py.ExternalLink("main.h5", "/x")
    found = row_sources(folder, "link.h5")
    assert names(folder, [0], found) == ["main.h5", "a.h5"]
    assert names(folder, [ROWS], found) == ["main.h5", "b.h5"]


def test_a_dataset_of_the_file_itself(folder):
    assert names(folder, [0], row_sources(folder, "a.h5")) == []
