"""The iterator that works ahead: order, bounds, errors, and no thread that stays."""

from __future__ import annotations

import contextlib
import gc
import itertools
import random
import subprocess
import sys
import threading
import time
import weakref

import pytest

from h5lightning.loading.prefetch import PrefetchPipeline, ReadAhead

pytestmark = pytest.mark.timeout(30)


def ahead(start, *, most_items=3, most_bytes=1 << 30, size=1) -> ReadAhead:
    return ReadAhead(PrefetchPipeline.of(start), lambda _: size, most_items=most_items, most_bytes=most_bytes)


def threads() -> int:
    return sum(thread.name == "h5lightning-read-ahead" for thread in threading.enumerate())


def until(condition) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


def test_items_come_in_order_and_end() -> None:
    items = ahead(lambda: iter(range(100)))
    assert list(items) == list(range(100))
    with pytest.raises(StopIteration):
        next(items)
    assert until(lambda: threads() == 0)


@pytest.mark.parametrize(
    ("options", "ready"),
    [
        ({"most_items": 3}, 3),
        ({"most_items": 9, "most_bytes": 20, "size": 10}, 2),
        ({"most_bytes": 1, "size": 10}, 1),
    ],
    ids=["items", "bytes", "one larger than allowed"],
)
def test_it_works_ahead_within_bounds(options, ready) -> None:
    made = []
    items = ahead(lambda: (made.append(number) or number for number in itertools.count()), **options)
    # One more is made, and waits for room.
    assert until(lambda: len(made) == ready + 1)
    time.sleep(0.05)
    assert len(made) == ready + 1
    assert next(items) == 0
    assert until(lambda: len(made) == ready + 2)
    items.close()


@pytest.mark.parametrize("number", [1, 2, 5])
def test_threads_read_together_and_finish_in_turn(number) -> None:
    reading, most, finishing = set(), [], []
    rng = random.Random(number)
    waits = [rng.random() / 500 for _ in range(60)]
    first = threading.Barrier(number)

    def read(task):
        reading.add(task)
        if task < number:
            first.wait(10)
        most.append(len(reading))
        time.sleep(waits[task])
        reading.discard(task)
        return -task

    def finish(read_task):
        finishing.append(read_task)
        assert len(finishing) == 1
        time.sleep(0.0002)
        yield read_task
        yield read_task
        finishing.clear()

    pipeline = PrefetchPipeline(lambda: iter(range(60)), read, finish)
    items = ReadAhead(pipeline, lambda _: 1, threads=number, most_items=4, most_bytes=99)
    assert list(items) == [-task for task in range(60) for _ in range(2)]
    assert max(most) == number
    assert until(lambda: threads() == 0)


@pytest.mark.parametrize("where", ["tasks", "read", "finish"])
def test_an_error_of_any_stage_comes_in_turn(where) -> None:
    def fails(stage, task):
        if stage == where and task == 7:
            raise LookupError(f"{stage} of {task}")
        return task

    def tasks():
        for number in range(20):
            yield fails("tasks", number)

    def finish(task):
        time.sleep(0.001)
        yield fails("finish", task)

    items = ReadAhead(
        PrefetchPipeline(tasks, lambda task: fails("read", task), finish),
        lambda _: 1,
        threads=3,
        most_items=9,
        most_bytes=9,
    )
    assert list(itertools.islice(items, 7)) == list(range(7))
    for _ in range(2):
        with pytest.raises(LookupError, match=f"{where} of 7"):
            next(items)
    assert until(lambda: threads() == 0)


def test_an_error_comes_after_the_items_before_it() -> None:
    def fails():
        yield 1
        raise LookupError("the second fails")

    items = ahead(fails)
    assert next(items) == 1
    for _ in range(2):
        with pytest.raises(LookupError, match="the second fails"):
            next(items)


@pytest.mark.parametrize("fails", [False, True], ids=["end", "error"])
def test_what_came_to_its_end_keeps_nothing_alive(fails) -> None:
    def use() -> weakref.ref[object]:
        # What runs the loop is in the traceback of what ends it.
        consumer = type("Consumer", (), {})()
        with contextlib.suppress(ZeroDivisionError):
            for _ in ahead(lambda: (1 / (2 - number - fails) for number in range(2))):
                pass
        return weakref.ref(consumer)

    consumer = use()
    assert until(lambda: threads() == 0)
    gc.collect()
    assert consumer() is None


def test_behind_an_error_nobody_reads_any_more() -> None:
    """What is closed after the iterator, such as files, must not be opened again by a thread that still reads."""
    reading, others_read, may_end = [], threading.Event(), threading.Event()

    def read(number):
        if number == 0:
            assert others_read.wait(10)
            raise ValueError("first")
        reading.append(number)
        others_read.set()
        assert may_end.wait(10)
        reading.remove(number)
        return number

    pipeline = PrefetchPipeline(lambda: iter(range(5)), read, lambda item: (item,))
    items = ReadAhead(pipeline, lambda _: 1, threads=3, most_items=4, most_bytes=100)
    with pytest.raises(ValueError, match="first"):
        next(items)
    assert reading
    threading.Timer(0.2, may_end.set).start()
    items.close()
    assert reading == []


def test_dropping_the_iterator_ends_the_thread() -> None:
    items = ahead(itertools.count)
    assert next(items) == 0
    del items
    gc.collect()
    assert threads() == 0


def test_closing_twice_ends_once() -> None:
    items = ahead(itertools.count)
    items.close()
    items.close()
    assert threads() == 0
    with pytest.raises(StopIteration):
        next(items)


def test_the_interpreter_exits_with_a_thread_at_work() -> None:
    code = (
        "import itertools, time; from h5lightning.loading.prefetch import ReadAhead, PrefetchPipeline\n"
        "def slow():\n"
        "    for n in itertools.count():\n"
        "        time.sleep(0.01); yield n\n"
        "items = ReadAhead(PrefetchPipeline.of(slow), lambda _: 1, threads=2, most_items=2, most_bytes=9)\n"
        "print(next(items))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


def test_an_item_behind_one_that_was_dropped_is_not_given(monkeypatch):
    """Who closes drops the first items; who takes at that moment would get a later one."""
    ahead = ReadAhead(PrefetchPipeline.of(lambda: iter(range(5))), lambda _: 1, most_items=5, most_bytes=99)
    for thread in ahead._threads:
        thread.join()
    shelf = ahead._items
    get = shelf._get

    def get_while_others_close(makers):
        shelf._is_dropped = True
        assert shelf._ready.get_nowait()[0] == 1
        return get(makers)

    assert next(ahead) == 0
    monkeypatch.setattr(shelf, "_get", get_while_others_close)
    with pytest.raises(StopIteration):
        next(ahead)
    ahead.close()
