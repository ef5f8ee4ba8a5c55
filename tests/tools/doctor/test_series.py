"""Findings about files that hold series: groups of a ``*``, a leading axis, tables of offsets."""

import os
from contextlib import closing

import h5py
import numpy as np
import pytest

from h5lightning import H5Dataset
from h5lightning.errors import FieldError, MissingFieldError, OptionError
from h5lightning.options import Access, Field, Rows, Series, Shuffle, Whole, Windows
from h5lightning.storage.readers.direct.reader import DirectReader
from h5lightning.tools.doctor import diagnose_files

DEMOS = {"x": Field("data/demo_*/x"), "y": Field("data/demo_*/y")}


def numbers(*shape, seed=0):
    """Numbers that compress well."""
    return np.random.default_rng(seed).integers(0, 8, shape).astype("f4")


@pytest.fixture
def demos(tmp_path):
    """Two files of groups of unequal length, whose chunks have the size of each series and split rows."""
    for file in range(2):
        with h5py.File(tmp_path / f"{file}.h5", "w") as out:
            for number in range(12):
                rows = 20 + 5 * number
                group = out.create_group(f"data/demo_{number}")
                x = numbers(rows, 8, 32, seed=number)
                group.create_dataset("x", data=x, chunks=(rows, 1, 32), compression="gzip")
                group["y"] = np.arange(rows, dtype="f4")
                group["x"].attrs["unit"] = "m"
    return tmp_path


def kinds(diagnosis):
    return [finding.kind for finding in diagnosis.findings]


def test_the_series_of_a_path_are_one_field(demos):
    diagnosis = diagnose_files([f"{demos}/*.h5"], DEMOS)
    assert diagnosis.fields == {"x": "data/demo_*/x", "y": "data/demo_*/y"}
    assert kinds(diagnosis).count("split rows") == 1  # though each series has chunks of its own size
    finding = diagnosis.findings[0]
    assert (finding.kind, finding.paths, finding.files) == ("split rows", ("data/demo_*/x",), 2)
    assert "a row alone takes" in finding.measured
    assert "padded chunks" not in kinds(diagnosis)


def test_fields_with_a_star_are_inferred(demos):
    diagnosis = diagnose_files([f"{demos}/*.h5"], measure=False)
    assert diagnosis.fields == {"x": "data/demo_*/x", "y": "data/demo_*/y"}
    assert (diagnosis.samples, diagnosis.series, diagnosis.no_fix) == ("Rows()", "", "")


def test_the_program_writes_all_series_again(demos, monkeypatch):
    monkeypatch.chdir(demos)
    diagnosis = diagnose_files(["*.h5"], DEMOS)
    assert "'data/demo_*/x': {" in diagnosis.fix.python
    assert "demo_1" not in diagnosis.fix.python
    assert not diagnosis.fix.h5repack
    exec(diagnosis.fix.python, {})
    rewritten = diagnose_files(["rewritten/*.h5"], DEMOS)
    assert rewritten.is_healthy
    with h5py.File("rewritten/1.h5") as new, h5py.File("1.h5") as old:
        for number in range(12):
            path = f"data/demo_{number}/x"
            np.testing.assert_array_equal(new[path], old[path])
            assert new[path].attrs["unit"] == "m"
            assert new[path].chunks[1:] == (8, 32)
    with closing(H5Dataset("*.h5", DEMOS)) as old, closing(H5Dataset("rewritten/*.h5", DEMOS)) as new:
        assert len(old) == len(new)
        assert all((old[number]["x"] == new[number]["x"]).all() for number in (0, 30, len(old) - 1))


def test_rows_of_trajectories_are_counted_along_both_axes(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        chunks = (8, 50, 16)
        file.create_dataset("u", data=numbers(8, 50, 1600), chunks=(8, 50, 1600), compression="gzip")
        file.create_dataset("v", data=numbers(8, 50, 16), chunks=chunks)
    diagnosis = diagnose_files([f"{tmp_path}/a.h5"], {"x": Field("u")}, series=Series(axis=0))
    assert (diagnosis.samples, diagnosis.series) == ("Rows(axis=1)", "Series(axis=0)")
    finding = next(one for one in diagnosis.findings if one.kind == "one chunk per file")
    assert finding.fix is None
    assert diagnosis.fix is None
    assert "the axis of series" in diagnosis.no_fix
    amplified = next(one for one in diagnosis.findings if one.kind == "amplified reads")
    assert "chunks of 400 rows" in amplified.text
    plain = diagnose_files([f"{tmp_path}/a.h5"], {"x": Field("v")}, series=Series(axis=0))
    assert plain.is_healthy
    assert not plain.no_fix


def test_windows_decode_less_for_each_row(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=numbers(4000, 64), chunks=(50, 64), compression="gzip")
        file["ends"] = [1000, 4000]

    def factor(samples):
        diagnosis = diagnose_files(
            [f"{tmp_path}/a.h5"],
            {"x": Field("x")},
            samples=samples,
            series=Series(ends="ends"),
            shuffle=Shuffle("full"),
            access=Access(cache_bytes=64 * 1024),
            batch_size=4,
            measure=False,
        )
        return next(one for one in diagnosis.findings if one.kind == "amplified reads").amplification.full

    rows, windows = factor(Rows()), factor(Windows(10))
    assert 20 < rows <= 50
    assert 3 < windows < rows / 5


def test_merging_files_would_lose_series(tmp_path):
    for number in range(120):
        with h5py.File(tmp_path / f"{number:03}.h5", "w") as file:
            file[f"rec_{number}/x"] = numbers(9, 4)
    diagnosis = diagnose_files([f"{tmp_path}/*.h5"], {"x": Field("rec_*/x")}, measure=False)
    assert kinds(diagnosis) == ["tiny files"]
    assert diagnosis.fix is None
    assert "would lose the borders of their series" in diagnosis.no_fix
    assert "source_file" not in diagnosis.findings[0].advice


def test_opening_is_timed_with_a_series_of_each_file(demos, monkeypatch):
    monkeypatch.setattr(DirectReader, "reason", lambda *_: "is compact")
    diagnosis = diagnose_files(
        [f"{demos}/*.h5"], DEMOS, access=Access(max_open_files=1), shuffle=Shuffle("full")
    )
    opening = next(finding for finding in diagnosis.findings if finding.kind == "open files")
    assert "the first row of a file takes" in opening.measured


def test_each_dataset_is_a_sample(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number in range(30):
            file[f"images/img_{number:05}"] = numbers(24, 24, 3, seed=number)
    diagnosis = diagnose_files([f"{tmp_path}/a.h5"])
    assert (diagnosis.fields, diagnosis.samples) == ({"x": "images/img_*"}, "Whole()")
    assert diagnosis.is_healthy
    assert diagnose_files([f"{tmp_path}/a.h5"], {"x": Field("images/img_*")}, samples=Whole()).is_healthy


@pytest.mark.parametrize(
    ("fields", "options", "error", "words"),
    [
        ({"x": Field("data/trial_*/x")}, {}, MissingFieldError, "no file holds a dataset '/data/trial_*/x'"),
        ({"x": Field("data/demo_*/y")}, {"series": Series(axis=0)}, FieldError, "no axis of rows beside"),
        (DEMOS, {"series": Series(axis=0), "samples": Rows()}, OptionError, "samples=Rows(axis=1)"),
    ],
)
def test_what_cannot_be_diagnosed(demos, fields, options, error, words):
    with pytest.raises(error) as raised:
        diagnose_files([os.path.join(demos, "*.h5")], fields, **options)
    assert words in str(raised.value)
