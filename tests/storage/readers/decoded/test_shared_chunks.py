"""Processes that share decoded chunk rows: each is filled once, and one that is killed holds up none of the others."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest

from h5lightning.storage.readers.decoded import shared_directory
from h5lightning.storage.readers.decoded.chunk_cache import ChunkRowCache, ChunkRowSlots
from h5lightning.storage.readers.decoded.shared_chunks import SharedChunks

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has files in memory"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork"),
]

CONTEXT = multiprocessing.get_context("fork") if sys.platform == "linux" else multiprocessing
HEIGHT, ROW_BYTES, DATASETS, COUNT = 2, 2048, 3, 40
ENTRY_BYTES = HEIGHT * ROW_BYTES + 64


class Worker:
    """What one process does with the cache; the value of a chunk row tells its dataset and its number."""

    def __init__(self, shared):
        limit_bytes = shared.cache_bytes
        self.store = shared.store(HEIGHT, ROW_BYTES)
        self.cache = ChunkRowCache(HEIGHT, ROW_BYTES, limit_bytes, self.store)
        self.slots = [ChunkRowSlots(COUNT, f"dataset {number}") for number in range(DATASETS)]

    def read(self, *requested, before=lambda: None, meanwhile=lambda: None):
        """Read chunk rows, given as (dataset, numbers); whether all of them have their values."""
        expected = [COUNT * dataset + number for dataset, numbers in requested for number in numbers]
        found = []

        def fill(missing):
            before()
            for one in missing:
                one.buffer[:] = COUNT * requested[one.dataset][0] + one.number

        def look(rows, slots):
            found.extend((int(rows[2 * slot].min()), int(rows[2 * slot + 1].max())) for slot in slots)
            meanwhile()

        asked = [(self.slots[dataset], np.asarray(numbers, np.int64)) for dataset, numbers in requested]
        self.cache.use(asked, fill, look)
        return found == [(value, value) for value in expected]


def begin(target, *arguments):
    """Start a process, and return it with the end of a pipe on which it reports."""
    mine, its = CONTEXT.Pipe()
    process = CONTEXT.Process(target=target, args=(*arguments, its), daemon=True)
    process.start()
    its.close()
    return process, mine


def heard(pipe):
    assert pipe.poll(30), "it hangs"
    return pipe.recv()


def shared_of(capacity, members=4):
    return SharedChunks.make(members, capacity * ENTRY_BYTES)


def kill(process):
    os.kill(process.pid, signal.SIGKILL)
    process.join(10)
    assert process.exitcode == -signal.SIGKILL


def read_at_random(shared, seed, switch_s, pipe):
    sys.setswitchinterval(switch_s)
    worker = Worker(shared)
    most = min(worker.cache.at_once, DATASETS * COUNT)

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(50):
            numbers = np.sort(rng.choice(DATASETS * COUNT, rng.integers(1, most + 1), replace=False))
            datasets, own = np.divmod(numbers, COUNT)
            if not worker.read(*((number, own[datasets == number].tolist()) for number in range(DATASETS))):
                return False
        return True

    with ThreadPoolExecutor(2) as threads:
        is_right = all(threads.map(work, [seed, seed + 100]))
    pipe.send((is_right, worker.cache.filled, len(worker.cache), worker.cache._store is worker.store))


@pytest.mark.parametrize("switch_s", [0.005, 1e-6])
@pytest.mark.parametrize("capacity", [4, 9, 50, 1000])
def test_many_processes_read_at_random(capacity, switch_s):
    shared = shared_of(capacity)
    processes = [begin(read_at_random, shared, seed, switch_s) for seed in range(4)]
    reports = [heard(pipe) for _, pipe in processes]
    assert all(is_right and is_shared for is_right, _, _, is_shared in reports)
    assert max(taken for _, _, taken, _ in reports) <= max(capacity, 4)
    if capacity == 1000:
        assert sum(filled for _, filled, _, _ in reports) <= DATASETS * COUNT


# ── processes that are killed ────────────────────────────────────────────────────────────────────────


def say_and_wait(pipe):
    """Say that this place is reached, and stay until the process is killed."""
    pipe.send("here")
    signal.pause()


def stay_while_filling(shared, pipe):
    Worker(shared).read((0, [1, 2]), before=lambda: say_and_wait(pipe))


def stay_while_reading(shared, pipe):
    Worker(shared).read((0, [1, 2]), meanwhile=lambda: say_and_wait(pipe))


def stay_in_the_lock(shared, pipe):
    worker = Worker(shared)
    worker.read((0, [1, 2]))
    worker.store.monitor.run(say_and_wait, pipe)


def stay_while_it_changes_the_books(shared, pipe):
    worker = Worker(shared)
    worker.read((0, [1, 2]))

    def change():
        worker.store.is_torn = True
        say_and_wait(pipe)

    worker.store.monitor.run(change)


PLACES = [stay_while_filling, stay_while_reading, stay_in_the_lock, stay_while_it_changes_the_books]


def read_once(shared, requested, pipe):
    worker = Worker(shared)
    pipe.send("begun")
    is_right = worker.read(*requested)
    pipe.send((is_right, worker.cache.filled, worker.cache._store is worker.store))


@pytest.mark.parametrize("requested", [[(0, [2, 3])], [(1, [5, 6])], [(0, [1]), (2, [1])]])
@pytest.mark.parametrize("place", PLACES)
def test_a_process_that_is_killed_holds_up_no_other(place, requested):
    """With room for two chunk rows only: the others need what it has reserved, or its room."""
    shared = shared_of(2, members=2)
    victim, pipe = begin(place, shared)
    assert heard(pipe) == "here"
    if place in (stay_in_the_lock, stay_while_it_changes_the_books):
        kill(victim)
        other, answer = begin(read_once, shared, requested)
        assert heard(answer) == "begun"
    else:
        other, answer = begin(read_once, shared, requested)
        assert heard(answer) == "begun"
        assert not answer.poll(0.2)  # it waits
        kill(victim)
    is_right, _, is_shared = heard(answer)
    assert is_right
    assert is_shared == (place is not stay_while_it_changes_the_books)
    other.join(10)
    assert other.exitcode == 0


def fail_once(shared, pipe):
    def broken():
        pipe.send("here")
        assert pipe.recv() == "go on"
        raise OSError("the disk is broken")

    with suppress(OSError):
        Worker(shared).read((0, [1, 2]), before=broken)


def test_what_one_process_failed_to_fill_another_one_fills():
    shared = shared_of(8)
    _, first = begin(fail_once, shared)
    assert heard(first) == "here"
    _, second = begin(read_once, shared, [(0, [2, 3])])
    assert heard(second) == "begun"
    first.send("go on")
    assert heard(second) == (True, 2, True)


# ── what cannot be shared ────────────────────────────────────────────────────────────────────────────


def test_the_process_that_makes_it_does_not_take_part():
    assert shared_of(4).store(HEIGHT, ROW_BYTES) is None


def test_more_processes_than_it_was_made_for_read_alone():
    shared = shared_of(8, members=2)
    stay = [begin(stay_while_reading, shared) for _ in range(2)]
    assert [heard(pipe) for _, pipe in stay] == ["here"] * 2
    _, third = begin(read_once, shared, [(0, [1, 7])])
    assert heard(third) == "begun"
    assert heard(third) == (True, 2, False)
    for process, _ in stay:
        kill(process)


def test_a_full_directory_ends_the_sharing(monkeypatch):
    monkeypatch.setattr(shared_directory, "_MOST_CHUNK_ROWS", 2 * COUNT)
    shared = shared_of(8)
    _, pipe = begin(read_once, shared, [(0, [1]), (1, [1]), (2, [1])])
    assert heard(pipe) == "begun"
    assert heard(pipe) == (True, 3, False)


def read_two_sizes(shared, pipe):
    first = Worker(shared)
    limits = [first.cache.capacity]
    second = shared.store(HEIGHT, 3 * ROW_BYTES)
    limits += [first.cache.capacity, second.limit]
    again = shared.store(HEIGHT, 3 * ROW_BYTES)
    pipe.send((limits, np.shares_memory(second.rows, again.rows), len(second.rows)))


def test_chunk_rows_of_two_sizes_divide_the_memory():
    _, pipe = begin(read_two_sizes, shared_of(40))
    limits, _, rows = heard(pipe)
    assert limits[0] == 40
    assert limits[1] == 11  # a quarter of 35 of 40, and half of the other 5
    assert limits[2] == 9
    assert rows == HEIGHT * 13
