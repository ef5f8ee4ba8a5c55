"""A clock for tests that assert times: a busy machine does not make it run faster."""

from __future__ import annotations


class Clock:
    """Stands still while the program works; stands in for the module ``time``.

    Args:
        look_s: seconds that each look at it takes.
    """

    def __init__(self, look_s: float = 0.0) -> None:
        self.now_s = 0.0
        self.look_s = look_s

    def perf_counter(self) -> float:
        self.now_s += self.look_s
        return self.now_s

    monotonic = perf_counter

    def process_time(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
