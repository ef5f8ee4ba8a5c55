"""Values of other files: followed only where the user allows, and only if they are all there."""

import os
import re

import h5py
import numpy as np
import pytest

from h5lightning.planning.catalog.source_files import NOT_THERE, UNKNOWN
from h5lightning.storage.hdf5.external import Sources, link_problem, source_stamp, storage_problem
from h5lightning.storage.hdf5.row_sources import RowSources

ROWS = 12


@pytest.fixture
def folder(tmp_path):
    """``in/source.h5`` with ``x`` and ``g/x``, the same outside of ``in``, and raw bytes beside each."""
    for place in (tmp_path / "in", tmp_path / "out"):
        place.mkdir()
        with h5py.File(place / "source.h5", "w") as file:
            file["x"] = file["g/x"] = np.arange(float(ROWS))
            file["soft"] = h5py.SoftLink("/x")
            file["text"] = ["a"] * ROWS
            file.create_dataset("holes", (ROWS,), "<f8", chunks=(3,))[:6] = 1
            file.create_dataset("never", (ROWS,), "<f8")
        np.arange(float(ROWS)).tofile(place / "values.raw")
    return tmp_path


def links(folder, targets):
    path = str(folder / "in" / "main.h5")
    with h5py.File(path, "w") as file:
        for name, target in targets.items():
            file[name] = target
    return path


def found_link(path, name, allowed):
    with h5py.File(path) as file:
        return link_problem(file.id, path, name, allowed)


# ── links ────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_followed_unless_it_is_allowed(folder):
    path = links(folder, {"x": h5py.ExternalLink("source.h5", "/x"), "own": np.arange(3)})
    assert "external link '/x' to '/x' in 'source.h5'" in found_link(path, "x", None)
    assert found_link(path, "x", str(folder / "in")) == ""
    assert found_link(path, "own", None) == ""
    assert found_link(path, "own/more", None) is None
    assert found_link(path, "absent", None) is None


LINKS = {
    "outside": (
        h5py.ExternalLink("../out/source.h5", "/x"),
        "which is not in '.*/in', where access.allow_external",
    ),
    "absolute": (h5py.ExternalLink("/etc/passwd", "/x"), "which is not in"),
    "no file": (h5py.ExternalLink("gone.h5", "/x"), "which is not there"),
    "no HDF5": (h5py.ExternalLink("values.raw", "/x"), "which cannot be read: .*is not HDF5"),
    "no object": (h5py.ExternalLink("source.h5", "/y"), "where there is no such object"),
    "soft": (h5py.SoftLink("/own"), "the soft link '/x' to '/own'"),
    "then soft": (h5py.ExternalLink("source.h5", "/soft"), "which is reached through the soft link"),
    "circle": (h5py.ExternalLink("main.h5", "/x"), "the last of 8 links"),
}


@pytest.mark.parametrize(("target", "words"), LINKS.values(), ids=LINKS)
def test_links_that_are_not_followed(target, words, folder):
    path = links(folder, {"x": target, "own": np.arange(3)})
    assert re.search(words, found_link(path, "x", str(folder / "in")))


def test_a_link_on_the_way(folder):
    path = links(folder, {"way": h5py.ExternalLink("source.h5", "/g")})
    assert found_link(path, "way/x", str(folder / "in")) == ""
    assert found_link(path, "way/y", str(folder / "in")) is None
    assert "'/way'" in found_link(path, "way/x", str(folder / "out"))


def test_a_symbolic_link_out_of_the_folder(folder):
    os.symlink(folder / "out" / "source.h5", folder / "in" / "alias.h5")
    path = links(folder, {"x": h5py.ExternalLink("alias.h5", "/x")})
    assert "which is not in" in found_link(path, "x", str(folder / "in"))
    assert found_link(path, "x", str(folder)) == ""


@pytest.mark.timeout(10)
def test_a_fifo_is_no_source(folder):
    os.mkfifo(folder / "in" / "pipe.h5")
    path = links(folder, {"x": h5py.ExternalLink("pipe.h5", "/x")})
    assert "which is not there" in found_link(path, "x", str(folder / "in"))


@pytest.mark.parametrize("name", ["HDF5_EXT_PREFIX", "HDF5_VDS_PREFIX", "HDF5_EXTFILE_PREFIX"])
def test_prefixes_that_lead_elsewhere(name, folder, monkeypatch):
    monkeypatch.setenv(name, str(folder / "out"))
    path = links(folder, {"x": h5py.ExternalLink("source.h5", "/x")})
    assert f"the environment variable {name}" in found_link(path, "x", str(folder / "in"))


# ── virtual datasets ─────────────────────────────────────────────────────────────────────────────────


def virtual(folder, source="source.h5", name="x", rows=ROWS, length=ROWS, part=None, dtype="<f8"):
    """A virtual dataset of some rows, of which some come from a source."""
    path = str(folder / "in" / "main.h5")
    layout = h5py.VirtualLayout((length,), dtype)
    layout[: part or rows] = h5py.VirtualSource(source, name, shape=(rows,), dtype=dtype)[:part]
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("x", layout)
    return path


