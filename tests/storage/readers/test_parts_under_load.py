"""Parts of files, read by threads, other processes, and after interrupts: each value is right."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import part_jobs
import pytest
from part_jobs import FILES, PARTS, ROWS, wrong_values
from scanned_series import parts_of, scan_series

import h5lightning
from h5lightning.options import Access
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.make_reader import make_reader

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork"),
]
PACKAGE = Path(h5lightning.__file__).parent
TRACED = {
    str(path) for place in ("storage/files/*.py", "storage/readers/**/*.py") for path in PACKAGE.glob(place)
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Parts that are plain, filtered, and only for HDF5, beside each other."""
    folder, files = tmp_path_factory.mktemp("parts"), {}
    for number in range(FILES):
        path = str(folder / f"{number}.h5")
        files[path] = [f"s{part}" for part in range(PARTS)]
        with h5py.File(path, "w") as file:
            for part in range(PARTS):
                values = part_jobs.value_of(number * PARTS + part, np.arange(ROWS))[:, None].repeat(3, 1)
                file[f"d/s{part}/x"] = values
                storage = {"chunks": (4, 2)} if part % 3 else {}
                file.create_dataset(
                    f"d/s{part}/z", data=values, chunks=(4, 3), compression="gzip", shuffle=True
                )
                file.create_dataset(f"d/s{part}/c", data=values, **storage)
    return files


@pytest.fixture
def reader_of(files):
    pools = []

    def reader_of(name, *, is_scanned=True, threads=1, **access):
        scanned = scan_series(files, [field.path for field in part_jobs.FIELDS]) if is_scanned else None
        pools.append(HandlePool(Access(**access), scanned_files=scanned))
        return make_reader(name, pools[-1], threads=threads)

    yield reader_of
    for pool in pools:
        pool.close()


@pytest.fixture
def switching():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("switching")
@pytest.mark.parametrize("is_scanned", [True, False])
@pytest.mark.parametrize("name", ["auto", "h5py"])
def test_threads_read_right_values_while_files_come_and_go(name, is_scanned, files, reader_of, monkeypatch):
    monkeypatch.setattr("h5lightning.storage.files.open_files._MOST_PARTS", 8)
    reader = reader_of(name, is_scanned=is_scanned, max_open_files=2, cache_bytes=3000)
    check = partial(wrong_values, reader, parts_of(files), reads=15)
    with ThreadPoolExecutor(6) as pool:
        assert not sum(pool.map(check, range(6)))
    reader.close()


@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.parametrize("name", ["auto", "h5py"])
def test_other_processes_read_right_values(name, start, files, reader_of):
    reader, every = reader_of(name), parts_of(files)
    assert not wrong_values(reader, every, 0, 5)
    context = multiprocessing.get_context(start)
    results = context.SimpleQueue()
    processes = [context.Process(target=part_jobs.read, args=(reader, every, results)) for _ in range(2)]

    def begin():
        for process in processes:
            process.start()

    reader.start_workers(2, begin)
    assert not sum(results.get() for _ in processes)
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    assert not wrong_values(reader, every, 1, 5)
    reader.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has files in memory")
def test_a_worker_that_is_killed_holds_up_no_other(files, reader_of):
    reader, every, context = reader_of("auto"), parts_of(files), multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    killed = context.Process(target=part_jobs.read_until_killed, args=(reader, every, results))
    other = context.Process(target=part_jobs.read, args=(reader, every, results))

    def begin():
        killed.start()
        other.start()

    reader.start_workers(2, begin)
    killed.join(60)
    other.join(60)
    assert (killed.exitcode, other.exitcode) == (-9, 0)
    assert results.get() + results.get() == 0


class Interrupt:
    """A KeyboardInterrupt in one line of the readers, once."""

    def __init__(self, line):
        self.left, self.thread = line, threading.get_ident()

    def trace(self, frame, event, _):
        if frame.f_code.co_filename not in TRACED:
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self.trace


@pytest.mark.parametrize("name", ["auto", "h5py"])
def test_an_interrupt_at_any_line_leaves_nothing_reserved(name, files, reader_of):
    reader, every = reader_of(name, is_scanned=False, max_open_files=2, cache_bytes=3000), parts_of(files)
    line, interrupted = 1, 0
    while line < 12_000:
        interrupt = Interrupt(line)
        sys.settrace(interrupt.trace)
        try:
            wrong_values(reader, every, line, 1)
        except KeyboardInterrupt:
            interrupted += 1
        finally:
            sys.settrace(None)
        assert not wrong_values(reader, every, line, 1)
        line += 1 + line // 12
    assert interrupted > 30
    reader.close()
