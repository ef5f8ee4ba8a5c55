"""Values of one process: made once, empty in a fork, a pickle and a copy; and the cores that it may use."""

import copy
import gc
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from h5lightning.core import process_local
from h5lightning.core.process_local import (
    ProcessLocal,
    ProcessLocalRef,
    ProcessLocalSet,
    remade,
    usable_cores,
)

pytestmark = pytest.mark.timeout(60)


class Value:
    """Something that can be referred to weakly."""


def in_fork(target, *arguments):
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    with warnings.catch_warnings():
        # Python 3.12 warns of forking beside threads, which is the very thing under test.
        warnings.simplefilter("ignore", DeprecationWarning)
        process = context.Process(target=lambda: results.put(target(*arguments)))
        process.start()
    answer = results.get()
    process.join(30)
    return answer


def test_threads_get_the_same_value():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    made = []
    try:
        with ThreadPoolExecutor(8) as threads:
            for _ in range(200):
                barrier, local = threading.Barrier(8), ProcessLocal()

                def ask(_, barrier=barrier, local=local):
                    barrier.wait()
                    return local.get(lambda: made.append(1) or Value())

                assert len(set(threads.map(ask, range(8)))) == 1
    finally:
        sys.setswitchinterval(before)
    assert len(made) == 200


def test_a_fork_makes_its_own():
    local = ProcessLocal()
    assert local.get(lambda: "parent") == "parent"
    assert in_fork(lambda: (local.peek(), local.get(lambda: "child"), local.peek())) == (
        None,
        "child",
        "child",
    )
    assert local.get(lambda: "another") == local.peek() == "parent"


def test_a_lock_held_at_a_fork_does_not_block_the_child():
    local, held, done = ProcessLocal(), threading.Event(), threading.Event()
    thread = threading.Thread(target=local.get, args=(lambda: (held.set(), done.wait(30)),))
    thread.start()
    try:
        assert held.wait(10)
        assert in_fork(lambda: local.get(lambda: "child")) == "child"
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_are_empty(again):
    local, members, member = ProcessLocal(), ProcessLocalSet(), Value()
    local.get(Value)
    members.add(member)
    assert again(local).peek() is None
    assert list(again(members)) == []


def test_a_reference_is_weak_and_not_copied():
    reference, value = ProcessLocalRef(), Value()
    assert reference.get() is None
    reference.set(value)
    assert reference.get() is value
    assert copy.deepcopy(reference).get() is None
    del value
    gc.collect()
    assert reference.get() is None


def test_what_is_forgotten_is_made_again():
    local = ProcessLocal()
    first = local.get(Value)
    local.forget()
    assert local.peek() is None
    assert local.get(Value) is not first


def test_a_set_forgets_what_is_gone():
    members, kept, dropped = ProcessLocalSet(), Value(), Value()
    for member in (kept, kept, dropped):
        members.add(member)
    assert len(members) == 2
    del dropped, member
    gc.collect()
    assert list(members) == [kept]


def test_a_set_can_grow_while_it_is_looked_at():
    members, values = ProcessLocalSet(), [Value() for _ in range(20)]
    members.add(values[0])
    for _, value in zip(members, values, strict=False):
        members.add(value)
    seen = iter(members)
    members.add(values[7])
    assert next(seen) is values[0]


def test_a_set_is_empty_in_a_fork():
    members, member = ProcessLocalSet(), Value()
    members.add(member)
    assert in_fork(lambda: len(members)) == 0
    assert list(members) == [member]


class Options:
    def __init__(self, *, part):
        self.part = part

    def __reduce__(self):
        return remade, (type(self), {"part": self.part})


def test_what_is_made_again_is_copied_with_its_parts():
    one = Options(part=[1])
    other = copy.deepcopy(one)
    assert other.part == one.part
    assert other.part is not one.part
    pair = copy.deepcopy([one.part, one])
    assert pair[1].part is pair[0]


def test_each_process_has_a_lock_of_its_own():
    before = process_local._guard._lock
    assert in_fork(lambda: process_local._guard._lock is before) is False
    assert process_local._guard._lock is before


def test_at_most_those_of_the_machine():
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_a_job_of_one_core_reads_with_one_thread():
    code = """
import os
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
from h5lightning.core.process_local import usable_cores
from h5lightning.loading.loader import default_threads
print(usable_cores(), default_threads())
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["1", "1"]
