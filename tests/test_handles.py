"""The pool of open files in one process: opened once, bounded, never closed while in use."""

import gc
import itertools
import os
import pickle
import resource
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest

from h5lightning.errors import BadFileError, ResourceError
from h5lightning.handles import HandlePool, default_budget
from h5lightning.options import Access


@pytest.fixture
def paths(tmp_path):
    """Six files; the dataset ``g/x`` of file i holds ten times i."""
    names = [str(tmp_path / f"{number}.h5") for number in range(6)]
    for number, name in enumerate(names):
        with h5py.File(name, "w") as file:
            file["g/x"] = np.full(10, number)
    return names


@pytest.fixture
def pool():
    with HandlePool(Access(max_open_files=2)) as pool:
        yield pool


def value(pool, path):
    with pool.dataset(path, "g/x") as dataset:
        return int(dataset[3])


@pytest.fixture
def few_descriptors():
    """Sets the soft limit of open files, up to the end of the test."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda soft: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


# ── open files ───────────────────────────────────────────────────────────────────────────────────────


def test_a_file_is_opened_once_for_many_uses(pool, paths):
    assert [value(pool, paths[number % 2]) for number in range(20)] == [0, 1] * 10
    assert pool.opened == 2


def test_the_least_recently_used_file_makes_room(pool, paths):
    for number in (0, 1, 0, 2):
        assert value(pool, paths[number]) == number
    assert (len(pool), pool.opened) == (2, 3)
    assert value(pool, paths[0]) == 0
    assert pool.opened == 3
    assert value(pool, paths[1]) == 1
    assert pool.opened == 4


def test_a_file_in_use_is_never_closed(pool, paths):
    with pool.dataset(paths[0], "g/x") as first:
        for number in (1, 2, 3, 1):
            assert value(pool, paths[number]) == number
        assert first[:].tolist() == [0] * 10
    assert len(pool) == 2


def test_more_files_than_the_budget_stay_open_only_while_in_use(pool, paths):
    with pool.file(paths[0]) as a, pool.file(paths[1]) as b, pool.file(paths[2]) as c:
        assert [int(file["g/x"][0]) for file in (a, b, c)] == [0, 1, 2]
        assert len(pool) == 3
    assert len(pool) == 2
    assert [bool(file) for file in (a, b, c)].count(True) == 2


def test_an_error_in_the_block_lets_go_of_the_file(pool, paths):
    for path in paths[:3]:
        with pytest.raises(ZeroDivisionError), pool.file(path):
            raise ZeroDivisionError
    assert len(pool) == 2


def test_close_is_idempotent_and_the_pool_opens_again(pool, paths):
    assert value(pool, paths[4]) == 4
    pool.close()
    pool.close()
    assert len(pool) == 0
    assert value(pool, paths[4]) == 4
    assert pool.opened == 2


def test_close_waits_for_those_who_use_a_file(pool, paths):
    with pool.dataset(paths[5], "g/x") as dataset:
        pool.close()
        assert dataset[:].tolist() == [5] * 10
    assert not dataset


def test_what_is_derived_from_a_file_is_kept_as_long_as_the_file_is_open(pool, paths):
    made = itertools.count()
    for path in (paths[0], paths[0], paths[1], paths[0], paths[2], paths[3], paths[0]):
        with pool.kept(path, "number", lambda _: next(made)) as number:
            pass
    assert number == 4


def test_threads_share_the_pool(paths):
    def work(seed):
        order = np.random.default_rng(seed).integers(0, 6, 60).tolist()
        return [value(pool, paths[number]) == number for number in order]

    with HandlePool(Access(max_open_files=3)) as pool, ThreadPoolExecutor(6) as threads:
        assert all(all(right) for right in threads.map(work, range(6)))
        assert len(pool) == 3


def test_the_same_file_may_be_open_elsewhere(pool, paths):
    with h5py.File(paths[1]) as file:
        assert value(pool, paths[1]) == 1
        pool.close()
        assert int(file["g/x"][0]) == 1


def test_one_file_keeps_what_another_pool_closes(pool, paths):
    with HandlePool(Access()) as other, pool.dataset(paths[1], "g/x") as dataset:
        assert value(other, paths[1]) == 1
        other.close()
        assert int(dataset[0]) == 1


# ── budget and memory ────────────────────────────────────────────────────────────────────────────────


def test_the_budget_is_that_of_the_user(paths):
    with HandlePool(Access(max_open_files=3), processes=7) as pool:
        assert pool.budget == 3


@pytest.mark.parametrize(
    ("processes", "expected"), [(1, 512), (4, 128), (100, 8)], ids=["one", "some", "many"]
)
def test_the_budget_is_shared_by_the_processes(processes, expected, few_descriptors):
    few_descriptors(3000)
    assert default_budget(processes) == expected


@pytest.mark.parametrize(("free", "expected"), [(201, 100), (4, 8)], ids=["half", "at-least"])
def test_the_budget_leaves_half_of_the_descriptors(free, expected, few_descriptors):
    few_descriptors(len(os.listdir("/dev/fd")) + free)
    assert default_budget() == expected


def test_no_descriptor_left_is_no_reason_to_fail(few_descriptors):
    few_descriptors(3)
    assert default_budget() == 8


def test_caches_are_bounded(pool, paths):
    with pool.file(paths[0]) as file:
        _, slots, nbytes, _ = file.id.get_access_plist().get_cache()
        assert (slots, nbytes) == (521, 1024 * 1024)
        assert file.id.get_access_plist().get_sieve_buf_size() == 1
    with HandlePool(Access(max_open_files=64, cache_bytes=64 * 1000)) as small, small.file(paths[1]) as file:
        assert file.id.get_access_plist().get_cache()[2] == 1000


# ── lifetime ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_pickled_pool_starts_empty(paths):
    with HandlePool(Access(max_open_files=2), processes=3) as pool:
        assert value(pool, paths[0]) == 0
        with pickle.loads(pickle.dumps(pool)) as copy:
            assert (copy.access, copy.processes) == (pool.access, 3)
            assert (len(copy), copy.opened) == (0, 0)
            assert value(copy, paths[0]) == 0


def test_a_pool_that_is_not_closed_warns_and_closes(paths):
    pool = HandlePool(Access())
    with pool.file(paths[0]) as file:
        pass
    with pytest.warns(ResourceWarning, match="a HandlePool with 1 open files was not closed"):
        del pool
    assert not file


def test_a_closed_or_unused_pool_does_not_warn(paths):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with HandlePool(Access()) as pool:
            value(pool, paths[0])
        unused = HandlePool(Access())
        del pool, unused
        gc.collect()


def test_the_end_of_the_interpreter_is_quiet(paths):
    code = (
        "import sys; from h5lightning.handles import HandlePool; from h5lightning.options import Access\n"
        "pool = HandlePool(Access())\n"
        "with pool.file(sys.argv[1]): print(len(pool))"
    )
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, paths[0]], capture_output=True, text=True, check=True
    )
    assert (ended.stdout, ended.stderr) == ("1\n", "")


def test_a_file_that_cannot_be_opened_takes_no_place(pool, paths):
    for _ in range(3):
        with pytest.raises(BadFileError), pool.file(paths[0] + "x"):
            pass
    assert (len(pool), pool.opened) == (0, 0)


def test_a_thread_that_waits_for_a_pool_gets_it(pool, paths):
    ended = threading.Event()
    with pool.file(paths[0]):
        thread = threading.Thread(target=lambda: (value(pool, paths[1]), ended.set()))
        thread.start()
        assert ended.wait(10)
    thread.join()


def lowest_free():
    """The number of the next descriptor: no file can be opened where it is the limit."""
    descriptor = os.dup(0)
    os.close(descriptor)
    return descriptor


def test_a_process_that_runs_out_of_descriptors_gives_some_back(paths, few_descriptors):
    """Files that nobody uses at the moment are closed, and less of them are held from then on."""
    with HandlePool(Access(max_open_files=len(paths))) as pool:
        for path in paths[:-1]:
            with pool.file(path):
                pass
        held = len(pool)
        few_descriptors(lowest_free())
        with pool.file(paths[-1]) as file:
            assert file
        assert len(pool) <= held // 2 + 1
        with pool.file(paths[0]) as file:
            assert file


def test_a_process_without_any_descriptor_to_give_back_says_so(paths, few_descriptors):
    with HandlePool(Access()) as pool, pool.file(paths[0]):
        few_descriptors(lowest_free())
        with pytest.raises(ResourceError, match="Too many open files"), pool.file(paths[1]):
            pass
