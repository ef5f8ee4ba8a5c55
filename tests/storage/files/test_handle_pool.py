"""The pool of open files in one process: opened once, bounded, never closed while in use."""

import gc
import itertools
import pickle
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest

from h5lightning.errors import BadFileError
from h5lightning.options import Access
from h5lightning.storage.files.handle_pool import HandlePool


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
        "import sys\n"
        "from h5lightning.storage.files.handle_pool import HandlePool\n"
        "from h5lightning.options import Access\n"
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


def test_what_is_derived_is_made_once_for_all_threads(paths):
    made, barrier = [], threading.Barrier(6)

    def make(file):
        made.append(file)
        time.sleep(0.02)
        return object()

    def ask(_):
        barrier.wait()
        return pool.using(paths[0], "key", make, lambda found: found)

    with HandlePool(Access()) as pool, ThreadPoolExecutor(6) as threads:
        assert len(set(threads.map(ask, range(6)))) == 1
    assert len(made) == 1


def test_a_pool_is_made_once_for_all_threads():
    with ThreadPoolExecutor(6) as threads:
        for _ in range(50):
            barrier, pool = threading.Barrier(6), HandlePool(Access())
            assert (
                len(set(threads.map(lambda _, b=barrier, p=pool: (b.wait(), p._files())[1], range(6)))) == 1
            )


def test_an_interrupt_in_use_lets_go_of_the_file(pool, paths):
    def interrupted(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pool.using(paths[0], None, lambda file: file, interrupted)
    assert not any(entry.holders for entry in pool._files()._by_path.values())


@pytest.mark.parametrize("error", [KeyboardInterrupt, BadFileError])
def test_an_error_in_one_of_several_files_lets_go_of_all(error, pool, paths):
    used = []

    def use(number, file):
        used.append((number, file.filename))
        if number == 1:
            raise error("stopped")

    with pytest.raises(error):
        pool.using_each(paths, None, lambda _, file: file, use)
    assert used == list(enumerate(paths[:2]))
    assert not any(entry.holders for entry in pool._files()._by_path.values())
