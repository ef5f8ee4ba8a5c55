"""Immutable values: copies are the value itself, pickles are not; attributes that are computed once copy no lock."""

import copy
import multiprocessing
import pickle
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pytest

from h5lightning.core import frozen as module
from h5lightning.core.frozen import EqualByValue, once
from h5lightning.core.string_table import StringTable
from h5lightning.planning.index import SampleRanges
from h5lightning.planning.selection import Selection

pytestmark = pytest.mark.timeout(60)

VALUES = [
    pytest.param(StringTable.of(["a", "b"]), id="slots"),
    pytest.param(Selection(SampleRanges(np.array([0]), np.array([5]))), id="dict"),
]


@pytest.mark.parametrize("value", VALUES)
def test_a_copy_is_the_value_itself(value):
    assert copy.copy(value) is copy.deepcopy(value) is value
    assert copy.deepcopy([value])[0] is value


@pytest.mark.parametrize("value", VALUES)
def test_a_pickle_is_another_one(value):
    other = pickle.loads(pickle.dumps(value))
    assert other is not value
    assert len(other) == len(value)


@dataclass(frozen=True, slots=True, eq=False)
class Table(EqualByValue):
    numbers: np.ndarray
    name: str = ""
    origin: object = field(default=None, compare=False)


@pytest.mark.parametrize(
    ("other", "is_equal"),
    [
        (Table(np.arange(3), "a", origin=1), True),
        (Table(np.array([0, 1, 9]), "a"), False),
        (Table(np.arange(4), "a"), False),
        (Table(np.arange(3), "b"), False),
        ("a", False),
    ],
    ids=["origin does not count", "numbers", "length", "name", "another type"],
)
def test_arrays_are_compared_by_content(other, is_equal):
    assert (Table(np.arange(3), "a") == other) is is_equal


def test_what_is_compared_by_content_has_no_hash():
    with pytest.raises(TypeError, match="unhashable"):
        hash(Table(np.arange(3)))


@dataclass(frozen=True)
class Square:
    side: int

    @once
    def area(self) -> int:
        """Its area."""
        MADE.append(self.side)
        return self.side**2

    @once
    def double(self) -> int:
        return 2 * self.area


MADE = []


@pytest.fixture(autouse=True)
def _forget():
    MADE.clear()


def test_it_is_made_once():
    square = Square(3)
    assert [square.area, square.area, square.double, square.double] == [9, 9, 18, 18]
    assert MADE == [3]
    assert Square(4).area == 16


def test_threads_get_the_same_value():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            for number in range(200):
                barrier, square = threading.Barrier(8), Square(number)
                found = list(threads.map(lambda _, b=barrier, s=square: (b.wait(), s.double)[1], range(8)))
                assert found == [2 * number**2] * 8
    finally:
        sys.setswitchinterval(before)
    assert sorted(MADE) == list(range(200))


def test_what_fails_is_made_again():
    class Fails:
        tries = 0

        @once
        def value(self):
            self.tries += 1
            if self.tries == 1:
                raise OSError("not yet")
            return self.tries

    one = Fails()
    with pytest.raises(OSError, match="not yet"):
        _ = one.value
    assert (one.value, one.value) == (2, 2)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_and_pickles_hold_no_lock(again):
    square = Square(3)
    assert square.double == 18
    other = again(square)
    assert (other.double, other.area) == (18, 9)
    assert set(vars(square)) == {"side", "area", "double"}


def test_the_class_shows_the_words_of_the_method():
    assert Square.area.__doc__ == "Its area."
    assert isinstance(Square.area, once)


def answer(square, results):
    results.put(square.area)


def test_a_lock_held_at_a_fork_does_not_block_the_child():
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    held, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=module._guard.run, args=(lambda: (held.set(), done.wait(30)),))
    thread.start()
    try:
        assert held.wait(10)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            process = context.Process(target=answer, args=(Square(5), results))
            process.start()
        assert results.get() == 25
        process.join(10)
    finally:
        done.set()
        thread.join()
