"""The benchmark of the readers runs, and the direct reader wins."""

import runpy
from pathlib import Path

import pytest


@pytest.mark.timeout(60)
@pytest.mark.parametrize("files", [1, 4])
def test_readers_benchmark(files, tmp_path):
    module = runpy.run_path(str(Path(__file__).with_name("readers.py")))
    seconds = module["contiguous"](tmp_path, files, 5120, rounds=3)
    # On a quiet machine it is 0.3; the rest leaves room for a busy one.
    assert seconds["direct"] < 0.7 * seconds["h5py"]
    assert module["compressed"](tmp_path, files, 5120, rounds=1)["direct"] > 0
