"""`h5lightning check`: what it prints and how it ends."""

import json
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from h5lightning.cli import app, main

pytestmark = pytest.mark.timeout(60)
COMPRESSED = {"chunks": (8, 2, 3), "compression": "gzip"}


@pytest.fixture
def files(write_files):
    return write_files((40, 25, 33, 10, 52, 18, 27, 36), options=COMPRESSED)


@pytest.fixture
def invoke(monkeypatch):
    def run(*arguments, columns=120):
        monkeypatch.setenv("COLUMNS", str(columns))
        return CliRunner().invoke(app, ["check", *arguments])

    return run


def spoil(pattern, number):
    """Overwrite a stored chunk."""
    path = pattern.replace("*", f"run-{number:03}")
    with h5py.File(path) as file:
        place = file["x"].id.get_chunk_info(0)
    with open(path, "r+b") as file:
        file.seek(place.byte_offset)
        file.write(b"\xff" * place.size)


def test_sound_files_with_real_workers(files):
    done = subprocess.run(
        [sys.executable, "-m", "h5lightning", "check", files, "--fields", "[x, y]", "--batch-size", "8"],
        check=False, capture_output=True, text=True, timeout=55, env={**os.environ, "COLUMNS": "120"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "workers 0, 2 × ranks 1, 8 × 2 epochs and a resumed one" in done.stdout
    assert done.stdout.count("✓") == 14
    assert done.stdout.rstrip().endswith("All checks passed.")


def test_damaged_files_are_all_named(files, invoke):
    spoil(files, 2)
    spoil(files, 5)
    done = invoke(files, "--fields", "[x, y]", "--workers", "0", "--ranks", "1,2", "--batches", "1")
    assert done.exit_code == 1
    both = done.stdout.partition("FAILED: both readers agree")[2]
    assert "✗ run-002.h5: cannot be read" in both
    assert "✗ run-005.h5: cannot be read" in both
    assert "checks failed." in done.stdout


def test_what_must_be_the_same_is_compared(files, invoke):
    quick = "--workers", "0", "--ranks", "1", "--batches", "1"
    done = invoke(files, "--fields", "[x, y]", "--access", "{same: [grid]}", *quick)
    assert done.exit_code == 1
    assert "'/grid' is not the same as in most files: at [0, 0]: 1.0, expected 0.0" in done.stdout


def test_json(files, invoke):
    spoil(files, 2)
    done = invoke(
        files, "--json", "--fields", "{a: x}", "--samples", "{length: 3}", "--split", "{val: 0.3, by: block}",
        "--shuffle", "block", "--access", "{locking: true}", "--workers", "0", "--ranks", "2",
    )  # fmt: skip
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert (found["passed"], found["fields"]) == (False, ["a"])
    assert found["outcomes"][1]["note"].startswith("split by block")
    assert "run-002.h5" in str(found["outcomes"][-1]["failures"])


def test_samples_of_each_stage_are_checked(files, invoke):
    samples = "{train: {length: 3}, test: {length: 2}}"
    quick = "--workers", "0", "--ranks", "1", "--batches", "1", "--split", "{val: 0.3, test: 0.3, by: block}"
    done = invoke(files, "--json", "--fields", "{a: x}", "--samples", samples, *quick)
    assert done.exit_code == 0
    names = [outcome["name"] for outcome in json.loads(done.stdout)["outcomes"]]
    for name in ("windows lie inside their files", "both readers agree, bit for bit"):
        assert {f"{name} (train, val)", f"{name} (test, predict)"} <= {*names}


def test_many_failures_are_cut(write_files, invoke):
    files = write_files([10] * 24, options=COMPRESSED)
    for number in range(24):
        spoil(files, number)
    arguments = [
        files,
        "--fields",
        "[x, y]",
        "--workers",
        "0",
        "--ranks",
        "1",
        "--epochs",
        "1",
        "--batches",
        "1",
    ]
    assert "4 more: --all lists them" in invoke(*arguments).stdout
    shown = invoke(*arguments, "--all").stdout
    assert "more: --all" not in shown
    assert "run-023.h5: cannot be read" in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing/*.h5"], "NoMatchError"),
        (["FILES", "--fields", "{x: image}"], "MissingFieldError"),
        (["FILES", "--ranks", "1,x"], "ranks must be an integer"),
        (["FILES", "--shuffle", "{balanc: y}"], "did you mean 'balance'"),
        (["FILES", "--split", "{val: "], "--split must be YAML such as '{val: 0.2}'"),
    ],
    ids=["files", "field", "ranks", "shuffle", "yaml"],
)
def test_what_cannot_be_checked_ends_with_2(files, arguments, words, monkeypatch, capsys):
    monkeypatch.setattr(
        sys, "argv", ["h5lightning", "check", *(files if one == "FILES" else one for one in arguments)]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_packed_numbers_fail_with_the_remedy(tmp_path, invoke):
    for number in range(3):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["t2m"] = np.arange(60, dtype="i2").reshape(20, 3) + 1
            file["t2m"].attrs["scale_factor"] = 0.01 * (number + 1)
    arguments = (str(tmp_path / "*.h5"), "--workers", "0", "--ranks", "1", "--batches", "1")
    done = invoke(*arguments, "--fields", "{x: t2m}", columns=400)
    assert done.exit_code == 1
    assert "Field('t2m', decode='cf') delivers" in done.stdout
    done = invoke(
        *arguments, "--fields", "{x: {path: t2m, decode: cf}}", "--dtype", "float64", "--series", "file"
    )
    assert done.exit_code == 0
    assert "1 field decoded" in done.stdout


def test_a_half_written_file_is_named_with_its_first_row(tmp_path, invoke):
    with h5py.File(tmp_path / "h.h5", "w") as file:
        file.create_dataset("x", (200, 4), "f4")[:77] = np.random.default_rng(0).normal(size=(77, 4))
    arguments = (
        str(tmp_path / "h.h5"),
        "--fields",
        "{x: x}",
        "--workers",
        "0",
        "--ranks",
        "1",
        "--batches",
        "1",
    )
    done = invoke(*arguments, columns=400)
    assert done.exit_code == 1
    assert "h.h5: '/x' holds nothing but the fill value 0.0 from row 77 on" in done.stdout
    assert invoke(*arguments, "--access", "{on_missing: fill}").exit_code == 0
