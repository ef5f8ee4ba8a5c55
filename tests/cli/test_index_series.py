"""`h5lightning index` with series: the training that follows opens no file again."""

import json

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from h5lightning.cli import app
from h5lightning.options import Access, Field, Rows, Series, Windows
from h5lightning.storage.survey import survey


@pytest.mark.parametrize(
    ("text", "series", "samples", "rows"),
    [
        ("{ends: ends}", Series(ends="ends"), Windows(2), 6),
        ("{axis: 0}", Series(axis=0), Rows(axis=1), 24),
    ],
)
def test_series_are_indexed(tmp_path, text, series, samples, rows):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["ends"] = np.zeros((6, 4, 2), "f4"), [2, 6]
    files, index = str(tmp_path / "a.h5"), str(tmp_path / "index")
    arguments = ["index", files, "--fields", "{x: x}", "--series", text, "--index-dir", index, "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["rows"] == rows
    found = survey([files], {"x": Field("x")}, samples, access=Access(), series=series, index_dir=index)
    assert found.scanned == 0
