"""The benchmark of the readers runs; who wins is for the benchmark to say, on a quiet machine."""

import runpy
from pathlib import Path

import pytest


@pytest.mark.timeout(60)
@pytest.mark.parametrize("files", [1, 4])
def test_readers_benchmark(files, tmp_path):
    module = runpy.run_path(str(Path(__file__).with_name("readers.py")))
    seconds = module["contiguous"](tmp_path, files, 5120, rounds=3)
    assert min(seconds["direct"], seconds["h5py"]) > 0
    assert module["compressed"](tmp_path, files, 5120, rounds=1)["direct"] > 0
