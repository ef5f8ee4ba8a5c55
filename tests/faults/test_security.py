"""Files that reach for what is not theirs: nothing outside of them is opened, as a trace of system calls shows."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fuzzing.hostile import SECRET, write_hostile_files

STRACE = shutil.which("strace")
REFUSALS = {
    "BadFileError",
    "MissingFieldError",  # a path that this file does not have
    "SchemaError",
    "UnsupportedFieldError",
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("hostile"))
    return folder, write_hostile_files(folder)


def read_all(hostile, arm, trace):
    """What a process of its own makes of the files, and which secrets it opened."""
    folder, paths = hostile
    command = [sys.executable, "-m", "fuzzing.hostile", folder, arm]
    if STRACE is not None:
        command = [STRACE, "-f", "-qq", "-e", "trace=open,openat,openat2", "-o", str(trace), *command]
    places = [str(Path(__file__).parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(place for place in places if place),
        "HDF5_PLUGIN_PATH": f"{folder}/plugins",
    }
    done = subprocess.run(
        command,
        input=json.dumps(paths),
        capture_output=True,
        text=True,
        timeout=90,
        env=environment,
        check=True,
    )
    opened = trace.read_text().splitlines() if STRACE is not None else []
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return lines, [line for line in opened if SECRET in line]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("arm", ["direct", "h5py"])
def test_nothing_outside_of_a_file_is_opened(arm, hostile, tmp_path):
    found, opened = read_all(hostile, arm, tmp_path / "trace")
    assert not opened
    assert len(found) == 3 * len(hostile[1])
    for path, name, outcome, words in found:
        # What lies in the file itself may be read; it holds zeros, the secrets 42.
        is_own = name == "way/codes" or (name == "x" and path.endswith("-codes.h5"))
        assert outcome in REFUSALS or (outcome == "read" and is_own and not words), (
            path,
            name,
            outcome,
            words,
        )


@pytest.mark.skipif(STRACE is None, reason="needs strace")
@pytest.mark.timeout(120)
def test_the_trace_shows_what_h5py_opens(hostile, tmp_path):
    folder, paths = hostile
    found, opened = read_all(
        (folder, [path for path in paths if "fifo" not in path]), "h5py alone", tmp_path / "trace"
    )
    opened_by_name = {kind: any(kind in line for line in opened) for kind in (".h5", ".raw", ".so")}
    assert opened_by_name == {".h5": True, ".raw": True, ".so": True}
    assert any(outcome == "read" and "42.0" in words for _, _, outcome, words in found)
