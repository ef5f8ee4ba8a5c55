"""The benchmark runs, and finds what the tests of the order bound."""

import runpy
from pathlib import Path


def test_order_benchmark():
    module = runpy.run_path(str(Path(__file__).with_name("order.py")))
    assert module["decoded"]("one window")[2] < 1.05
    assert 0.95 < module["mixing"]("one window") < 1.05
    assert module["microseconds"](module["billion"](65_536), ranges=3) > 0
