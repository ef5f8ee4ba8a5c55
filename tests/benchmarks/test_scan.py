"""The benchmark runs, and a warm start opens nothing."""

import runpy
from pathlib import Path

import pytest


@pytest.mark.timeout(60)
def test_scan_benchmark():
    module = runpy.run_path(str(Path(__file__).with_name("scan.py")))
    seconds = module["run"](files=200, rounds=1)
    loop, *_ = seconds.values()
    # On a quiet machine it is 0.02; ten times that leaves room for a busy one.
    assert seconds["warm start"] < 0.2 * loop
