"""Locks that are released wherever a thread is interrupted, and waits that poll."""

import sys
import threading
import time

import pytest

from h5lightning.core import monitor
from h5lightning.core.monitor import Guard, Monitor

pytestmark = pytest.mark.timeout(30)


def is_free(guard):
    """Whether another thread gets in."""
    entered = threading.Event()
    thread = threading.Thread(target=lambda: guard.run(entered.set), daemon=True)
    thread.start()
    return entered.wait(5)


class Strike:
    """Raises at the n-th line of the module that is reached."""

    def __init__(self, number):
        self.left = number

    def __call__(self, frame, event, arg):
        if frame.f_code.co_filename != monitor.__file__:
            return None
        if event == "line":
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt
        return self


@pytest.mark.parametrize("kind", [Guard, Monitor])
def test_one_thread_at_a_time(kind):
    guard, inside, most = kind(), [], []

    def enter():
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.0005)
        inside.pop()

    threads = [threading.Thread(target=lambda: [guard.run(enter) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(most), max(most)) == (80, 1)


def test_arguments_results_and_errors_pass():
    guard = Guard()
    assert guard.run(divmod, 7, 2) == (3, 1)
    assert guard.run(sorted, [1, 2], reverse=True) == [2, 1]
    with pytest.raises(ZeroDivisionError):
        guard.run(divmod, 1, 0)
    assert is_free(guard)


def test_the_same_thread_comes_in_again():
    guard = Guard()
    assert guard.run(lambda: guard.run(lambda: guard.run(int, "3"))) == 3
    assert is_free(guard)


@pytest.mark.parametrize("wait", [False, True], ids=["run", "until"])
def test_an_interrupt_at_any_line_leaves_it_free(wait):
    struck = 0
    for number in range(1, 200):
        shared = Monitor()
        call = (
            (lambda shared=shared: shared.until(int, "7"))
            if wait
            else (lambda shared=shared: shared.run(int, "7"))
        )
        sys.settrace(strike := Strike(number))
        try:
            assert call() == 7
        except KeyboardInterrupt:
            struck += 1
        finally:
            sys.settrace(None)
        assert is_free(shared)
        if strike.left > 0:
            break
    assert struck > 5


def test_who_waits_is_told():
    shared, values, found = Monitor(), [], []
    thread = threading.Thread(
        target=lambda: found.append(shared.until(lambda: values[0] if values else None))
    )
    thread.start()
    shared.run(lambda: (values.append(5), shared.tell()))
    thread.join(10)
    assert found == [5]


def test_who_waits_looks_again_without_being_told():
    shared, values, found = Monitor(), [], []
    thread = threading.Thread(
        target=lambda: found.append(shared.until(lambda: values[0] if values else None))
    )
    thread.start()
    values.append(5)
    thread.join(10)
    assert found == [5]


def test_a_wait_ends_with_anything_but_none():
    assert Monitor().until(lambda: False) is False
