"""`h5lightning bench`: what it prints, writes and draws, and how it ends."""

import io
import itertools
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
from h5lightning.cli.bench import _show
from h5lightning.core.terminal import Terminal
from h5lightning.tools.bench import Benchmark
from h5lightning.tools.bench.configurations import LoaderConfig
from h5lightning.tools.bench.recommend import Limit, Speed, recommend
from h5lightning.tools.bench.timing import Timing

pytestmark = pytest.mark.timeout(60)
QUICK = ["--seconds", "0.02", "--rounds", "1", "--threads", "0", "--num-workers", "1"]


@pytest.fixture
def files(tmp_path):
    for number in range(2):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["images"] = np.zeros((90, 8, 8), "f4")
            file["labels"] = np.arange(90) % 10
    return str(tmp_path / "*.h5")


@pytest.fixture
def invoke(monkeypatch):
    def run(*arguments, columns=80):
        monkeypatch.setenv("COLUMNS", str(columns))
        return CliRunner().invoke(app, ["bench", *arguments])

    return run


def run_process(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "h5lightning", "bench", *arguments],
        check=False, capture_output=True, text=True, timeout=50, env={**os.environ, **environment},
    )  # fmt: skip


def names_in(shown):
    """The first column of the table; a name continues on the next line where wide figures leave no room for it."""
    names = []
    for line in itertools.dropwhile(lambda line: "samples/s" not in line, shown.splitlines()):
        cells = [cell for cell in re.split(r"\s{2,}", line.strip()) if cell]
        if line.startswith("Medians"):
            break
        if len(cells) > 1:
            names.append(cells[0])
        elif cells and names and "─" not in line:
            names[-1] += f" {cells[0]}"
    return names


@pytest.mark.parametrize("rate", [1e-3, 0.7, 12.0, 123_456.0, 1e9], ids=str)
def test_figures_of_any_width_leave_the_table_whole(rate):
    spread, names = Timing(rate, rate / 9, rate * 99), ["direct, full, 2 threads", "direct, full, 1 worker"]
    speeds = tuple(Speed(LoaderConfig(), name, spread, 32 / rate, 3200 / rate, 0.99) for name in names)
    limits = (Limit("gather from RAM, in this order", spread),)
    found = Benchmark(
        patterns=("*.h5",), root="runs", files=2, fields={"x": "images"}, samples=180, sample_bytes=264,
        stored_bytes=1000, measured_samples=180, measured_bytes=1000, batch_size=32, mode="full", cache="warm",
        cores=2, rounds=1, step_s=0.005, speeds=speeds, plain=spread, limits=limits, notes=(),
        recommendation=recommend(speeds, mode="full", limit=limits[0], step_s=0.005),
    )  # fmt: skip
    shown = io.StringIO()
    _show(Terminal(file=shown, width=80), found)
    assert max(len(line) for line in shown.getvalue().splitlines()) <= 80
    assert names_in(shown.getvalue()) == ["way", *names, "plain h5py", f"limit: {limits[0].name}"]


def test_table_words_and_picture(files, tmp_path):
    picture = str(tmp_path / "speeds.png")
    done = run_process(files, *QUICK, "--step-ms", "5", "--plot", picture, COLUMNS="80")
    assert done.returncode == 0
    assert done.stderr.startswith("7 ways to load and 2 limits of the machine, 1 round each")
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert lines[0].startswith("2 files in ")
    assert "Fields {x: images, y: labels}: 180 samples of 264 B" in lines[1]
    assert max(len(line) for line in lines[1:]) <= 80
    names = names_in(done.stdout)
    assert "direct, full, 0 threads" in names
    assert "plain h5py" in names
    assert any(name.startswith("limit: gather from RAM") for name in names)
    assert "→ " in done.stdout
    with open(picture, "rb") as file:
        assert file.read(8) == b"\x89PNG\r\n\x1a\n"


def test_json(files, invoke):
    done = invoke(
        files, *QUICK, "--json", "--fields", "{z: images}", "--batch-size", "16", "--shuffle", "none"
    )
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert (found["fields"], found["batch_size"], found["mode"]) == ({"z": "images"}, 16, "none")
    assert {speed["way"]["num_workers"] for speed in found["speeds"]} == {0, 1}
    for speed in found["speeds"]:
        assert 0 < speed["rate"]["low"] <= speed["rate"]["median"] <= speed["rate"]["high"]
        assert speed["batch_s"] == pytest.approx(16 / speed["rate"]["median"])
        assert speed["waiting"] is None
        assert speed["times_plain"] > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing/*.h5"], "NoMatchError"),
        (["--fields", "{x: image}"], "did you mean"),
        (["--plot", "speeds.txt"], "has no suffix of a picture: expected one of"),
        (["--plot", "nowhere/speeds.png"], "nowhere' does not exist"),
    ],
    ids=["files", "field", "picture", "directory"],
)
def test_what_cannot_be_done_is_an_error_of_one_line(files, invoke, arguments, words):
    done = invoke(*([] if arguments == ["missing/*.h5"] else [files]), *QUICK, *arguments)
    assert done.exit_code != 0
    assert words in f"{type(done.exception).__name__}: {done.exception}"
