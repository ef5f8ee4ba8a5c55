"""`h5lightning inspect`: what it prints, in which width, and how it ends."""

import json
import os
import re
import subprocess
import sys

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from h5lightning.cli import app

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def good(tmp_path):
    """The pattern of a few files with images and labels."""
    (tmp_path / "good").mkdir()
    for number in range(6):
        with h5py.File(tmp_path / "good" / f"run{number}.h5", "w") as file:
            file["images"] = np.zeros((20 + number, 28, 28), "u1")
            file["labels"] = np.zeros(20 + number, "i8")
            file["notes/by/hand"] = np.array([b"some text"] * 3)
            file.attrs["patient"] = f"p{number // 2}"
    return str(tmp_path / "good" / "*.h5")


@pytest.fixture
def unusable(tmp_path):
    with h5py.File(tmp_path / "words.h5", "w") as file:
        file["words"] = np.array([b"a", b"b"])
    return str(tmp_path / "words.h5")


@pytest.fixture
def invoke(monkeypatch):
    def run(*arguments, columns=80):
        monkeypatch.setenv("COLUMNS", str(columns))
        return CliRunner().invoke(app, ["inspect", *arguments])

    return run


def run_process(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "h5lightning", "inspect", *arguments],
        check=False, capture_output=True, text=True, timeout=50, env={**os.environ, **environment},
    )  # fmt: skip


# ── in another process ───────────────────────────────────────────────────────────────────────────────


def test_the_report_has_table_verdict_and_code(good):
    done = run_process(good, COLUMNS="100")
    assert (done.returncode, done.stderr) == (0, "")
    first, second, *rest = done.stdout.splitlines()
    assert first.startswith("6 files, ")
    assert second == "Rows: 20–25 in each file, 135 in all. A sample is one row: x of 28 × 28, y"
    assert any(
        re.fullmatch(r" images\s+uint8\s+20–25 × 28 × 28\s+contiguous\s+direct\s+103 KiB\s+x\s*", line)
        for line in rest
    )
    assert "Usable, split by file." in rest
    assert '    fields={"x": "images", "y": "labels"},' in rest
    assert "  fields: {x: images, y: labels}" in rest
    assert "  data.fields='{x: images, y: labels}' \\" in rest
    assert "Split(keep_together='attr:patient')" in " ".join(done.stdout.split())


def test_a_pipe_gets_no_colours_and_no_bar(good):
    assert "\x1b" not in run_process(good).stdout


@pytest.mark.parametrize(
    ("files", "code"), [("good", 0), ("unusable", 1), ("missing", 2)], ids=["usable", "unusable", "missing"]
)
def test_the_exit_code_tells_how_it_went(request, tmp_path, files, code):
    pattern = str(tmp_path / "nothing*.h5") if files == "missing" else request.getfixturevalue(files)
    done = run_process(pattern, "--json")
    assert done.returncode == code
    if files == "missing":
        assert done.stdout == ""
        assert done.stderr.startswith("NoMatchError: ")
    else:
        assert json.loads(done.stdout)["usable"] is (code == 0)


# ── what is printed ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_only_code_and_paths_are_wider_than_the_terminal(invoke, good, columns):
    lines = invoke(good, columns=columns).output.splitlines()
    code = next(number for number, line in enumerate(lines) if line == "Python")
    assert max(len(line) for line in lines[1:code]) <= columns


def test_the_code_is_printed_as_it_is(invoke, good):
    code = json.loads(invoke(good, "--json").output)["code"]
    text = invoke(good, columns=40).output
    assert all(form in text for form in code.values())


def test_names_with_brackets_are_no_markup(invoke, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["[bold]x[/bold]"] = np.zeros((5, 3))
    assert " [bold]x[/bold] " in invoke(str(tmp_path / "a.h5"), columns=140).output


def test_unusable_files_have_a_reason_and_no_code(invoke, unusable):
    done = invoke(unusable)
    assert done.exit_code == 1
    assert "Not usable: " in done.output
    assert "holds text" in done.output
    assert "H5DataModule" not in done.output


def test_bad_files_are_listed(invoke, good, tmp_path):
    (tmp_path / "good" / "torn.h5").write_bytes(b"")
    done = invoke(good, columns=140)
    assert done.exit_code == 0
    assert "1 file cannot be read" in done.output
    assert "torn.h5' is empty (0 bytes)" in done.output
    assert "Usable without 1 file" in done.output


def test_a_column_for_files_appears_where_they_differ(invoke, good, tmp_path):
    assert " files " not in invoke(good).output
    with h5py.File(tmp_path / "good" / "run3.h5", "a") as file:
        file["extra"] = np.zeros(23)
    assert re.search(r" extra .* 1 ", invoke(good).output)


def test_long_lists_are_cut_unless_all_is_asked_for(invoke, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for letter in "abcdefghijklmnopqrstuvwxyz":
            for other in "pq":
                file[letter + other] = np.zeros(9, "f4")
    for number in range(5):
        (tmp_path / f"bad{number}.h5").write_bytes(b"")
    short, full = (invoke(str(tmp_path / "*.h5"), *more).output for more in ((), ("--all",)))
    assert "28 more: --all lists them" in short
    assert "2 more: --all lists them" in short
    assert ("zq" in short, "zq" in full) == (False, True)
    assert ("bad4" in short, "bad4" in full) == (False, True)
