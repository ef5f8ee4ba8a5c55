"""One scanning process, as its parent sees it."""

import json
import threading

import h5py
import pytest

from h5lightning.storage.scanning import worker_process as process_module
from h5lightning.storage.scanning.worker_process import DiedError, ScanProcess, SilentError

pytestmark = pytest.mark.timeout(60)

SETUP = json.dumps(
    {"paths": ["x"], "attrs": ["@t"], "most_chunks": 100, "allow_external": None, "locking": False}
)


@pytest.fixture
def path(tmp_path):
    name = str(tmp_path / "a.h5")
    with h5py.File(name, "w") as file:
        file["x"] = [1, 2, 3]
        file.attrs["t"] = "text"
    return name


@pytest.fixture
def process():
    started = ScanProcess()
    yield started
    started.close()


def test_scans_until_it_is_closed(process, path):
    process.begin(SETUP)
    for _ in range(2):
        (schema,) = process.scan([path])
        assert (schema.datasets[0].rows, schema.attrs) == (3, {"@t": "text"})
    assert process.close() == 0


def test_an_error_says_how_the_process_was_killed(process, path):
    process.begin(SETUP)
    process.kill()
    with pytest.raises(DiedError, match="was killed by SIGKILL"):
        process.scan([path])


def test_an_error_says_how_the_process_ended(process):
    with pytest.raises(DiedError, match="ended with status 1"):
        process.begin("no JSON")


def test_text_without_end_is_given_up(process, path):
    """An object of size 0 in the global heap makes HDF5 search it indefinitely, or is an error."""
    with open(path, "r+b") as file:
        content = file.read()
        file.seek(content.index(b"GCOL") + 24)
        file.write(bytes(8))
    process.begin(SETUP)
    try:
        (outcome,) = process.scan([path])
    except DiedError as death:
        outcome = death
    assert "did not finish reading a text" in str(outcome) or "is damaged" in str(outcome)


def test_a_process_that_gives_no_answer_is_ended(monkeypatch, path):
    """A process that waits for a server which is gone."""
    stuck = "import sys, time; print('ready', flush=True); time.sleep(600)"
    monkeypatch.setattr(process_module, "_COMMAND", ("-c", stuck))
    process = ScanProcess()
    process.begin(SETUP)
    process._silence_s = 1.0  # from now on: on a busy machine, a process takes long to start
    with pytest.raises(SilentError, match="gave no answer for 1 s"):
        process.scan([path])
    assert process.close() == -9


def test_patience_begins_anew_with_each_answer(path):
    process = ScanProcess(silence_s=20.0)
    process.begin(SETUP)
    process.scan([path])
    timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    for timer in timers:
        timer.join(10)  # 20 s if it was not cancelled
    assert not any(timer.is_alive() for timer in timers)
    process.close()
