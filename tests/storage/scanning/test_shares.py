"""The progress of a scan moves within a file, and ends where the files do."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from h5lightning.storage.scanning import worker
from h5lightning.storage.scanning.parallel_scan import scan_in_process
from h5lightning.storage.scanning.scan_request import ScanRequest
from h5lightning.storage.scanning.shares import PROGRESS, Shares, progress_line, share_in
from h5lightning.storage.scanning.worker_pool import ScanWorkers
from h5lightning.storage.scanning.worker_process import DiedError, ScanProcess

REQUEST = ScanRequest(("data/*/x",), matched=("data/*/x",))


@pytest.fixture
def paths(tmp_path):
    names = [str(tmp_path / f"{number}.h5") for number in range(2)]
    for name in names:
        with h5py.File(name, "w") as file:
            for number in range(1200):
                file.create_group(f"data/{number}")
            file["data/3/x"] = np.zeros(3)
    return names


def test_shares_add_up_to_the_files():
    moved = []
    shares = Shares(moved.append)
    shares.tell(0.25)
    shares.tell(0.5)
    shares.finish(1)
    shares.finish(2)
    assert moved == [0.25, 0.5, 0.25, 2.0]


def test_a_line_of_progress_is_told_from_an_answer():
    line = progress_line(0.125).encode()
    assert line.startswith(PROGRESS)
    assert share_in(line) == 0.125


def test_this_process_moves_within_a_file(paths):
    moved = []
    scan_in_process(paths, REQUEST, advance=moved.append)
    assert len(moved) == 6
    assert sum(moved) == pytest.approx(2)


def test_other_processes_tell_their_progress(monkeypatch):
    lines = []
    monkeypatch.setattr(worker, "_send", lambda _, line: lines.append(line))
    monkeypatch.setattr(worker, "_TELL_S", 0.0)
    tell = worker._Teller(None)
    for _ in range(3):
        tell(0.25)
    assert [share_in(line.encode()) for line in lines] == [0.25, 0.25, 0.25]


def test_the_bar_of_other_processes_ends_where_the_files_do(paths):
    moved = []
    with ScanWorkers(1, REQUEST, advance=moved.append) as workers:
        outcomes = dict(workers.scan([paths]))
    assert [list(outcome.matches.texts) for outcome in outcomes[0]] == [["3"], ["3"]]
    assert sum(moved) == pytest.approx(2)


def test_what_a_process_told_before_it_died_is_taken_back(paths, monkeypatch):
    def dies(self, paths, advance):
        advance(0.5)
        self.close()
        raise DiedError("was killed")

    moved = []
    with ScanWorkers(1, REQUEST, advance=moved.append) as workers:
        monkeypatch.setattr(ScanProcess, "scan", dies)
        (outcome,) = dict(workers.scan([paths[:1]]))[0]
    assert "crashed the HDF5 library, twice" in str(outcome)
    assert moved == [0.5, -0.5, 0.5, -0.5, 1]
