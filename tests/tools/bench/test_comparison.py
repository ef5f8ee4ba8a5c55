"""Which subset a comparison measures, and which candidates it times."""

import os
import sys

import h5py
import numpy as np
import pytest

from h5lightning.tools.bench import Budget, bench_files
from h5lightning.tools.bench.comparison import DECODE, GATHER, PLAIN, READ, Comparison
from h5lightning.tools.bench.configurations import LoaderConfig
from h5lightning.tools.bench.training_data import find_training_data

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def write(tmp_path):
    """A function that writes two files and returns their pattern."""

    def files(rows, **storage):
        for number in range(2):
            with h5py.File(tmp_path / f"{number}.h5", "w") as file:
                values = np.random.default_rng(number).integers(0, 9, (rows, 16)).astype("f4")
                file.create_dataset("images", data=values, **storage)
                file["labels"] = np.arange(rows) % 3
        return [str(tmp_path / "*.h5")]

    return files


def test_a_subset_of_large_data(write):
    budget = Budget(seconds=0.002, rounds=1)
    found = bench_files(write(60_000), threads=[0], workers=[0], budget=budget, progress=False)
    assert 640 <= found.measured_samples < 120_000
    assert found.samples == 120_000
    assert found.notes[0].startswith("Measured over 2 of 2 files, the first ")
    assert found.measured_bytes == pytest.approx(72 * found.measured_samples, rel=0.01)


def test_candidates_and_the_first_reading(write, tmp_path):
    data = find_training_data(write(300, chunks=(20, 16), compression="gzip"), None, progress=False)
    fixed = {**data.arguments, "batch_size": 32, "seed": 0, "index_dir": str(tmp_path / "index")}
    comparison = Comparison(data, LoaderConfig(), fixed, Budget(seconds=0.01, rounds=1))
    configs = comparison.configs([0], [0])
    trials = comparison.run(configs, announce=lambda _: None, progress=False)
    assert set(trials) == {*configs, PLAIN, READ, DECODE, GATHER}
    assert all(trial.samples > 0 for runs in trials.values() for trial in runs)
    assert sys.platform != "linux" or comparison.read_once() >= 0
    assert comparison.measured.stored_bytes < sum(os.path.getsize(path) for path in comparison.source.files)
