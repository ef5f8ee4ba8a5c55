"""Links to other files are followed only where the user allows, and each source is stamped."""

import os
import re

import h5py
import numpy as np
import pytest
from sources import external, links, virtual, write_sources

from h5lightning.planning.catalog.source_files import NOT_THERE, UNKNOWN
from h5lightning.storage.hdf5.external import Sources, link_problem, source_stamp
from h5lightning.storage.hdf5.external_values import RowSources, storage_problem


@pytest.fixture
def folder(tmp_path):
    write_sources(tmp_path)
    return tmp_path


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


# ── sources and their stamps ─────────────────────────────────────────────────────────────────────────


def found_sources(path, allowed):
    """The sources of ``x``, and the rows of it that are taken from others."""
    sources = Sources()
    with h5py.File(path) as file:
        link = link_problem(file.id, path, "x", allowed, sources=sources)
        problem = link or storage_problem(file["x"].id, allowed, sources)
        return sources.stamps, None if problem else RowSources.of(file["x"].id, sources)


def test_an_ordinary_dataset_has_no_sources(folder):
    path = links(folder, {"x": np.arange(4)})
    stamps, rows = found_sources(path, None)
    assert stamps == {}
    assert rows.touched(np.arange(4)) == []


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
