"""Memory for decoding is kept by each thread, unless it is large."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np

from h5lightning.core.thread_memory import thread_memory


def in_a_thread(function, *args):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args).result(timeout=60)


def test_it_is_used_again_and_grows():
    def sizes():
        first = thread_memory(100)
        second = thread_memory(50)
        return len(first), len(second), np.shares_memory(first, second), len(thread_memory(1000))

    assert in_a_thread(sizes) == (100, 50, True, 1000)


def test_much_memory_is_not_kept():
    assert in_a_thread(lambda: not np.shares_memory(thread_memory(8 << 20), thread_memory(8 << 20)))


def test_each_thread_has_its_own():
    barrier = Barrier(2, timeout=60)

    def fill(value):
        memory = thread_memory(1000)
        barrier.wait()
        memory[:] = value
        barrier.wait()
        return set(memory.tolist())

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(fill, (1, 2))) == [{1}, {2}]
