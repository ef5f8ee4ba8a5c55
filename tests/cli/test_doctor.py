"""`h5lightning doctor`: what it prints and how it ends."""

import json
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from h5lightning.cli import app

pytestmark = pytest.mark.timeout(60)

NEEDS_HDF5 = {"chunks": (1, 16, 16), "scaleoffset": 4}


def write(folder, files=3, **storage):
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 8, (200, 16, 16)).astype("f4")
    for number in range(files):
        with h5py.File(folder / f"{number:03}.h5", "w") as file:
            file.create_dataset("images", data=pixels, **storage)
            file["labels"] = np.arange(200) % 10
    return str(folder / "*.h5")


@pytest.fixture
def good(tmp_path):
    return write(tmp_path / "good")


@pytest.fixture
def slow(tmp_path):
    return write(tmp_path / "slow", chunks=(100, 4, 4), compression="gzip", shuffle=True)


@pytest.fixture
def invoke(monkeypatch):
    def run(*arguments, columns=100):
        monkeypatch.setenv("COLUMNS", str(columns))
        return CliRunner().invoke(app, ["doctor", *arguments])

    return run


def run_process(*arguments, before="", **environment):
    command = f'{before} exec "$PY" -m h5lightning doctor "$@"'
    environment = {**os.environ, "PY": sys.executable, **environment}
    return subprocess.run(
        ["bash", "-c", command, "doctor", *arguments],
        check=False, capture_output=True, text=True, timeout=50, env=environment,
    )  # fmt: skip


def test_healthy_files(good):
    done = run_process(good, COLUMNS="100")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("3 files in ")
    assert [line for line in lines[1:] if line] == [
        "Fields {x: images, y: labels}, in full order",
        "Nothing here will be slow.",
    ]


def test_the_program_that_is_printed_writes_better_files(slow, tmp_path):
    done = run_process(slow)
    assert (done.returncode, done.stderr) == (1, "")
    assert "✗ will be slow: split rows, in 3 files" in done.stdout
    assert "Measured: a row alone takes" in done.stdout
    start, stop = (
        done.stdout.index("from h5lightning.tools.doctor"),
        done.stdout.index("\n\nOr, with HDF5's own tools"),
    )
    (tmp_path / "rewrite.py").write_text(done.stdout[start:stop], encoding="utf-8")
    subprocess.run([sys.executable, "rewrite.py"], cwd=tmp_path, check=True, timeout=50, capture_output=True)
    assert run_process(slow).returncode == 1
    assert run_process(str(tmp_path / "rewritten" / "*.h5")).returncode == 0


def test_a_limit_of_open_files(tmp_path):
    few = "ulimit -n 40;"
    assert "open files" not in run_process(write(tmp_path / "direct", files=40), before=few).stdout
    done = run_process(write(tmp_path / "many", files=40, **NEEDS_HDF5), before=few)
    assert done.returncode == 1
    assert "✗ will be slow: open files, in 40 files" in done.stdout
    assert "'ulimit -n 336' in the shell, and access={'max_open_files': 40}" in " ".join(done.stdout.split())


def test_json(slow, invoke):
    done = invoke(slow, "--json", "--fields", "{z: images}")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert (found["healthy"], found["files"], found["fields"]) == (False, 3, {"z": "images"})
    assert found["findings"][0]["measured"]


def test_float64_is_stored_as_float32_only_on_demand(slow, invoke):
    for number in range(3):
        with h5py.File(slow.replace("*", f"{number:03}"), "r+") as file:
            pixels = file["images"][...].astype("f8")
            del file["images"]
            file.create_dataset("images", data=pixels, chunks=(100, 4, 4), compression="gzip")
    programs = [
        json.loads(invoke(slow, "--json", "--no-measure", *more).stdout)["fix"]["python"]
        for more in ([], ["--float32"])
    ]
    assert ["'dtype': 'float32'" in program for program in programs] == [False, True]


def test_no_measure(slow, invoke):
    assert "Measured" not in invoke(slow, "--no-measure").stdout


def test_worker_processes_that_cannot_share_chunks(slow, invoke, monkeypatch):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    done = invoke(slow, "--no-measure", "--num-workers", "4")
    assert "worker processes may decode each chunk 4 times" in " ".join(done.stdout.split())


def test_the_order_in_which_files_will_be_read(slow, invoke):
    done = invoke(slow, "--no-measure", "--shuffle", "full")
    assert done.exit_code == 1
    assert "in full order" in " ".join(done.stdout.split())


def test_open_files_of_files_that_need_hdf5(tmp_path, invoke):
    files = write(tmp_path / "needs", **NEEDS_HDF5)
    done = invoke(files, "--no-measure", "--max-open-files", "1", "--shuffle", "full")
    assert done.exit_code == 1
    assert "67% of the samples" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing/*.h5"], "NoMatchError"),
        (["--fields", "{x: image}"], "did you mean"),
        (["--fields", "{x: "], "--fields must be YAML"),
    ],
    ids=["files", "field", "yaml"],
)
def test_what_cannot_be_diagnosed_ends_with_2(good, arguments, words):
    done = run_process(*([good] if "--fields" in arguments else []), *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bad_file_is_named(good, tmp_path, invoke):
    with open(tmp_path / "good" / "000.h5", "r+b") as file:
        file.truncate(300)
    done = invoke(good)
    assert done.exit_code == 0
    assert "1 file cannot be read: 000.h5" in done.stdout


def test_lines_fit_the_terminal(slow, invoke):
    report = invoke(slow, columns=60).stdout.partition("To write the files again")[0]
    assert max(len(line) for line in report.splitlines()[1:]) <= 60


def test_series_and_samples(tmp_path, invoke):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["u"] = np.zeros((4, 20, 3), "f4")
        for number in range(4):
            file[f"data/demo_{number}/x"] = np.zeros((9, 3), "f4")
    files = str(tmp_path / "a.h5")
    arguments = ["--fields", "{x: u}", "--series", "{axis: 0}", "--samples", "{length: 5, axis: 1}"]
    result = invoke(files, *arguments)
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    assert "samples=Windows(length=5, stride=1, dilation=1, axis=1); series=Series(axis=0)" in text
    result = invoke(files, "--fields", "{x: data/demo_*/x}")
    assert result.exit_code == 0
    assert "Fields {x: data/demo_*/x}, in full order" in result.output
    result = invoke(files, "--series", "{axis: [}")
    assert "--series must be YAML such as '{axis: 0}'" in str(result.exception)
