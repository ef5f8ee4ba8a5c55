"""Scanning processes: killed, stuck, unable to start, interrupted."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import h5py
import numpy as np
import pytest

from h5lightning.errors import BadFileError
from h5lightning.planning.catalog.file_schema import FileSchema
from h5lightning.storage.scanning import worker_process as process_module
from h5lightning.storage.scanning.scan_request import ScanRequest
from h5lightning.storage.scanning.worker_pool import ScanWorkers
from h5lightning.storage.scanning.worker_process import CannotStartError, ScanProcess

REQUEST = ScanRequest(None, ("@t",))

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def paths(tmp_path):
    names = [str(tmp_path / f"{number:03}.h5") for number in range(24)]
    for number, name in enumerate(names):
        with h5py.File(name, "w") as file:
            file["x"] = np.zeros(number + 1)
            file.attrs["t"] = "text"
    return names


def damage_heap(path):
    """Make HDF5 search the global heap indefinitely: an object of size 0 that is not the free space."""
    with open(path, "r+b") as file:
        content = file.read()
        file.seek(content.index(b"GCOL") + 24)
        file.write(bytes(8))


def scan(paths, size=4, processes=2):
    batches = [paths[start : start + size] for start in range(0, len(paths), size)]
    with ScanWorkers(processes, REQUEST) as pool:
        found = dict(pool.scan(batches))
    return [outcome for number in sorted(found) for outcome in found[number]]


def rows(outcomes):
    return [outcome.datasets[0].rows for outcome in outcomes]


def test_every_file_has_its_outcome(paths):
    outcomes = scan(paths)
    assert rows(outcomes) == list(range(1, 25))
    assert all(outcome.attrs == {"@t": "text"} for outcome in outcomes)


def pids_of(pool):
    return [process._process.pid for process in list(pool._alive)]


def test_processes_end_with_the_pool(paths):
    with ScanWorkers(2, REQUEST) as pool:
        list(pool.scan([paths[:4], paths[4:8]]))
        pids = pids_of(pool)
    assert len(pids) == 2
    assert not any(is_alive(pid) for pid in pids)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_culprit_alone_is_blamed(paths):
    damage_heap(paths[5])
    outcomes = scan(paths)
    assert isinstance(outcomes[5], BadFileError)
    assert paths[5] in str(outcomes[5])
    assert "crashed the HDF5 library" in str(outcomes[5])
    assert rows(outcomes[:5] + outcomes[6:]) == [*range(1, 6), *range(7, 25)]


def test_killed_processes_cost_no_file(paths):
    with ScanWorkers(2, REQUEST) as pool:
        found = {}
        for number, outcomes in pool.scan([[path] for path in paths]):
            if not found:
                for pid in pids_of(pool):
                    os.kill(pid, signal.SIGKILL)
            found[number] = outcomes
    assert rows(found[number][0] for number in range(24)) == list(range(1, 25))


def test_no_process_can_start(paths, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(CannotStartError, match="nonexistent"):
        scan(paths)


def test_process_ends_before_it_is_ready(paths, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(CannotStartError, match="before it was ready"):
        scan(paths)


def test_nothing_in_the_current_directory_is_imported(paths, tmp_path, monkeypatch):
    (tmp_path / "h5py.py").write_text("raise ImportError('shadowed')")
    monkeypatch.chdir(tmp_path)
    assert rows(scan(paths[:4])) == [1, 2, 3, 4]


def test_worker_imports_neither_torch_nor_lightning():
    code = """
        import sys
        import h5lightning.storage.scanning.worker
        print([name for name in ("torch", "lightning", "hydra") if name in sys.modules])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], check=False, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


INTERRUPTED = """
    import signal, sys
    from h5lightning.storage.scanning import worker_process as process
    from h5lightning.storage.scanning.worker_pool import ScanWorkers
    from h5lightning.storage.scanning.scan_request import ScanRequest

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background ignores it
    # The damaged file keeps its process until it is ended.
    process._COMMAND = (
        "-c", "from h5lightning.storage.scanning import worker; worker._LIMIT_CPU_S = 1000; worker.main()"
    )
    with ScanWorkers(2, ScanRequest(None, ("@t",))) as pool:
        for number, _ in pool.scan([[path] for path in sys.argv[1:]]):
            print(*(process._process.pid for process in list(pool._alive)), flush=True)
"""


def test_interrupt_ends_the_processes(paths):
    damage_heap(paths[-1])
    command = [sys.executable, "-c", textwrap.dedent(INTERRUPTED), *paths]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        pids = [int(pid) for pid in process.stdout.readline().split()]
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=50)[1]
    assert "KeyboardInterrupt" in errors
    assert pids
    assert not any(is_alive(pid) for pid in pids)


def test_processes_end_when_the_parent_is_killed(paths):
    command = [sys.executable, "-c", textwrap.dedent(INTERRUPTED) + "    input()", *paths]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        pids = [int(pid) for pid in process.stdout.readline().split()]
        process.kill()
    deadline = time.monotonic() + 20
    while any(is_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert pids
    assert not any(is_alive(pid) for pid in pids)


def test_many_threads_of_the_parent_do_not_matter(paths):
    stop = threading.Event()
    threads = [threading.Thread(target=stop.wait) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        assert all(isinstance(outcome, FileSchema) for outcome in scan(paths))
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_files_of_a_server_that_does_not_answer_are_named(monkeypatch, paths):
    stuck = "import sys, time; print('ready', flush=True); time.sleep(600)"
    monkeypatch.setattr(process_module, "_COMMAND", ("-c", stuck))
    begin = ScanProcess.begin

    def begin_in_peace(process, setup):
        """On a busy machine, a process takes long to start."""
        process._silence_s, silence_s = 60, process._silence_s
        begin(process, setup)
        process._silence_s = silence_s

    monkeypatch.setattr(ScanProcess, "begin", begin_in_peace)
    with ScanWorkers(2, REQUEST, silence_s=0.5) as pool:
        ((_, outcomes),) = pool.scan([paths[:2]])
    for outcome, path in zip(outcomes, paths, strict=False):
        assert isinstance(outcome, BadFileError)
        assert str(outcome).startswith(
            f"{path!r} cannot be read: the scanning process gave no answer for 0.5 s"
        )
        assert "does not answer: check the mount" in str(outcome)
