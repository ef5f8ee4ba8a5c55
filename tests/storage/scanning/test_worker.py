"""The program of a scanning process, driven through its pipes."""

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest

from h5lightning.storage.scanning.wire_format import OutcomeDecoder

pytestmark = pytest.mark.timeout(60)

SETUP = {"paths": ["x"], "attrs": ["@t"], "most_chunks": 100, "allow_external": None, "locking": False}


@pytest.fixture
def paths(tmp_path):
    names = [str(tmp_path / f"{number}.h5") for number in range(3)]
    for number, name in enumerate(names):
        with h5py.File(name, "w") as file:
            file["x"] = np.zeros(number)
            file.attrs["t"] = "ä"
    return names


def converse(*lines):
    """The answers to some lines, and the exit status after the last of them."""
    command = [sys.executable, "-m", "h5lightning.storage.scanning.worker"]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.splitlines(), done.returncode


def test_each_task_is_answered_by_a_line(paths, tmp_path):
    (ready, *answers), status = converse(SETUP, paths[:2], [paths[2], str(tmp_path / "absent.h5")])
    assert (ready, len(answers), status) == ("ready", 2, 0)
    decoder = OutcomeDecoder()
    first, second = (decoder.decode(answer) for answer in answers)
    assert [schema.datasets[0].rows for schema in (*first, second[0])] == [0, 1, 2]
    assert first[0].attrs == {"@t": "ä"}
    assert "absent.h5" in str(second[1])


def test_without_tasks_it_ends():
    assert converse(SETUP) == (["ready"], 0)
