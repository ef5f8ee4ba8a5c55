"""The commands on files with images, text and names of numbers."""

import json

import h5py
import layout_files
import numpy as np
import pytest
from typer.testing import CliRunner

from h5lightning.cli import app

pytestmark = pytest.mark.timeout(120)
IMAGES = "{x: action, top: {path: observations/images/top, decode: image}}"


def run(*arguments):
    done = CliRunner().invoke(app, list(arguments))
    assert "Traceback" not in done.output
    return done


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    layout_files.aloha_of_jpeg(folder)
    return str(folder / "episode_1*")


def test_check_accepts_images(images):
    done = run("check", images, "--fields", IMAGES, "--workers", "0", "--ranks", "1", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["passed"] is True, report


def test_doctor_diagnoses_images(images):
    done = run("doctor", images, "--fields", IMAGES)
    assert done.exit_code == 0, done.output
    assert "observations/images/top" in done.output


def test_doctor_says_what_delivers_text(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["word"] = np.zeros(8, "f4"), np.array([b"a", b"b"] * 4)
    done = run("doctor", str(tmp_path / "a.h5"), "--fields", "{x: x, y: word}")
    assert "Field('word', categories=True)" in str(done.exception or "") + done.output
