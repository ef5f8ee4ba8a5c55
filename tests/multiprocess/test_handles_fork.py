"""A handle lives in one process: pools that cross into others start empty there, and leave the first one alone."""

import multiprocessing
import os
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pool_jobs
import pytest

from h5lightning.options import Access
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.libhdf5.reader import H5pyReader

pytestmark = pytest.mark.timeout(60)

STARTS = ["fork", "spawn", "forkserver"]
WRITE = "import h5py, sys; h5py.File(sys.argv[1], 'r+', locking=True).close()"


@pytest.fixture
def paths(tmp_path):
    names = [str(tmp_path / f"{number}.h5") for number in range(4)]
    for number, name in enumerate(names):
        with h5py.File(name, "w") as file:
            file["x"] = number * 100 + np.arange(30).reshape(10, 3)
    return names


def in_process(start, target, *arguments):
    """The answer of ``target`` in another process."""
    context = multiprocessing.get_context(start)
    results = context.SimpleQueue()
    process = context.Process(target=target, args=(*arguments, results))
    with warnings.catch_warnings():
        # Python 3.12 warns of forking beside threads, which is the very thing under test.
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    try:
        answer = results.get() if process.sentinel else None
    finally:
        process.join(30)
    assert process.exitcode == 0
    return answer


@pytest.mark.parametrize("start", STARTS)
def test_a_pool_starts_empty_in_another_process(start, paths):
    with HandlePool(Access(max_open_files=8)) as pool:
        for path in paths[:3]:
            with pool.file(path):
                pass
        assert in_process(start, pool_jobs.read_all, pool, paths) == ([0, 100, 200, 300] * 3, 4, 4)
        assert (len(pool), pool.opened) == (3, 3)
        with pool.dataset(paths[1], "x") as dataset:
            assert dataset[:, 0].tolist() == list(range(100, 130, 3))


def test_inherited_files_take_no_place_in_the_child(paths):
    with HandlePool(Access()) as pool:
        before = len(os.listdir("/dev/fd"))
        for path in paths:
            with pool.file(path):
                pass
        assert len(os.listdir("/dev/fd")) == before + 4
        inherited, kept = in_process("fork", pool_jobs.count_descriptors, pool)
        assert kept == inherited - 4


@pytest.mark.parametrize("start", STARTS)
def test_a_reader_reads_in_another_process(start, paths):
    with HandlePool(Access()) as pool:
        reader = H5pyReader(pool)
        out = np.empty((5, 3), dtype=np.int64)
        reader.read_rows(
            paths[0], pool_jobs.DatasetColumn("x", None, "<i8", (3,)), np.array([9, 0, 5, 5, 2]), out
        )
        assert in_process(start, pool_jobs.read_rows, reader, paths) == [
            [number * 100 + 3, number * 100 + 4, number * 100 + 5] for number in range(4)
        ]


def test_a_lock_held_at_the_fork_does_not_block_the_child(paths):
    with HandlePool(Access()) as pool, pool.file(paths[0]):
        held, done = threading.Event(), threading.Event()

        def hold():
            with pool._files()._guard._lock:
                held.set()
                done.wait(30)

        thread = threading.Thread(target=hold)
        thread.start()
        try:
            assert held.wait(10)
            assert in_process("fork", pool_jobs.read_all, pool, paths)[1:] == (4, 4)
        finally:
            done.set()
            thread.join()


def test_forks_amid_reading_threads(paths):
    def read(pool, number):
        with pool.dataset(paths[number % 4], "x") as dataset:
            return int(dataset[0, 0]) == number % 4 * 100

    with HandlePool(Access(max_open_files=2)) as pool, ThreadPoolExecutor(3) as threads:
        reads = [threads.submit(read, pool, number) for number in range(600)]
        for _ in range(5):
            assert in_process("fork", pool_jobs.read_all, pool, paths)[0] == [0, 100, 200, 300] * 3
        assert all(done.result() for done in reads)


def may_write(path):
    return (
        subprocess.run([sys.executable, "-c", WRITE, path], capture_output=True, check=False).returncode == 0
    )


@pytest.mark.parametrize("is_used", [False, True], ids=["unused", "used"])
def test_a_child_does_not_release_the_locks_of_its_parent(is_used, paths):
    pool = HandlePool(Access(locking=True))
    with pool.file(paths[0]):
        pass
    assert not may_write(paths[0])
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        if is_used:
            pool.close()
        del pool
        os.write(writer, b"dropped")
        os._exit(0)
    assert os.read(reader, 7) == b"dropped"
    os.waitpid(child, 0)
    assert not may_write(paths[0])
    pool.close()
    assert may_write(paths[0])
    os.close(reader)
    os.close(writer)
