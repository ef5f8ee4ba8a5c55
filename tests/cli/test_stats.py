"""`h5lightning stats`: what it prints, and how it ends."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from h5lightning.cli import app

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def pattern(tmp_path):
    for number in range(4):
        rng = np.random.default_rng(number)
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"], file["m"] = rng.normal(size=(50, 3)), rng.random((50, 3)) < 0.5
            file["x"][7, 2] = np.nan
    return f"{tmp_path}/*.h5"


@pytest.fixture
def invoke(monkeypatch):
    def run(*arguments, columns=120):
        monkeypatch.setenv("COLUMNS", str(columns))
        return CliRunner().invoke(app, ["stats", *arguments])

    return run


def test_the_table_has_a_line_for_each_field(pattern, invoke):
    done = invoke(pattern)
    assert done.exit_code == 0, done.output
    assert "200 rows, in 4 files" in done.output
    lines = [line.split() for line in done.output.splitlines() if line.split()[:1] in (["x"], ["m"])]
    by_key = {line[0]: line[1:] for line in lines}
    assert by_key["x"][-2:] == ["596", "4"]
    assert by_key["m"][2:4] == ["0", "1"]
    assert "not finite" in done.output
    assert "left out" not in done.output


def test_channels_masks_and_quantiles(pattern, invoke):
    done = invoke(pattern, "--normalize", "{x: {per: last, where: m}}", "--quantiles", "0.01,0.99")
    assert done.exit_code == 0, done.output
    for title in ("channel", "0.01", "0.99", "left out"):
        assert title in done.output
    rows = [line.split() for line in done.output.splitlines() if line.split()[:2] == ["x", "0"]]
    assert len(rows) == 1


def test_json_has_all_numbers(pattern, invoke):
    options = ("--normalize", "{x: {per: last}}", "--split", "{by: block}", "--fields", "{x: x}")
    done = invoke(pattern, "--json", "--quantiles", "0.5", *options)
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    (x,) = report["fields"]
    assert (report["split_by"], report["files"], x["per"], x["row_shape"]) == ("block", 4, "last", [3])
    assert len(x["mean"]) == len(x["quantiles"]["0.5"]) == 3
    assert sum(x["count"]) + sum(x["nonfinite"]) == 3 * report["rows"]


def test_a_picture_is_drawn(pattern, invoke, tmp_path):
    pytest.importorskip("matplotlib")
    done = invoke(pattern, "--plot", str(tmp_path / "out.png"))
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out.png").read_bytes()[:4] == b"\x89PNG"


def test_wrong_options_are_told(pattern, invoke):
    for options, text in (
        (("--quantiles", "2"), "numbers from 0 to 1"),
        (("--fields", "[x"), "--fields must be YAML"),
        (("--plot", "out.nothing"), "suffix of a picture"),
    ):
        done = invoke(pattern, *options)
        assert done.exit_code != 0
        assert text in f"{done.output}{done.exception}"