def found_storage(path, allowed):
    with h5py.File(path) as file:
        return storage_problem(file["x"].id, allowed)


def found_sources(path, allowed):
    """The sources of ``x``, and the rows of it that are taken from others."""
    sources = Sources()
    with h5py.File(path) as file:
        link = link_problem(file.id, path, "x", allowed, sources=sources)
        problem = link or storage_problem(file["x"].id, allowed, sources)
        return sources.stamps, None if problem else RowSources.of(file["x"].id, sources)


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
    "too short": ({"rows": 20, "length": 20}, r"which has shape \(12,\): less than is taken from it"),
    "too short for a part": (
        {"rows": 20, "length": 20, "part": 19},
        r"which has shape \(12,\): less than is",
    ),
    "not written": ({"name": "never"}, "of which parts were never written"),
    "holes": ({"name": "holes"}, "of which parts were never written"),
    "text": ({"name": "text"}, "elements of another class"),
    "gaps": ({"rows": 8}, "with sources for 8 of its 12 values"),
    "itself": ({"source": "main.h5"}, "which takes its values from other files itself"),
}


@pytest.mark.parametrize(("options", "words"), VIRTUAL.values(), ids=VIRTUAL)
def test_sources_that_would_be_invented(options, words, folder):
    assert re.search(words, found_storage(virtual(folder, **options), str(folder / "in")))


@pytest.mark.parametrize("name", ["part-%b.h5", "source.h5"], ids=["numbered", "growing"])
def test_sources_without_an_end(name, folder):
    path = str(folder / "in" / "main.h5")
    selected = h5py.h5s.create_simple((ROWS,), (h5py.h5s.UNLIMITED,))
    selected.select_hyperslab((0,), (h5py.h5s.UNLIMITED,), (ROWS,), (ROWS,))
    whole = h5py.h5s.create_simple((ROWS,)) if "%" in name else selected
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_virtual(selected, name.encode(), b"/x", whole)
    with h5py.File(path, "w") as file:
        h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F64LE, selected, plist)
    assert "sources without an end" in found_storage(path, str(folder / "in"))


# ── external storage ─────────────────────────────────────────────────────────────────────────────────


def external(folder, parts):
    path = str(folder / "in" / "main.h5")
    with h5py.File(path, "w") as file:
        # Written as if the values had been there all the time.
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        for name, offset, size in parts:
            plist.set_external(os.fsencode(name), offset, size)
        space = h5py.h5s.create_simple((ROWS,))
        h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F64LE, space, plist)
    return path


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
def test_external_bytes_that_would_be_invented(parts, words, folder):
    path = external(folder, [(os.path.join(folder, name), offset, size) for name, offset, size in parts])
    assert re.search(words, found_storage(path, str(folder / "in")))


def test_an_ordinary_dataset_has_no_sources(folder):
    path = links(folder, {"x": np.arange(4)})
    assert found_storage(path, None) == ""
    stamps, rows = found_sources(path, None)
    assert stamps == {}
    assert rows.touched(np.arange(4)) == []


# ── sources and their stamps ─────────────────────────────────────────────────────────────────────────


def stamped(*paths):
    return {str(path): source_stamp(str(path)) for path in paths}


def test_each_source_is_stamped(folder):
    source, raw = folder / "in" / "source.h5", folder / "in" / "values.raw"
    inside = str(folder / "in")
    for path in (virtual(folder), links(folder, {"x": h5py.ExternalLink("source.h5", "/x")})):
        stamps, rows = found_sources(path, inside)
        assert stamps == stamped(source)
        assert rows.touched(np.arange(3)) == [str(source)]
    stamps, rows = found_sources(external(folder, [(str(raw), 0, 96)]), inside)
    assert stamps == stamped(raw)
    assert rows.touched(np.arange(3)) == [str(raw)]


def test_a_link_to_a_virtual_dataset_has_the_sources_of_both(folder):
    path = virtual(folder)
    (folder / "first").mkdir()
    first = str(folder / "first" / "main.h5")
    with h5py.File(first, "w") as file:
        file["x"] = h5py.ExternalLink("../in/main.h5", "/x")
    stamps, rows = found_sources(first, str(folder))
    linked = str(folder / "first" / ".." / "in" / "main.h5")
    beside = str(folder / "first" / ".." / "in" / "source.h5")
    assert os.path.samefile(linked, path)
    assert stamps == stamped(linked, beside)
    assert rows.touched(np.arange(3)) == [linked, beside]


def test_what_was_not_found_is_stamped_too(folder, monkeypatch):
    gone = str(folder / "in" / "gone.h5")
    path = virtual(folder, source="gone.h5")
    assert found_sources(path, str(folder)) == ({gone: NOT_THERE}, None)
    monkeypatch.setenv("HDF5_VDS_PREFIX", str(folder))
    assert found_sources(path, str(folder)) == ({gone: UNKNOWN}, None)
