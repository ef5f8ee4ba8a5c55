"""Large copies: one at a time, none waits for long, and an interrupt leaves the way free."""

from __future__ import annotations

import os
import threading
import time

import pytest

from h5lightning.storage.readers.large_copies import copy_alone

pytestmark = pytest.mark.timeout(60)

LARGE, HUGE = 32 << 20, 1 << 34  # the second one would wait for seconds


def copied_meanwhile(size_bytes, other_bytes):
    """Whether another thread copies while this one does."""
    done = threading.Event()

    def copy():
        thread.start()
        done.wait(0.5 if other_bytes == HUGE else 30)

    thread = threading.Thread(target=copy_alone, args=(other_bytes, done.set))
    copy_alone(size_bytes, copy)
    was_done = done.is_set()
    thread.join()
    assert done.is_set()
    return was_done


def test_two_large_copies_take_turns():
    at_work, most = [], []

    def copy():
        at_work.append(None)
        most.append(len(at_work))
        time.sleep(0.001)
        at_work.pop()

    threads = [threading.Thread(target=lambda: [copy_alone(HUGE, copy) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(most), max(most)) == (80, 1)


@pytest.mark.parametrize(
    ("size_bytes", "other_bytes", "expected"),
    [(LARGE, HUGE, False), (LARGE, LARGE, True), (LARGE, 1000, True), (1000, LARGE, True)],
    ids=["it waits", "not for long", "a small one does not wait", "not for a small one"],
)
def test_a_copy_waits_for_a_large_one_but_not_for_long(size_bytes, other_bytes, expected):
    assert copied_meanwhile(size_bytes, other_bytes) == expected


@pytest.mark.parametrize("error", [KeyboardInterrupt, FloatingPointError])
def test_an_error_leaves_the_way_free(error):
    def fail():
        raise error

    with pytest.raises(error):
        copy_alone(LARGE, fail)
    found = []
    thread = threading.Thread(target=copy_alone, args=(HUGE, found.append, 1))
    thread.start()
    thread.join(5)
    assert found == [1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_that_was_forked_during_a_copy_does_not_wait_for_it():
    def copy():
        child = os.fork()
        if not child:
            began = time.monotonic()
            thread = threading.Thread(target=copy_alone, args=(HUGE, lambda: None))
            thread.start()
            thread.join(10)
            os._exit(0 if time.monotonic() - began < 9 and not thread.is_alive() else 1)
        codes.append(os.waitpid(child, 0)[1])

    codes = []
    copy_alone(LARGE, copy)
    assert codes == [0]
