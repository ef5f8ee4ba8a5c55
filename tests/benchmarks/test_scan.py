"""The benchmark runs, and a warm start opens nothing."""

import runpy
from pathlib import Path

import pytest


@pytest.mark.timeout(60)
def test_scan_benchmark():
    module = runpy.run_path(str(Path(__file__).with_name("scan.py")))
    seconds = module["run"](files=200, rounds=1)
    # That a warm start opens nothing is asserted by the benchmark itself.
    assert len(seconds) == 5
    assert min(seconds.values()) > 0
