"""Threads that share readers, files and caches: each value is right, whoever makes what they share."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import reading_threads
from typer.testing import CliRunner

from h5lightning.cli import app

ROWS = reading_threads.ROWS


@pytest.fixture
def pattern(tmp_path):
    """Files whose every value says where it is, with checksums."""
    for number in range(reading_threads.FILES):
        values = number * 1000 + np.arange(ROWS)
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["y"] = values
            file["x"] = values[:, None].repeat(300, 1).astype("f4")
            file.create_dataset("z", data=values[:, None].repeat(6, 1), chunks=(4, 6), compression="gzip")
            file["grid"] = np.full((2, 2), number)
    pattern = str(tmp_path / "*.h5")
    assert CliRunner().invoke(app, ["index", pattern, "--checksum"]).exit_code == 0
    return pattern


def run(unlocked, pattern, reads):
    program = Path(reading_threads.__file__)
    done = subprocess.run(
        [sys.executable, str(program), unlocked, pattern, str(reads)],
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.timeout(110)
@pytest.mark.parametrize("unlocked", ["cached_property", "once"])
def test_threads_read_right_values_while_files_come_and_go(unlocked, pattern):
    run(unlocked, pattern, 3)


@pytest.mark.campaign
@pytest.mark.timeout(1300)
@pytest.mark.parametrize("unlocked", ["cached_property", "once"])
def test_campaign_threads_read_right_values(unlocked, pattern):
    run(unlocked, pattern, 120)
